"""Link and broker fail, alone and together, and the daemon is killed: nothing is lost silently."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import said
from tests.e2e.witness import WatchedRobot, assert_accounted, finals_by_seq
from tests.parts import robot as parts
from tests.parts.broker import Broker
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import Robot, silence

STALE_S = 5.0


AWAY_S = 1.1
"""A broker that is back sooner looks like one that gave our id to another client."""


def configuration(url: str, **mqtt: Any) -> dict[str, dict[str, Any]]:
    """A pipe to `url`, and retries that come within a second."""
    return {
        "audio": {"source": "stdin"},
        "provider": {"url": url},
        "retry": {"initial_s": 0.1, "max_s": 1.0},
        "mqtt": mqtt,
    }


def say(robot: Robot, pcm: bytes) -> None:
    """Speak a command, and the silence that ends it."""
    robot.speak(silence(0.2) + pcm + silence(0.8), pace=4.0)


def assert_stops(robot: Robot) -> None:
    status, _ = robot.stop()
    assert status == 0, robot.log
    robot.wait_for(lambda: robot.status == "offline")


# The provider


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(drop_after_bytes=30_000), Behaviour(drop_at_commit=True)],
    ids=["in mid-utterance", "instead of answering"],
)
def test_a_connection_that_is_dropped_costs_a_second_attempt_and_no_word(
    cloud: Cloud, tmp_path: Path, command: bytes, behaviour: Behaviour
) -> None:
    cloud.behaviours.append(behaviour)
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        for _ in range(2):
            say(robot, command)
        robot.wait_for_texts(2)
        assert_stops(robot)
        assert list(assert_accounted(robot).values()) == ["transcript", "transcript"]
        attempts = [final["attempt"] for _, final in sorted(finals_by_seq(robot).items())]
        assert attempts[0] == 2
        assert all(
            final["caution"] in ([], ["more_speech"]) for final in finals_by_seq(robot).values()
        )
    whole = [audio for audio in cloud.commits if len(audio) > len(command) * 0.8]
    assert len(whole) == len(cloud.commits) == 2, [len(audio) for audio in cloud.commits]


def test_after_eight_seconds_without_the_service_old_speech_is_late_and_new_speech_is_not(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        say(robot, command)
        robot.wait_for_texts(1)
        cloud.close()
        gone_at = time.monotonic()
        for _ in range(2):
            say(robot, command)
        robot.wait_for(lambda: robot.alert("backend_down"))
        assert robot.state["link"]["state"] in ("backoff", "connecting")
        robot.wait_for(lambda: robot.state["backlog"]["utterances"] >= 1)
        robot.wait_for(lambda: robot.events("link_down"))
        robot.subscriber.wait_for(lambda: False, gone_at + 8.0 - time.monotonic())
        say(robot, command)
        back = Cloud(port=cloud.port)
        back.always.answer = said
        try:
            robot.wait_for_texts(4)
            robot.wait_for(lambda: robot.alert("backend_down") is None)
            robot.wait_for(lambda: len(robot.events("link_up")) == 2)
            assert_stops(robot)
        finally:
            back.close()
        ends = assert_accounted(robot)
        assert [ends[seq] for seq in sorted(ends)] == ["transcript", "late", "late", "transcript"]
        for message in robot.on("late"):
            assert message.payload["late_reason"] == "stale"
            assert message.payload["age_ms"] > STALE_S * 1000
        assert len(robot.on("text")) == 2


def test_after_a_short_outage_speech_is_not_late(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.close()
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        say(robot, command)
        robot.wait_for(lambda: robot.events("link_down"))
        back = Cloud(port=cloud.port)
        back.always.answer = said
        try:
            robot.wait_for_texts(1)
            assert_stops(robot)
        finally:
            back.close()
        assert list(assert_accounted(robot).values()) == ["transcript"]


def test_a_service_that_flaps_gets_every_utterance_through(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    cloud.behaviours.extend(
        [
            Behaviour(http_status=503),
            Behaviour(drop_after_bytes=10_000),
            Behaviour(close_at_commit=1011),
            Behaviour(drop_at_commit=True),
            Behaviour(greeting=[{"message_type": "resource_exhausted", "error": "later"}]),
        ]
    )
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        for _ in range(4):
            say(robot, command)
        robot.wait_for_texts(4, timeout=30)
        assert_stops(robot)
        assert len(assert_accounted(robot)) == 4
        assert set(assert_accounted(robot).values()) <= {"transcript", "late"}
    assert not cloud.behaviours
    assert len(cloud.commits) == 4


# The broker


def test_a_broker_that_is_killed_while_finals_are_due_gets_them_when_it_is_back(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        say(robot, command)
        robot.wait_for_texts(1)
        os.kill(robot.broker.pid, signal.SIGSTOP)  # so that finals are in flight when it dies
        for _ in range(2):
            say(robot, command)
        cloud.wait_for(lambda: len(cloud.commits) == 3)
        robot.broker.kill()
        robot.wait_for(lambda: not robot.subscriber.is_connected)
        before = len(robot.subscriber.received)
        robot.broker.start()
        robot.wait_for_texts(3)
        since = robot.subscriber.received[before:]  # first what the broker had kept of before
        finals = [
            n
            for n, message in enumerate(since)
            if message.topic in {"transcript", "late"} and message.payload["seq"] > 1
        ]
        said = [message.payload for message in since[: finals[0]] if message.topic == "status"]
        assert said[-1:] == ["online"]
        assert_stops(robot)
        ends = assert_accounted(robot, again=True)
        assert len(ends) == 3
        assert set(ends.values()) <= {"transcript", "late"}


def test_a_broker_that_is_restarted_again_and_again_loses_nothing(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        for _ in range(3):
            say(robot, command)
            robot.broker.kill()
            threading.Event().wait(AWAY_S)
            robot.broker.start()
        robot.wait_for_texts(3)
        assert_stops(robot)
        assert len(assert_accounted(robot, again=True)) == 3


def test_a_broker_that_is_away_at_the_start_hears_of_it_later(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    (home := tmp_path / "broker").mkdir()
    broker = Broker(home)
    with WatchedRobot(tmp_path, configuration(cloud.url), broker=broker) as robot:
        say(robot, command)
        cloud.wait_for(lambda: len(cloud.commits) == 1)
        nobody = f"nothing listens on localhost port {broker.port}; start the broker"
        robot.wait_for(lambda: nobody in robot.log)
        with broker:
            robot.subscribe()
            robot.wait_for_texts(1)
            robot.wait_for(lambda: robot.state.get("hearing") is True)
            assert_stops(robot)
            assert len(assert_accounted(robot)) == 1


def test_link_and_broker_away_together_lose_nothing_either(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        say(robot, command)
        robot.wait_for_texts(1)
        robot.broker.kill()
        cloud.close()
        say(robot, command)
        back = Cloud(port=cloud.port)
        back.always.answer = said
        try:
            back.wait_for(lambda: len(back.commits) == 1)
            robot.broker.start()
            robot.wait_for_texts(2)
            assert_stops(robot)
        finally:
            back.close()
        assert len(assert_accounted(robot, again=True)) == 2


# The daemon itself


def test_after_kill_9_the_will_says_so_and_numbers_go_on_rising(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url, will_delay_s=1)) as robot:
        say(robot, command)
        robot.wait_for_texts(1)
        # Killed before the broker's acknowledgement it would publish that one again.
        robot.wait_for(lambda: "utterance 1 published" in robot.log)
        robot.kill()
        robot.wait_for(lambda: robot.status == "offline")
        robot.start()
        robot.wait_for(lambda: robot.status == "online")
        say(robot, command)
        robot.wait_for_texts(2)
        assert_stops(robot)
        robot.start()
        say(robot, command)
        robot.wait_for_texts(3)
        assert_stops(robot)
        (skipped,) = robot.events("seq_skipped")  # after the crash, and not after the clean end
        first, second, third = sorted(finals_by_seq(robot))
        assert 0 < second - first - 1 <= skipped["skipped"]
        assert third == second + 1
        assert_accounted(robot)
        runs = [m.payload["run_id"] for m in robot.on("transcript")]
        assert len(set(runs)) == 3


def test_a_restart_within_the_will_s_delay_is_no_outage(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url, will_delay_s=30)) as robot:
        say(robot, command)
        robot.wait_for_texts(1)
        robot.kill()
        robot.start()
        say(robot, command)
        robot.wait_for_texts(2)
        assert {m.payload for m in robot.on("status")} == {"online"}
        assert_stops(robot)


def test_a_second_daemon_on_the_same_state_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.wait_for(lambda: robot.status == "online")
        second = subprocess.run(
            parts.command(robot.configuration),
            env=robot.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert second.returncode == 75
        (line,) = second.stderr.splitlines()
        assert f"the state directory {robot.state_directory} is in use" in line
        assert second.stdout == ""
        assert robot.process.poll() is None
        assert robot.stop()[0] == 0
