"""What is done to the sound reaches the service, and hides nothing of the microphone."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed.capture.levels import dbfs, power
from tests.e2e.witness import WatchedRobot, finals_by_seq
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import RATE, Robot, silence

OFFSET = 2000
SILENT_S = 1.5


@pytest.fixture
def mic(asound: Asound, tmp_path: Path, command: bytes) -> Fault:
    """An adapter with an offset, and somebody far away from it."""
    chance = random.Random(6)
    far = [sample // 16 for sample in array("h", silence(1.0) + command + silence(30.0))]
    heard = array("h", (OFFSET + sample + chance.randrange(-8, 9) for sample in far))
    (path := tmp_path / "mic.raw").write_bytes(heard.tobytes())
    return asound.fault("mic", audio=path)


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path, asound: Asound, mic: Fault) -> Iterator[Robot]:
    pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")
    sections: dict[str, dict[str, Any]] = {
        "audio": {
            "device": mic.name,
            "silent_s": SILENT_S,
            "high_pass": 10,
            "gain_db": 6,
            "auto_gain": True,
            "noise_suppression": "gate",
        },
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as running:
        yield running


def test_the_service_hears_faint_speech_made_loud_and_the_levels_are_the_microphones(
    robot: Robot, cloud: Cloud
) -> None:
    robot.wait_for_texts(1)
    (final,) = finals_by_seq(robot).values()
    (sent,) = cloud.commits
    samples = array("h", sent)
    assert abs(sum(samples) / len(samples)) < 5
    offset_dbfs = dbfs((OFFSET / 32768) ** 2)
    assert final["level_dbfs"] == pytest.approx(offset_dbfs, abs=1)
    loudest = max(
        dbfs(power(sent[at : at + RATE // 5])) for at in range(0, len(sent) - RATE // 5, RATE // 5)
    )
    assert loudest > offset_dbfs - 6  # it was 14 dB below the offset, at most
    status, _ = robot.stop()
    assert status == 0, robot.log


def test_a_dead_microphone_is_found_behind_all_that_makes_it_louder(
    robot: Robot, mic: Fault
) -> None:
    robot.wait_until_it_hears()
    mic.on("zeros")
    robot.wait_for(lambda: robot.alert("silent_device"))
    alert = robot.alert("silent_device")
    assert alert is not None
    assert alert["message"].startswith("mic: digital silence for")
