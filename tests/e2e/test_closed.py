"""Muted means that the microphone is closed, not that it is ignored (G15)."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.faults.asker import Asker
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence
from tests.parts.undisturbed import undisturbed

CLOSED_S = 0.2
"""The promise."""
STILL_S = 0.3
"""So long nothing more is read from it: a few reads of one that is open."""


def assert_closed(robot: Robot, mic: Fault) -> None:
    """Not a frame more is taken from it."""
    assert not mic.is_open
    delivered = mic.delivered
    robot.subscriber.wait_for(lambda: False, STILL_S)
    assert mic.delivered == delivered
    assert not mic.is_open


def be_killed(robot: Robot, mic: Fault) -> None:
    """kill -9 and a start: the device is not so much as opened."""
    robot.kill()
    mic.off("open")  # a killed process does not take it away
    states = len(robot.on("state"))
    robot.start()
    robot.wait_for(lambda: len(robot.on("state")) > states)
    robot.wait_for(lambda: robot.state["hearing_reason"] == "muted")


@pytest.mark.parametrize(
    "times", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_a_mute_closes_the_device_at_once_and_a_restart_does_not_open_it(
    cloud: Cloud, tmp_path: Path, asound: Asound, command: bytes, times: int
) -> None:
    (path := tmp_path / "mic.raw").write_bytes(silence(0.1) + command * 10)
    mic = asound.fault("mic", audio=path)
    sections = {"audio": {"device": "mic"}, "provider": {"url": cloud.url}}
    chance, took_s = random.Random(15), []
    with (
        undisturbed(),
        WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot,
        Asker(robot.broker.port) as asker,
    ):
        for n in range(times):
            spoken = len(robot.on("speech"))
            robot.wait_for(lambda: len(robot.on("speech")) > spoken or speaks(robot))  # noqa: B023
            robot.subscriber.wait_for(lambda: False, chance.uniform(0.0, 0.3))
            asked = time.monotonic()
            assert asker.ask("mute", {"on": True})["ok"]
            took_s.append(time.monotonic() - asked)
            assert_closed(robot, mic)
            if n % 5 == 1:
                be_killed(robot, mic)
                assert_closed(robot, mic)
            assert asker.ask("mute", {"on": False})["ok"]
            robot.wait_until_it_hears()
        assert robot.stop()[0] == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        assert_accounted(robot)
    outcomes = [m.payload["outcome"] for m in robot.on("ended")]
    assert outcomes.count("muted") >= times - 1
    sys.stdout.write(f"{times} mutes: closed after at most {max(took_s) * 1000:.0f} ms\n")
    assert max(took_s) <= CLOSED_S


def speaks(robot: Robot) -> bool:
    return bool(robot.on("speech")) and robot.on("speech")[-1].payload["active"]
