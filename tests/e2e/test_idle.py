"""A robot is silent most of the day: what scribed costs meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from scribed.capture.two_stage import BELIEVES_MS
from scribed.config import Vad
from scribed.model import pcm_bytes
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.e2e.peers import wait_until
from tests.e2e.witness import WatchedRobot, assert_accounted, held
from tests.parts.broker import Broker
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence

WATCHED_S = 5.0
WAKE_UPS_PER_S = 15
"""Capture reads ten times a second; all else together has the rest."""
SPEAKING_PER_S = 55
"""Ten reads and ten chunks, each told to the uplink and the store: 35 were counted."""
ALONE_PER_S = 10
"""Without a microphone, a broker and a service: one tries to open it, one to connect."""
WIRE_SHARE = 1.45
"""Bytes on the wire for one of sound: a third is base64, the rest the messages around it."""
UTTERANCES = 20


def configuration(url: str, **provider: Any) -> dict[str, dict[str, Any]]:
    return {"audio": {"source": "stdin"}, "provider": {"url": url, **provider}}


def wake_ups(pid: int) -> int:
    """How often the threads of a process went to sleep by themselves, all together."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        total += int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


class Quiet:
    """Writes silence to a robot's stdin in real time while the block runs."""

    def __init__(self, robot: Robot) -> None:
        self._robot, self._over = robot, threading.Event()
        self._thread = threading.Thread(target=self._write, name="quiet")

    def __enter__(self) -> Quiet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._over.is_set():
            self._robot.speak(silence(0.1))


def test_in_silence_it_sleeps(cloud: Cloud, tmp_path: Path) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot, Quiet(robot):
        robot.wait_until_it_hears()
        before, began = wake_ups(robot.process.pid), time.monotonic()
        robot.subscriber.wait_for(lambda: False, WATCHED_S)
        per_s = (wake_ups(robot.process.pid) - before) / (time.monotonic() - began)
        assert robot.state["link"]["state"] == "idle"
        assert per_s <= WAKE_UPS_PER_S
        assert per_s >= 5, "it does not listen"
    assert cloud.connections == 0


def test_while_somebody_speaks_it_wakes_for_what_there_is_to_do(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.speak(silence(0.2) + command)
        robot.wait_for(lambda: robot.link.get("state") == "connected")
        before, began = wake_ups(robot.process.pid), time.monotonic()
        robot.speak(command * 2)
        per_s = (wake_ups(robot.process.pid) - before) / (time.monotonic() - began)
        assert 10 < per_s <= SPEAKING_PER_S
        robot.speak(silence(1.0))
        robot.wait_for_texts(1)


def test_without_a_microphone_a_broker_and_a_service_it_sleeps(tmp_path: Path) -> None:
    sections = {"audio": {"device": "hw:NOSUCH"}, "provider": {"url": "ws://127.0.0.1:9"}}
    (home := tmp_path / "broker").mkdir()
    with WatchedRobot(tmp_path, sections, broker=Broker(home)) as robot:
        wait_until(lambda: "no microphone" in robot.log and "nothing listens on" in robot.log)
        before, began = wake_ups(robot.process.pid), time.monotonic()
        robot.subscriber.wait_for(lambda: False, WATCHED_S)
        per_s = (wake_ups(robot.process.pid) - before) / (time.monotonic() - began)
        assert 0 < per_s <= ALONE_PER_S


def test_an_utterance_costs_its_own_bytes_and_few_more(tmp_path: Path, command: bytes) -> None:
    with Server(recognizer=Script(["go"]), answer_s=0.1) as service:
        with WatchedRobot(tmp_path, configuration(service.url)) as robot:
            robot.speak(silence(0.5) + command + silence(1.0), pace=4.0)
            robot.wait_for_texts(1)
        stats = service.stats
    vad = Vad()
    most = len(command) + pcm_bytes(vad.pre_roll_ms + BELIEVES_MS + vad.hangover_ms)
    assert len(command) / 2 < stats.audio_bytes <= most
    assert stats.wire_bytes <= WIRE_SHARE * stats.audio_bytes


def test_twenty_utterances_leave_nothing_behind(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    sections = configuration(cloud.url, idle_s=1.0)
    with WatchedRobot(tmp_path, sections) as robot:
        pid = robot.process.pid

        def speak(count: int) -> tuple[int, int]:
            """Say so many commands; what the daemon holds when they are answered."""
            said = len(robot.finals) + count
            for _ in range(count):
                robot.speak(silence(0.1) + command + silence(0.6), pace=12.0)
            robot.wait_for_texts(said)
            robot.wait_for(lambda: robot.link.get("state") == "idle")
            return held(pid)

        after_one = speak(1)
        speak(UTTERANCES - 1)
        robot.wait_for(lambda: held(pid) == after_one)  # as soon as the last connection is gone
        assert len(assert_accounted(robot)) == UTTERANCES
    assert cloud.connections == 2  # it was closed in between, and opened again


def test_at_16_khz_mono_no_numpy_is_loaded(cloud: Cloud, tmp_path: Path, command: bytes) -> None:
    with WatchedRobot(tmp_path, configuration(cloud.url)) as robot:
        robot.speak(silence(0.2) + command + silence(0.7), pace=4.0)
        robot.wait_for_texts(1)
        maps = Path(f"/proc/{robot.process.pid}/maps").read_text()
        assert "_webrtcvad" in maps
        assert "/numpy/" not in maps
        assert "soxr" not in maps
