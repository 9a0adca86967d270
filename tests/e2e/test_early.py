"""Early commits: the text is asked for while the speaker may yet go on, and told when he did not.

The stand-in knows each word by its sound, so that a text says what was heard, once and in order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scribed.simulate.recognizers import RATE
from scribed.simulate.recording import CommitRecord
from scribed.simulate.server import Server
from tests.e2e import contract
from tests.e2e.peers import wait_until
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.robot import KEY, Robot, silence
from tests.parts.sounds import WORDS, ByItsSound

HANGOVER_MS, EARLY_MS, ANSWER_MS = 900, 200, 250
BREATH_S = 0.4
"""A pause longer than the early commit's; the answer comes when he has gone on."""
LONG_BREATH_S = 0.75
"""The same; the answer comes before he goes on."""
OVER = silence(1.3)
"""More than the hangover."""
THROTTLE_S = 1.0
"""The service takes no two commits within so much: then the second waits for the end."""


@pytest.fixture
def service(voices: Mapping[str, bytes]) -> Iterator[Server]:
    with Server(
        recognizer=lambda: ByItsSound(voices),
        key=KEY,
        answer_s=ANSWER_MS / 1000,
        warmup_s=0.0,
        keep_audio=True,
    ) as server:
        yield server


def configuration(url: str, *, early_ms: int = EARLY_MS) -> dict[str, dict[str, Any]]:
    return {
        "audio": {"source": "stdin"},
        "vad": {"hangover_ms": HANGOVER_MS, "early_commit_ms": early_ms},
        "provider": {"url": url},
    }


def words_of(robot: Robot) -> list[list[str]]:
    """The words of each final, as it says them, and each with its own time."""
    said = []
    for message in robot.on("transcript"):
        contract.check(message)
        payload = message.payload
        assert [word["text"] for word in payload["words"]] == payload["text"].split()
        assert payload["words"][-1]["end_ms"] <= payload["audio_ms"] + EARLY_MS
        said.append(payload["text"].split())
    return said


def assert_plain_finals(robot: Robot) -> None:
    """Each final is one that may be acted on, and its utterance has no other."""
    assert_accounted(robot)
    for message in robot.on("transcript"):
        payload = message.payload
        assert (payload["final_reason"], payload["caution"]) == ("commit", [])
        assert (payload["attempt"], payload["continues"]) == (1, None)


def silent_end_s(commit: CommitRecord) -> float:
    """How much digital silence is at the end of a commit's audio."""
    assert commit.pcm is not None
    return (len(commit.pcm) - len(commit.pcm.rstrip(b"\0"))) / RATE / 2


def test_commands_have_one_final_each_of_a_commit_before_the_hangover_is_over(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        for word in WORDS[:3]:
            robot.speak(silence(0.2) + voices[word] + OVER)
        robot.wait_for_texts(3)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [[word] for word in WORDS[:3]]
        assert_plain_finals(robot)
    assert len(service.commits) == 3
    for commit in service.commits:  # what the hangover had more was never sent
        assert silent_end_s(commit) < HANGOVER_MS / 1000 - 0.1
    assert service.stats.refused == 0


def test_a_word_of_command_is_told_while_its_text_is_held_back(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    sections = configuration(service.url) | {"transcript": {"fast_words": ["dance", "yesterday"]}}
    with WatchedRobot(tmp_path, sections) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + voices["dance"] + silence(LONG_BREATH_S))
        robot.wait_for(lambda: robot.on("word/dance"))
        assert robot.on("transcript") == []
        robot.speak(voices["yesterday"] + OVER)
        robot.wait_for_texts(1)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [["dance", "yesterday"]]
        assert [len(robot.on(f"word/{word}")) for word in ("dance", "yesterday")] == [1, 1]


@pytest.mark.parametrize("breath_s", [BREATH_S, LONG_BREATH_S])
def test_speech_that_goes_on_after_a_pause_is_one_final_with_its_words_in_order(
    service: Server, voices: dict[str, bytes], tmp_path: Path, breath_s: float
) -> None:
    first = voices["dance"] + silence(breath_s) + voices["yesterday"]
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.5) + first + OVER)
        robot.speak(voices["seven"] + OVER)
        robot.wait_for_texts(2)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [["dance", "yesterday"], ["seven"]]
        assert_plain_finals(robot)
        (final, _) = (message.payload for message in robot.on("transcript"))
        partials = [
            message.payload["text"]
            for message in robot.on("partial")
            if message.payload["utterance_id"] == final["utterance_id"]
        ]
        assert "dance" in partials  # which was held until he went on
        assert all("dance yesterday".startswith(text) for text in partials)
    assert service.stats.refused == 0


