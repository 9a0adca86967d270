"""SIGTERM at any moment, whatever a peer does: it ends in time, and every utterance has its end."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import peers
from tests.e2e.conftest import said
from tests.e2e.witness import WatchedRobot, assert_accounted, finals_by_seq, kept
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import Robot, silence

LIMIT_S = 3.0 + 2.0
"""The default grace, and 2 s."""
SHORT_GRACE_S = 1.0
"""Where nobody will answer: the tests wait for its end."""
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 100))]
ANSWER_S = 0.25


def configuration(url: str, *, grace_s: float = 3.0, **mqtt: Any) -> dict[str, dict[str, Any]]:
    """A pipe to `url`; the will would come a minute later than anything in these tests."""
    return {
        "audio": {"source": "stdin"},
        "provider": {"url": url},
        "mqtt": {"will_delay_s": 60, **mqtt},
        "shutdown": {"grace_s": grace_s},
    }


def hopeless(url: str, **mqtt: Any) -> dict[str, dict[str, Any]]:
    """The same, where nobody will answer."""
    return configuration(url, grace_s=SHORT_GRACE_S, **mqtt)


def assert_left_in_order(robot: Robot) -> None:
    """It said `offline` by itself, and then goodbye to the broker."""
    robot.wait_for(lambda: robot.status == "offline", 5)
    assert [m.payload for m in robot.on("status")] == ["online", "offline"]
    log = robot.directory / "broker" / "mosquitto.log"
    goodbye = re.compile(r"Client scribed-r7-\S+( \[\S+\])? disconnected\.")
    peers.wait_until(lambda: goodbye.search(log.read_text()) is not None)
    assert robot.on("state")[-1].payload["state"] == "stopping"


def begin_to_speak(robot: Robot, command: bytes) -> bytes:
    """Be in the middle of the command; what was said so far."""
    spoken = silence(0.3) + command[: len(command) * 2 // 3]
    robot.speak(spoken, pace=2.0)
    robot.wait_for(lambda: robot.on("speech"))
    robot.wait_until_read()
    return spoken


def slowly(audio: bytes) -> str:
    """Answer as late as the service does."""
    threading.Event().wait(ANSWER_S)
    return said(audio)


@pytest.mark.parametrize("seed", SEEDS)
def test_at_a_random_moment(cloud: Cloud, tmp_path: Path, command: bytes, seed: int) -> None:
    cloud.always.answer = slowly
    chance = random.Random(seed)
    scene = (silence(0.3) + command + silence(0.9)) * 2
    moment = chance.randrange(len(scene))
    how = chance.choice([signal.SIGTERM, signal.SIGINT])
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.wait_for(lambda: robot.status == "online")
        robot.speak(scene[:moment], pace=2.0)
        status, took = robot.stop(how=how)
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        ends = assert_accounted(robot)
        assert set(ends.values()) <= {"transcript"}, robot.log  # the provider answers in time
        reasons = [final["final_reason"] for _, final in sorted(finals_by_seq(robot).items())]
        assert set(reasons[:-1]) <= {"commit"}
        assert set(reasons[-1:]) <= {"commit", "shutdown"}


def test_in_silence_it_ends_at_once(cloud: Cloud, tmp_path: Path) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.speak(silence(0.5))
        robot.wait_until_it_hears()
        status, took = robot.stop()
        assert (status, took < 1.5) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert assert_accounted(robot) == {}
    assert cloud.connections == 0


def test_in_mid_utterance_what_was_said_is_transcribed_as_cut(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.always.answer = slowly
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        spoken = begin_to_speak(robot, command)
        status, took = robot.stop()
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["transcript"]
        (final,) = finals_by_seq(robot).values()
        assert (final["final_reason"], final["caution"]) == ("shutdown", ["cut"])
        assert robot.on("text") == []  # nobody must act on half a command
    (committed,) = cloud.commits
    at = spoken.find(committed)
    assert at >= 0, "what was committed is not what was said"
    assert len(spoken) - at - len(committed) < 32_000 * 0.3, "its end is missing"


def test_just_after_a_commit_its_transcript_is_waited_for(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.always.answer = slowly
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.speak(silence(0.3) + command + silence(0.7), pace=2.0)
        cloud.wait_for(lambda: len(cloud.commits) == 1)
        status, took = robot.stop()
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["transcript"]
        (final,) = finals_by_seq(robot).values()
        assert (final["final_reason"], final["caution"]) == ("commit", [])


def test_a_service_that_is_ready_within_the_grace_still_answers(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    awake = threading.Event()
    cloud.behaviours.append(Behaviour(deaf=awake, answer=said))
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        begin_to_speak(robot, command)
        cloud.wait_for(lambda: cloud.connections == 1)
        timer = threading.Timer(0.8, awake.set)
        timer.start()
        status, took = robot.stop()
        timer.join()
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["transcript"]


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(mute_greeting=True), Behaviour(ignore_commit=True), Behaviour(http_status=503)],
    ids=["no session_started", "no answer", "HTTP 503"],
)
def test_without_an_answer_it_ends_all_the_same_and_says_so(
    cloud: Cloud, tmp_path: Path, command: bytes, behaviour: Behaviour
) -> None:
    cloud.always = behaviour
    with WatchedRobot(tmp_path, hopeless(cloud.url)) as robot:
        begin_to_speak(robot, command)
        cloud.wait_for(lambda: cloud.connections >= 1)
        status, took = robot.stop()
        assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["waiting"]
        assert "1 utterance(s) have no answer; they are kept for later" in robot.log


def test_a_second_signal_changes_nothing(cloud: Cloud, tmp_path: Path, command: bytes) -> None:
    cloud.always.answer = slowly
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        begin_to_speak(robot, command)
        robot.process.send_signal(signal.SIGINT)
        robot.wait_for(lambda: "stopping" in robot.log)
        status, took = robot.stop()
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert_accounted(robot)


def test_without_any_grace_it_ends_at_once_and_says_what_has_no_answer(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.always = Behaviour(ignore_commit=True)
    with WatchedRobot(tmp_path, configuration(cloud.url, grace_s=0.0)) as robot:
        begin_to_speak(robot, command)
        status, took = robot.stop()
        assert (status, took < 2.0) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["waiting"]


def test_after_the_end_of_input_it_need_not_wait_for_an_answer_that_does_not_come(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.always = Behaviour(ignore_commit=True)
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        begin_to_speak(robot, command)
        robot.close_stdin()
        robot.wait_for(lambda: "end of input" in robot.log)
        status, took = robot.stop()
        assert (status, took < LIMIT_S) == (0, True), (took, robot.log)
        assert_left_in_order(robot)
        assert list(assert_accounted(robot).values()) == ["waiting"]


def test_sighup_is_answered_and_ends_nothing(cloud: Cloud, tmp_path: Path, command: bytes) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        begin_to_speak(robot, command)
        robot.process.send_signal(signal.SIGHUP)
        robot.speak(command + silence(0.8), pace=4.0)
        robot.wait_for_texts(1)
        robot.wait_for(lambda: "reloaded: nothing has changed" in robot.log)
        assert robot.stop()[0] == 0
        assert_left_in_order(robot)


# While a peer stalls


def assert_ends_in_time(robot: Robot) -> None:
    """With nobody who could answer: in time, in order, and the utterance is kept."""
    status, took = robot.stop()
    assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), (took, robot.log)
    assert_left_in_order(robot)
    assert set(assert_accounted(robot).values()) == {"waiting"}


as_root = pytest.mark.skipif(
    not peers.may_have_a_namespace(), reason="a resolv.conf of its own needs root and unshare"
)


@as_root
def test_while_the_name_server_does_not_answer(tmp_path: Path, command: bytes) -> None:
    with peers.silent_resolver(tmp_path) as (program, was_asked):
        sections = hopeless("wss://speech.example")
        with WatchedRobot(tmp_path, sections, program=program) as robot:
            begin_to_speak(robot, command)
            peers.wait_until(was_asked)
            assert_ends_in_time(robot)


@as_root
def test_while_the_name_server_does_not_answer_for_the_broker(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with peers.silent_resolver(tmp_path) as (program, was_asked):
        sections = hopeless(cloud.url, host="broker.example")
        with WatchedRobot(tmp_path, sections, program=program) as robot:
            peers.wait_until(was_asked)
            robot.speak(silence(0.3) + command, pace=2.0)
            assert_ends_unheard(robot)


def test_while_connecting_to_the_broker_waits(cloud: Cloud, tmp_path: Path, command: bytes) -> None:
    with (
        peers.full_backlog() as (port, somebody_waits),
        WatchedRobot(tmp_path, hopeless(cloud.url, port=port)) as robot,
    ):
        peers.wait_until(somebody_waits)
        robot.speak(silence(0.3) + command, pace=2.0)
        assert_ends_unheard(robot)


def test_while_connect_waits(tmp_path: Path, command: bytes) -> None:
    with (
        peers.full_backlog() as (port, somebody_waits),
        WatchedRobot(tmp_path, hopeless(f"ws://127.0.0.1:{port}")) as robot,
    ):
        begin_to_speak(robot, command)
        peers.wait_until(somebody_waits)
        assert_ends_in_time(robot)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_while_the_handshake_is_not_answered(tmp_path: Path, command: bytes, scheme: str) -> None:
    with (
        peers.mute_server() as (port, met),
        WatchedRobot(tmp_path, hopeless(f"{scheme}://127.0.0.1:{port}")) as robot,
    ):
        begin_to_speak(robot, command)
        assert met.wait(10)
        assert_ends_in_time(robot)


def test_while_a_peer_that_does_not_read_holds_send_up(tmp_path: Path, command: bytes) -> None:
    with (
        peers.deaf_server() as (port, greeted),
        WatchedRobot(tmp_path, hopeless(f"ws://127.0.0.1:{port}")) as robot,
    ):
        begin_to_speak(robot, command)
        assert greeted.wait(10)
        robot.speak(command * 6, pace=8.0)  # more than the socket's send buffer
        peers.wait_until(lambda: peers.unsent(port) > 64 * 1024)
        assert_ends_in_time(robot)


def assert_ends_unheard(robot: Robot) -> None:
    """With nobody to tell it to: in time, and what was said is kept."""
    status, took = robot.stop()
    assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), (took, robot.log)
    assert set(assert_accounted(robot).values()) <= {"waiting", "unpublished"}


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that is there and does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_while_the_broker_is_there_and_does_nothing(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, hopeless(cloud.url)) as robot:
        begin_to_speak(robot, command)
        with stopped(robot.broker.pid):
            status, took = robot.stop()
        assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), (took, robot.log)
        assert set(kept(robot).values()) == {"unpublished"}
        assert_accounted(robot)  # whether the broker reads what had left is TCP's to say


def test_while_both_do_nothing(cloud: Cloud, tmp_path: Path, command: bytes) -> None:
    cloud.always = Behaviour(ignore_commit=True)
    with WatchedRobot(tmp_path, hopeless(cloud.url)) as robot:
        begin_to_speak(robot, command)
        with stopped(robot.broker.pid):
            status, took = robot.stop()
        assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), (took, robot.log)


def test_a_command_for_tokens_that_hangs_does_not_outlive_it(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    note = tmp_path / "group"
    sections = hopeless(cloud.url)
    hangs = f"sleep 60 & echo $$ > {note}.new; mv {note}.new {note}; wait"
    sections["provider.elevenlabs"] = {"auth": "token", "token_command": ["sh", "-c", hangs]}
    with WatchedRobot(tmp_path, sections) as robot:
        robot.speak(silence(0.3) + command, pace=8.0)
        peers.wait_until(note.exists)
        group = int(note.read_text())
        status, took = robot.stop()
        assert (status, took < SHORT_GRACE_S + 2.0) == (0, True), robot.log
        peers.wait_until(lambda: not runs(group))


def runs(group: int) -> bool:
    """Whether a process of the group is left that is more than its exit status."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text("latin-1").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False
