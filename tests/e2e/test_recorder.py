"""The flight recorder: what the gate decided in the daemon is decided again, byte for byte."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from paho.mqtt.client import MQTTv5

from scribed.recording import decode
from tests.cli.shell import COMMAND
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import BASE, Robot, silence

KEPT_S = 3.0


@pytest.fixture
def mic(asound: Asound, tmp_path: Path, command: bytes) -> Fault:
    (path := tmp_path / "mic.raw").write_bytes(
        silence(0.5) + command + silence(1.5) + command + silence(60.0)
    )
    return asound.fault("mic", audio=path)


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path, asound: Asound, mic: Fault) -> Iterator[Robot]:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": mic.name, "silent_s": 0},
        "provider": {"url": cloud.url},
        "recorder": {"seconds": KEPT_S},
        "mqtt": {"commands": ["record", "mute"]},
        "vad": {"hangover_ms": 300},
    }
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as running:
        running.wait_until_it_hears()
        yield running


def ask(robot: Robot, name: str, **args: Any) -> dict[str, Any]:
    before = len(robot.on("reply"))
    publish.single(
        f"{BASE}/cmd/{name}", json.dumps(args), qos=1, port=robot.broker.port, protocol=MQTTv5
    )
    robot.wait_for(lambda: len(robot.on("reply")) > before)
    reply: dict[str, Any] = robot.on("reply")[before].payload
    return reply


def replay(*words: str | Path) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [*COMMAND, "replay", "--json", *map(str, words)], capture_output=True, check=False
    )
    return done.returncode, json.loads(done.stdout or "{}")


def recordings(robot: Robot, trigger: str) -> list[Path]:
    return sorted((robot.state_directory / "recordings").glob(f"*-{trigger}.wav"))


def test_what_was_recorded_on_command_is_decided_again_byte_for_byte(
    robot: Robot, mic: Fault
) -> None:
    robot.wait_for_texts(1)
    mic.on("overrun")  # a hole in the sound, while nobody speaks
    robot.wait_for_texts(2)
    reply = ask(robot, "record")
    assert reply["ok"], reply
    path = Path(reply["result"]["path"])
    assert path.parent == robot.state_directory / "recordings"
    assert path.stat().st_mode & 0o777 == 0o600
    assert reply["result"]["audio_ms"] >= (KEPT_S - 2.0) * 1000
    status, said = replay(path)
    assert (status, said["same"], said["exact"]) == (0, True, True)
    assert said["recorded"] == said["replayed"]
    assert said["settings"]["vad.hangover_ms"] == 300
    assert (said["device"], said["trigger"]) == ("mic", "command")
    ended = [each for each in said["recorded"]["utterances"] if each["end_ms"]]
    assert ended[-1]["reason"] == "commit"
    assert abs(ended[-1]["audio_ms"] - robot.finals[-1].payload["audio_ms"]) <= 20

    status, other = replay(path, "--set", "vad.hangover_ms=200")
    assert (status, other["same"]) == (0, False)
    sooner = [each for each in other["replayed"]["utterances"] if each["end_ms"]]
    assert sooner[-1]["end_ms"] == ended[-1]["end_ms"] - 100

    assert ask(robot, "mute", on=True)["ok"]
    refused = ask(robot, "record")
    assert not refused["ok"]
    assert "muted" in refused["error"]["message"]
    assert_accounted(robot)


def test_a_false_opening_and_an_error_record_themselves(
    robot: Robot, mic: Fault, cloud: Cloud
) -> None:
    cloud.always.answer = lambda _audio: ""
    robot.wait_for(lambda: robot.on("ended"))
    ended = robot.on("ended")[0].payload
    assert ended["outcome"] == "no_speech"
    robot.wait_for(lambda: recordings(robot, "false_opening"))
    found = decode(recordings(robot, "false_opening")[0].read_bytes())
    assert found is not None
    assert found[0].about == str(ended["seq"])
    robot.subscriber.wait_for(lambda: False, KEPT_S)  # one stretch is not recorded twice
    mic.on("unplugged")
    robot.wait_for(lambda: robot.alert("no_device"))
    robot.wait_for(lambda: recordings(robot, "error"))
    path = recordings(robot, "error")[0]
    status, said = replay(path)
    assert (status, said["same"], said["about"]) == (0, True, "no_device")
    assert said["recorded"]["notes"][-1]["what"].startswith(("close device_lost", "end"))