@pytest.mark.parametrize("breath_s", [0.25, BREATH_S, LONG_BREATH_S])
def test_whatever_the_pauses_no_word_is_doubled_or_lost(
    service: Server, voices: dict[str, bytes], tmp_path: Path, breath_s: float
) -> None:
    """The commits come too close to each other for the service, or just not."""
    talk = b"".join(voices[word] + silence(breath_s) for word in WORDS)
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + talk + OVER)
        robot.speak(voices["kitchen"] + OVER)
        robot.wait_for_texts(2)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [list(WORDS), ["kitchen"]]
        assert_plain_finals(robot)
    assert service.stats.refused == 0
    assert_paced(service)


def test_a_pause_in_which_the_daemon_is_stopped_costs_no_word_and_asks_for_none_twice(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + voices["forward"] + silence(BREATH_S))
        assert robot.stop()[0] == 0
        robot.wait_for(lambda: robot.status == "offline")
        (final,) = robot.on("transcript")
        assert final.payload["text"] == "forward"
        assert (final.payload["final_reason"], final.payload["caution"]) == ("shutdown", ["cut"])
        assert_accounted(robot)
    assert service.stats.refused == 0


def test_a_connection_that_ends_with_the_early_commit_costs_an_attempt_and_doubles_no_word(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + voices["seven"] + OVER)
        robot.wait_for_texts(1)
        service.inject("drop=commit")
        robot.speak(voices["dance"] + silence(BREATH_S))
        wait_until(lambda: service.sessions[0].closed_at is not None)
        service.heal()
        robot.speak(voices["yesterday"] + OVER)
        robot.wait_for_texts(2)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [["seven"], ["dance", "yesterday"]]
        assert_accounted(robot)
        first, second = (message.payload["attempt"] for message in robot.on("transcript"))
        assert first == 1 < second


def test_a_connection_that_is_lost_while_its_text_is_held_doubles_no_word(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with WatchedRobot(tmp_path, configuration(service.url)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + voices["dance"] + silence(LONG_BREATH_S))
        wait_until(lambda: service.stats.answers == 1)  # no time passes in a pipe that is quiet
        service.inject("drop")
        robot.speak(voices["yesterday"] + OVER)
        robot.wait_for_texts(1)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [["dance", "yesterday"]]
        assert_accounted(robot)
        (final,) = robot.on("transcript")
        assert final.payload["attempt"] == 2


def test_without_it_nothing_is_asked_for_before_the_hangover_is_over(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with WatchedRobot(tmp_path, configuration(service.url, early_ms=0)) as robot:
        robot.wait_for(lambda: robot.state)
        robot.speak(silence(0.3) + voices["dance"] + silence(BREATH_S) + voices["seven"] + OVER)
        robot.wait_for_texts(1)
        assert robot.stop()[0] == 0
        assert words_of(robot) == [["dance", "seven"]]
    (commit,) = service.commits
    assert silent_end_s(commit) >= HANGOVER_MS / 1000 - 0.1


def assert_paced(service: Server) -> None:
    """No two commits of a connection came closer to each other than the service takes them."""
    by_session: dict[str, list[float]] = {}
    for commit in service.commits:
        by_session.setdefault(commit.session_id, []).append(commit.received_at)
    for times in by_session.values():
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert all(gap >= THROTTLE_S - 0.1 for gap in gaps), gaps
