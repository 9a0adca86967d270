"""A running daemon is asked on its own machine, and over MQTT, and does as it is told."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from paho.mqtt.client import MQTTv5

from scribed.model import RATE
from tests.e2e.conftest import said
from tests.e2e.witness import WatchedRobot, assert_accounted, kept
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import Robot, silence


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path) -> Iterator[Robot]:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url, "answer_timeout_s": 1.0},
        "retry": {"initial_s": 0.05, "max_s": 1.0},
        "mqtt": {"commands": ["mute", "flush", "state", "restate"]},
        "shutdown": {"grace_s": 0.5},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.wait_for(lambda: robot.status == "online")
        yield robot


def scribed(robot: Robot, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scribed", *arguments],
        env=robot.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def ask(robot: Robot, name: str, payload: object) -> dict[str, Any]:
    """Ask over MQTT; the reply."""
    before = len(robot.on("reply"))
    topic = f"scribed/r7/mic/cmd/{name}"
    publish.single(topic, json.dumps(payload), qos=1, port=robot.broker.port, protocol=MQTTv5)
    robot.wait_for(lambda: len(robot.on("reply")) > before)
    reply: dict[str, Any] = robot.on("reply")[before].payload
    return reply


def quiet(seconds: float) -> bytes:
    """A room in which nobody speaks."""
    chance = random.Random(1)
    samples = (chance.randint(-8, 8) for _ in range(int(seconds * RATE)))
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def keep_quiet(robot: Robot) -> None:
    """A pipe that gives nothing is no microphone, and one that gives zeros is soon a dead one: let
    it hear how quiet it is, which is measured by the half second."""
    robot.speak(quiet(1.0), pace=4.0)


def test_status_says_in_a_line_and_in_json_whether_it_hears(robot: Robot) -> None:
    keep_quiet(robot)
    said = scribed(robot, "status")
    assert said.returncode == 0, said.stdout + said.stderr
    assert re.match(r"hears stdin \(no speech, .*\), link ", said.stdout)
    state = json.loads(scribed(robot, "status", "--json").stdout)
    assert state["schema"] == "stt.state/1"
    assert state["hearing"] is True
    robot.stop()
    gone = scribed(robot, "status")
    assert gone.returncode == 1
    assert "no scribed runs" in gone.stderr


def test_a_mute_set_here_closes_the_ear_survives_kill_9_and_is_lifted_only_here(
    robot: Robot,
    command: bytes,
) -> None:
    robot.speak(silence(0.2) + command[: len(command) // 2], pace=4.0)
    robot.wait_for(lambda: robot.on("speech"))
    assert scribed(robot, "mute", "on").returncode == 0
    robot.wait_for(lambda: robot.on("ended"))
    assert robot.on("ended")[0].payload["outcome"] == "muted"
    robot.wait_for(lambda: robot.state["hearing_reason"] == "muted")
    assert robot.state["mute_reasons"] == ["local"]
    robot.speak(command + silence(0.8), pace=4.0)
    told = len(robot.on("muted"))
    robot.start()  # kill -9, and again
    robot.wait_for(lambda: len(robot.on("muted")) > told)
    assert robot.on("muted")[-1].payload == "ON"
    robot.speak(silence(0.2) + command + silence(0.8), pace=4.0)
    refused = ask(robot, "mute", {"on": False})
    assert (refused["ok"], refused["error"]["code"]) == (False, "not_allowed")
    assert scribed(robot, "status").returncode == 1
    assert scribed(robot, "mute", "off").returncode == 0
    robot.wait_for(lambda: robot.on("muted")[-1].payload == "OFF")
    robot.speak(silence(0.2) + command + silence(0.8), pace=4.0)
    robot.wait_for_texts(1)
    assert len(robot.on("transcript")) == 1, "nothing was heard while it was muted"


def test_flush_commits_what_is_being_said(robot: Robot, command: bytes) -> None:
    robot.speak(silence(0.2) + command, pace=4.0)
    robot.wait_for(lambda: robot.on("speech"))
    reply = ask(robot, "flush", {"req": "now, please"})
    assert reply["ok"] is True
    assert (reply["cmd"], reply["req"], reply["result"]) == (
        "flush",
        "now, please",
        {"flushed": True},
    )
    robot.wait_for_texts(1)
    assert robot.finals[0].payload["final_reason"] == "flush"
    assert scribed(robot, "flush").returncode == 0


def test_what_waits_is_shown_exported_and_purged(
    robot: Robot,
    cloud: Cloud,
    command: bytes,
    tmp_path: Path,
) -> None:
    cloud.always = Behaviour(http_status=503)
    for _ in range(2):
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
    robot.wait_for(lambda: robot.state["backlog"]["utterances"] == 2)
    waiting = json.loads(scribed(robot, "spool", "ls", "--json").stdout)["utterances"]
    assert [each["seq"] for each in waiting] == [1, 2]
    out = tmp_path / "first.wav"
    assert scribed(robot, "spool", "export", "1", "-o", str(out)).returncode == 0
    with wave.open(str(out)) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (16_000, 1)
        assert sound.getnframes() > 8000
    assert scribed(robot, "spool", "purge", "1").returncode == 0
    robot.wait_for(lambda: robot.on("ended"))
    assert robot.on("ended")[0].payload["outcome"] == "evicted"
    robot.stop()
    assert set(kept(robot)) == {2}
    assert "2" in scribed(robot, "spool", "ls").stdout, "a stopped daemon's store can be read too"
    assert scribed(robot, "spool", "purge", "--all").returncode == 0
    cloud.always = Behaviour(answer=said)
    robot.start()
    robot.wait_for(lambda: len(robot.on("ended")) == 2)
    robot.stop()
    assert assert_accounted(robot) == {1: "ended", 2: "ended"}


def test_restate_says_again_what_was_said_and_nothing_to_be_obeyed(
    robot: Robot,
    command: bytes,
) -> None:
    for count in (1, 2):
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        robot.wait_for_texts(count)
    reply = ask(robot, "restate", {"since_seq": 0})
    assert (reply["ok"], reply["result"]) == (True, {"count": 2})
    again = robot.on("late")
    assert [m.payload["seq"] for m in again] == [1, 2]
    assert {(m.payload["late_reason"], m.payload["restated"]) for m in again} == {
        ("restated", True)
    }
    assert len(robot.on("transcript")) == 2


def test_a_command_that_is_not_allowed_is_refused_with_those_that_are(robot: Robot) -> None:
    reply = ask(robot, "reboot", {})
    assert reply["ok"] is False
    assert "mute" in reply["error"]["message"]


def test_what_has_no_answer_at_the_end_is_transcribed_after_the_next_start(
    robot: Robot,
    cloud: Cloud,
    command: bytes,
) -> None:
    cloud.always = Behaviour(http_status=503)
    robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
    robot.wait_for(lambda: robot.state["backlog"]["utterances"] == 1)
    assert robot.stop()[0] == 0
    assert assert_accounted(robot) == {1: "waiting"}
    cloud.always = Behaviour(answer=said)
    robot.start()
    robot.wait_for(lambda: robot.finals)
    final = robot.finals[0].payload
    assert final["seq"] == 1
    assert final["utterance_id"] == robot.on("speech")[0].payload["utterance_id"]
    robot.stop()
    assert list(assert_accounted(robot)) == [1]
