"""The daemon with each provider, however it is configured: each word once, with what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scribed.simulate.server import Server
from tests.e2e import contract
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.robot import KEY, Robot, silence
from tests.parts.sounds import WORDS, ByItsSound

PAUSE = silence(1.0)
"""More than the hangover."""
OPENMIND_KEY = "om1_live_5c1bed"


@pytest.fixture
def service(voices: Mapping[str, bytes]) -> Iterator[Server]:
    """Both services; OpenMind's takes the same key."""
    with Server(recognizer=lambda: ByItsSound(voices), warmup_s=0.0) as server:
        yield server


def robot_with(
    directory: Path, url: str, sections: Mapping[str, Mapping[str, Any]]
) -> WatchedRobot:
    merged = {name: dict(values) for name, values in sections.items()}
    merged["audio"] = {"source": "stdin"}
    merged["provider"] = {"url": url, **merged.get("provider", {})}
    merged = {name: merged[name] for name in sorted(merged)}
    robot = WatchedRobot(directory, merged, environment={"OPENMIND_API_KEY": OPENMIND_KEY})
    robot.secrets.append(OPENMIND_KEY)
    return robot


def talk(robot: Robot, voices: Mapping[str, bytes]) -> None:
    """Each word by itself, and wait for its text: a robot that is told one thing after another."""
    robot.wait_for(lambda: robot.state)
    for n, word in enumerate(WORDS):
        robot.speak(silence(0.2) + voices[word] + PAUSE)
        robot.wait_for_texts(n + 1)


def finals(robot: Robot) -> list[dict[str, Any]]:
    """What was published to be acted on, and each utterance has one end."""
    assert_accounted(robot)
    for message in robot.on("transcript"):
        contract.check(message)
    return [message.payload for message in robot.on("transcript")]


@pytest.mark.parametrize("framing", ["json", "binary"])
@pytest.mark.parametrize("route", ["elevenlabs", "google", "riva"])
def test_openmind_is_understood_on_each_route(
    service: Server, voices: dict[str, bytes], tmp_path: Path, route: str, framing: str
) -> None:
    sections = {
        "provider": {"name": "openmind"},
        "provider.openmind": {"route": route, "framing": framing},
    }
    with robot_with(tmp_path, service.url, sections) as robot:
        talk(robot, voices)
        assert robot.stop()[0] == 0
        said = finals(robot)
        assert [final["text"] for final in said] == list(WORDS)
        for final in said:
            assert (final["final_reason"], final["caution"]) == ("provider", [])
            assert (final["words"], final["confidence"]) == (None, None)
            assert final["provider"]["name"] == "openmind"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"commit_strategy": "vad", "vad_silence_threshold_secs": 0.6}, "provider"),
        ({"commit_strategy": "turn_prediction"}, "provider"),
        ({"auth": "token"}, "commit"),
        ({"include_timestamps": False}, "commit"),
        ({"include_language_detection": True, "entity_detection": ["all"]}, "commit"),
        ({"transcript_edit": "use upper case"}, "commit"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else str(value),
)
def test_elevenlabs_is_understood_however_it_is_asked(
    service: Server,
    voices: dict[str, bytes],
    tmp_path: Path,
    options: dict[str, Any],
    reason: str,
) -> None:
    with robot_with(tmp_path, service.url, {"provider.elevenlabs": options}) as robot:
        talk(robot, voices)
        assert robot.stop()[0] == 0
        said = finals(robot)
        assert [final["text"] for final in said] == list(WORDS)
        for final in said:
            assert (final["final_reason"], final["caution"]) == (reason, [])
            assert (final["words"] is None) is ("include_timestamps" in options)
            assert (final["language"] == "en") is ("include_language_detection" in options)
            assert (final["entities"] is None) is ("entity_detection" not in options)
            edited = final["edited_text"]
            assert edited == (final["text"].upper() if "transcript_edit" in options else None)
    assert service.stats.refused == 0


def test_a_connection_is_replaced_between_two_words_and_none_is_lost(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    with robot_with(tmp_path, service.url, {"provider": {"rotate_s": 1.0}}) as robot:
        talk(robot, voices)
        assert robot.stop()[0] == 0
        assert [final["text"] for final in finals(robot)] == list(WORDS)
        assert {final["attempt"] for final in finals(robot)} == {1}
        assert not robot.events("link_down")
    assert len(service.sessions) >= 3


def test_a_language_that_nobody_is_expected_to_speak_is_no_order(
    service: Server, voices: dict[str, bytes], tmp_path: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "provider": {"languages": ["de"]},
        "provider.elevenlabs": {"include_language_detection": True},
    }
    with robot_with(tmp_path, service.url, sections) as robot:
        robot.speak(silence(0.2) + voices["dance"] + PAUSE)
        robot.wait_for_texts(1)
        assert robot.stop()[0] == 0
        (final,) = finals(robot)
        assert (final["language"], final["caution"]) == ("en", ["language"])
        assert not robot.on("text")


@pytest.mark.parametrize("name", ["elevenlabs", "openmind"])
def test_a_key_that_is_refused_is_an_alert_and_is_told_to_nobody(
    service: Server, tmp_path: Path, voices: dict[str, bytes], name: str
) -> None:
    service.inject("http-401")
    with robot_with(tmp_path, service.url, {"provider": {"name": name}}) as robot:
        robot.speak(silence(0.2) + voices["dance"] + PAUSE)
        robot.wait_for(lambda: robot.alert("auth_failed"))
        robot.wait_for(lambda: robot.link.get("state") == "refused")
        alert = robot.alert("auth_failed")
        assert alert is not None
        assert "401" in alert["message"]
        assert KEY not in str(alert)
        assert robot.stop()[0] == 0


def test_at_the_limit_of_a_day_speech_waits(
    service: Server, tmp_path: Path, voices: dict[str, bytes]
) -> None:
    cost = {"daily_limit_s": 1, "at_limit": "spool", "price_per_hour": 0.39}
    with robot_with(tmp_path, service.url, {"cost": cost}) as robot:
        robot.speak(silence(0.2) + voices["dance"] + PAUSE)
        robot.wait_for_texts(1)
        robot.wait_for(lambda: robot.on("alert/budget"))
        robot.speak(silence(0.2) + voices["forward"] + PAUSE)
        robot.wait_for(lambda: robot.events("utterance_delayed"))
        assert robot.stop()[0] == 0
        raised = len(robot.on("alert/budget"))
        robot.start()
        robot.wait_for(lambda: len(robot.on("alert/budget")) > raised)
        assert robot.stop()[0] == 0
        assert len(robot.finals) == 1
    assert len(service.commits) == 1
