"""It starts with nothing there (G19): says what is missing, and each heals by itself."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed.demo.broker import stable_port
from scribed.service.asking import ask
from scribed.service.timesync import TIMESYNCD
from tests.e2e.conftest import said
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.asound import Asound
from tests.parts.broker import Broker
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence
from tests.parts.systemd import Systemd
from tests.parts.wall_clock import WallClock

READY_S = 5.0
WATCHDOG_S = 3.0
ALERTS = {"network": "backend_down", "microphone": "no_device"}
THINGS = ("network", "microphone", "broker", "clock")
SUBSETS = [frozenset(some) for count in range(5) for some in itertools.combinations(THINGS, count)]
SLICE = [
    frozenset(THINGS),
    frozenset({"network"}),
    frozenset({"microphone", "broker"}),
    frozenset[str](),
]


class World:
    """What a robot stands in: all of it but what is `missing`, which `bring()` brings."""

    def __init__(self, directory: Path, asound: Asound, sound: Path, missing: frozenset[str]):
        self.missing = set(missing)
        self._directory, self._stack = directory, contextlib.ExitStack()
        self._mic = asound.fault("mic", audio=sound)
        self._cloud_port = stable_port()
        self._clock = WallClock(directory, is_set="clock" not in missing)
        (home := directory / "broker").mkdir()
        self._broker = Broker(home, persistence=True)
        self._systemd = Systemd(directory, watchdog_s=WATCHDOG_S)
        self.robot = WatchedRobot(
            directory,
            {
                "audio": {"device": "mic"},
                "provider": {"url": f"ws://127.0.0.1:{self._cloud_port}", "connect": "always"},
                "retry": {"initial_s": 0.1, "max_s": 1.0},
            },
            environment={
                **asound.environment(),
                **self._clock.environment(),
                **self._systemd.environment(),
            },
            broker=self._broker,
        )

    @contextlib.contextmanager
    def daemon(self) -> Iterator[Robot]:
        """The daemon runs in it; it was ready in time."""
        with self._stack as stack:
            stack.enter_context(self._systemd)
            stack.callback(self._broker.stop)
            if "microphone" in self.missing:
                self._mic.on("unplugged")
            if "network" not in self.missing:
                self._let_there_be_a_service()
            if "broker" not in self.missing:
                self._broker.start()
            begun = time.monotonic()
            with self.robot as robot:
                ready = self._systemd.wait_for("READY=1", READY_S, since=begun)
                assert ready is not None, f"not ready within {READY_S} s:\n{robot.log}"
                yield robot

    def bring(self, thing: str) -> None:
        """From now on it is there."""
        self.missing.discard(thing)
        {
            "network": self._let_there_be_a_service,
            "microphone": lambda: self._mic.off("unplugged"),
            "broker": self._let_there_be_a_broker,
            "clock": self._clock.set,
        }[thing]()

    def told(self) -> set[str]:
        """What is missing, as the daemon says on its socket and in its status line."""
        state = ask(self._directory / "run", "state", {})  # who is ready answers
        line = state["status_line"]
        missing: dict[str, Callable[[], bool]] = {
            "network": lambda: state["link"]["state"] == "backoff" and "link backoff (" in line,
            "microphone": lambda: state["hearing_reason"] == "no_device" and "NOT HEAR" in line,
            "broker": lambda: "broker DOWN" in line,
            "clock": lambda: state["clock_synced"] is False,
        }
        if not (state["hearing"] or missing["microphone"]()) or state["link"]["state"] in (
            "idle",
            "connecting",
        ):
            return {"not known yet"}
        return {thing for thing, is_missing in missing.items() if is_missing()}

    def _let_there_be_a_service(self) -> None:
        cloud = Cloud(port=self._cloud_port)
        cloud.always.answer = said
        self._stack.callback(cloud.close)

    def _let_there_be_a_broker(self) -> None:
        self._broker.start()
        self.robot.subscribe()


def alerts(robot: Robot) -> set[str]:
    return {thing for thing, code in ALERTS.items() if robot.alert(code)}


def clear_texts(robot: Robot) -> list[Any]:
    """Finals that may be acted on."""
    return [m for m in robot.on("transcript") if not m.payload["caution"]]


@pytest.mark.skipif(TIMESYNCD.exists(), reason="systemd-timesyncd has set this machine's clock")
@pytest.mark.parametrize(
    "missing",
    [
        *SLICE,
        *(pytest.param(each, marks=pytest.mark.slow) for each in SUBSETS if each not in SLICE),
    ],
    ids=lambda missing: "+".join(sorted(missing)) or "nothing",
)
def test_whatever_is_missing_at_the_start_is_named_and_heals_by_itself(
    tmp_path: Path, asound: Asound, voices: dict[str, bytes], missing: frozenset[str]
) -> None:
    (sound := tmp_path / "mic.raw").write_bytes((voices["kitchen"] + silence(0.7)) * 60)
    world = World(tmp_path, asound, sound, missing)
    with world.daemon() as robot:
        pid = robot.process.pid
        robot.wait_for(lambda: world.told() == missing)
        order = sorted(missing)
        random.Random(19).shuffle(order)
        for thing in order:
            if "broker" not in world.missing:
                robot.wait_for(lambda: alerts(robot) >= world.missing & set(ALERTS))
            world.bring(thing)
            robot.wait_for(lambda: world.told() == world.missing)
        robot.wait_for(lambda: not alerts(robot))
        robot.wait_for(lambda: robot.state.get("clock_synced"))
        heard = len(clear_texts(robot))
        robot.wait_for(lambda: len(clear_texts(robot)) > heard)
        if "clock" in missing and "broker" not in missing:
            robot.wait_for(lambda: robot.events("clock_synced"))
        assert robot.process.pid == pid
        assert robot.stop()[0] == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        assert_accounted(robot)
