"""Proof of hearing: a microphone that lives and gives nothing is told, and a quiet one is not."""

from __future__ import annotations

import random
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.witness import WatchedRobot
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import RATE, Robot, silence

SILENT_S = 1.5
ROOM_S = 60


def room(seconds: float, dbfs: float = -80.0) -> bytes:
    """A quiet room: noise and nothing else."""
    chance, sigma = random.Random(7), 32768 * 10 ** (dbfs / 20)
    second = array("h", (round(chance.gauss(0, sigma)) for _ in range(RATE))).tobytes()
    return (second * (int(seconds) + 1))[: int(seconds * RATE) * 2]


def gated(spells: int) -> bytes:
    """A microphone that gives zeros, but for a moment again and again."""
    return (silence(SILENT_S - 0.3) + room(0.3)) * spells


@pytest.fixture
def sound() -> bytes:
    return room(ROOM_S)


@pytest.fixture
def mic(asound: Asound, tmp_path: Path, sound: bytes) -> Fault:
    (path := tmp_path / "mic.raw").write_bytes(sound)
    return asound.fault("mic", audio=path)


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path, asound: Asound, mic: Fault) -> Iterator[Robot]:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": mic.name, "silent_s": SILENT_S},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as running:
        running.wait_until_it_hears()
        yield running


def hearing(robot: Robot) -> tuple[Any, Any, Any]:
    state = robot.state
    return state["hearing"], state["hearing_reason"], state["state"]


def metrics(robot: Robot) -> dict[str, float]:
    said = robot.on("metrics")
    return dict(said[-1].payload["metrics"]) if said else {}


@pytest.mark.parametrize(
    ("switch", "evidence"),
    [("zeros", "digital silence for"), ("stuck", "a stuck value (14649) for")],
)
def test_a_microphone_that_dies_and_comes_back_is_told_and_taken_back(
    robot: Robot, mic: Fault, switch: str, evidence: str
) -> None:
    for _ in range(2):
        mic.on(switch)
        robot.wait_for(lambda: robot.alert("silent_device"))
        robot.wait_for(lambda: hearing(robot) == (False, "silent_device", "silent_device"))
        alert = robot.alert("silent_device")
        assert alert is not None
        assert alert["message"].startswith(f"mic: {evidence}")
        assert alert["severity"] == "error"
        assert "audio.silent_s" in alert["remedy"]
        assert robot.state["heard"].startswith(evidence)
        assert robot.state["device"]["state"] == "open"
        mic.off(switch)
        robot.wait_for(lambda: robot.alert("silent_device") is None)
        robot.wait_for(lambda: hearing(robot) == (True, "ok", "listening"))
    assert robot.events("device_lost") == []
    assert robot.stop()[0] == 0, robot.log
    assert robot.log.count(f"capture: mic: {evidence}") == 2


def test_a_quiet_room_is_no_fault_and_is_said_in_words_and_figures(
    robot: Robot, mic: Fault
) -> None:
    robot.wait_for(lambda: len(robot.on("metrics")) > 1, 40)  # each 15 s
    figures = metrics(robot)
    assert figures["scribed_frames_per_second_expected"] == 50
    assert figures["scribed_frames_per_second"] == pytest.approx(50, rel=0.1)
    assert figures["scribed_level_dbfs"] == pytest.approx(-80, abs=3)
    assert figures["scribed_noise_floor_dbfs"] == pytest.approx(-80, abs=3)
    assert -78 < figures["scribed_peak_dbfs"] < -60
    assert figures["scribed_clipped_ratio"] == figures["scribed_still_seconds"] == 0
    assert abs(figures["scribed_dc_offset_ratio"]) < 0.001
    assert figures["scribed_microphone_dead"] == figures["scribed_microphone_deaf"] == 0
    robot.wait_for(lambda: "over a noise floor" in (robot.state["heard"] or ""), 40)
    assert re.fullmatch(
        r"no speech, -(7[89]|8\d) dBFS over a noise floor of -(7[89]|8\d) dBFS",
        robot.state["heard"],
    )
    assert_nothing_was_wrong(robot)
    assert mic.is_open


@pytest.mark.parametrize("sound", [gated(10)])
def test_a_gate_in_the_microphone_that_opens_before_the_limit_is_no_fault(robot: Robot) -> None:
    robot.subscriber.wait_for(lambda: robot.alert("silent_device"), 9 * SILENT_S)
    assert_nothing_was_wrong(robot)


def test_a_pipe_may_give_digital_silence(cloud: Cloud, tmp_path: Path) -> None:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin", "silent_s": SILENT_S},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.speak(silence(3 * SILENT_S), pace=4.0)
        robot.wait_until_it_hears()
        assert robot.end_of_input() == 0
        assert_nothing_was_wrong(robot)


def assert_nothing_was_wrong(robot: Robot) -> None:
    assert robot.alert("silent_device") is None
    assert "silent_device" not in {m.payload["hearing_reason"] for m in robot.on("state")}
    assert not any(m.payload for m in robot.on("alert/silent_device"))  # nor was for a moment
