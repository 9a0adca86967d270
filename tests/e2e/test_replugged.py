"""The microphone goes and comes, in every way and again and again (G10), without a restart."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.witness import WatchedRobot, assert_accounted, finals_by_seq, held
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence

TOLD_S, BACK_S = 2.0, 3.0
"""The promise: so soon it is told that there is no microphone, and so soon it hears again."""
STALL_S = 1.5
"""As in the default configuration."""
LATE_S = 1.0
"""By how much the machine may be late where a promise leaves less than that."""
STORM_S = 0.5
"""A storm that is over before anybody thinks of the device as lost."""
AWAY_S = 3.0
"""So long that it is looked for as seldom as ever."""
SOME = ["unplugged anew", "vanishing", "storm", "busy", "frozen"]
ALL = [
    *["unplugged"] * 10,
    *["unplugged anew"] * 10,
    *["vanishing"] * 10,
    *["storm"] * 5,
    *["long storm"] * 5,
    *["busy"] * 5,
    *["frozen"] * 5,
]


class Cycles:
    """Somebody speaks on and on, and the microphone is taken away and given back."""

    def __init__(self, robot: Robot, asound: Asound, sound: Path) -> None:
        self.told_s: list[float] = []  #: from the fault to the alert
        self.back_s: list[float] = []  #: from its end to frames
        self._robot, self._asound, self._sound = robot, asound, sound
        self._number = 0
        self._mic = self.plug_in()

    def plug_in(self) -> Fault:
        """The card is there, under a number of its own."""
        self._number += 1
        self._mic = self._asound.card("Mic", number=self._number, audio=self._sound)
        return self._mic

    def run(self, kind: str, away_s: float = 0.0) -> None:
        """One fault, and `away_s` seconds without a microphone where it is gone."""
        self._wait_until_somebody_speaks()
        if kind == "storm":
            self._storm()
            return
        finals, spoken = len(self._robot.finals), self._robot.on("speech")[-1].payload
        self._lose({"long storm": "storm", "frozen": "stalled"}.get(kind, "unplugged"))
        self._robot.wait_for(lambda: len(self._robot.finals) > finals)
        final = finals_by_seq(self._robot)[spoken["seq"]]
        assert final["utterance_id"] == spoken["utterance_id"]
        assert final["final_reason"] == "device_lost"
        assert final["audio_ms"] > 0
        self._robot.subscriber.wait_for(lambda: False, away_s)
        self._come_back(kind)

    def _lose(self, switch: str) -> None:
        losses, begun = len(self._alerts(active=True)), time.time()
        self._mic.on(switch)
        self._robot.wait_for(lambda: len(self._alerts(active=True)) > losses)
        self.told_s.append(self._alerts(active=True)[losses].at - begun)
        self._robot.wait_for(lambda: self._robot.state["hearing_reason"] == "no_device")

    def _come_back(self, kind: str) -> None:
        mic, robot = self._mic, self._robot
        if kind == "vanishing":
            mic.on("vanishing")
            mic.off("unplugged")
            robot.wait_for(lambda: not mic.is_on("vanishing"))
        elif kind == "busy":
            mic.on("busy")
            mic.off("unplugged")
            robot.wait_for(lambda: "in use by" in (robot.alert("no_device") or {})["message"])
        found, ended = len(robot.events("device_found")), time.time()
        if kind == "unplugged anew":
            self.plug_in()
        for switch in ("unplugged", "busy", "stalled", "storm"):
            mic.off(switch)
        robot.wait_for(lambda: len(robot.events("device_found")) > found)
        self.back_s.append(self._events("device_found")[found].at - ended)
        robot.wait_for(lambda: robot.alert("no_device") is None)
        robot.wait_until_it_hears()

    def _storm(self) -> None:
        """No frame comes for a moment; what comes then tells how long it was."""
        gaps = len(self._events("audio_gap"))
        self._mic.on("storm")
        self._robot.subscriber.wait_for(lambda: False, STORM_S)
        self._mic.off("storm")
        ended = time.time()
        self._robot.wait_for(lambda: len(self._events("audio_gap")) > gaps)
        self.back_s.append(self._events("audio_gap")[gaps].at - ended)
        assert self._robot.alert("no_device") is None

    def _wait_until_somebody_speaks(self) -> None:
        robot = self._robot
        robot.wait_for(lambda: robot.on("speech") and robot.on("speech")[-1].payload["active"])
        robot.subscriber.wait_for(lambda: False, 0.2)

    def _alerts(self, *, active: bool) -> list[Any]:
        return [m for m in self._robot.on("alert/no_device") if bool(m.payload) is active]

    def _events(self, name: str) -> list[Any]:
        return [m for m in self._robot.on("event") if m.payload["event"] == name]


@pytest.mark.parametrize(
    "kinds", [SOME, pytest.param(ALL, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids=len
)
def test_whatever_happens_to_the_microphone_it_is_told_and_heard_again_by_the_same_process(
    cloud: Cloud,
    tmp_path: Path,
    asound: Asound,
    command: bytes,
    kinds: list[str],
) -> None:
    (sound := tmp_path / "mic.raw").write_bytes(silence(0.2) + command * 10)
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": "card:Mic", "stall_s": STALL_S},
        "provider": {"url": cloud.url},
    }
    asound.card("Mic", number=1, audio=sound)
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        cycles = Cycles(robot, asound, sound)
        cycles.run("unplugged")
        robot.wait_for(lambda: robot.link["state"] == "connected")
        pid, before = robot.process.pid, held(robot.process.pid)
        chance = random.Random(10)
        for kind in chance.sample(kinds, len(kinds)):
            cycles.run(kind, away_s=chance.uniform(0, AWAY_S) if kinds is ALL else 0.0)
        robot.wait_for(lambda: held(pid) == before)
        assert robot.process.poll() is None
        assert robot.log.count("started: scribed") == 1
        assert robot.stop()[0] == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        ends = assert_accounted(robot)
    assert set(ends.values()) <= {"transcript", "late"}
    sys.stdout.write(f"{len(kinds)} cycles: told after {_span(cycles.told_s)}, ")
    sys.stdout.write(f"back after {_span(cycles.back_s)}\n")
    assert max(cycles.told_s) <= max(TOLD_S, STALL_S + LATE_S)
    assert max(cycles.back_s) <= BACK_S


def _span(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} to {max(seconds):.2f} s"
