"""The microphone is unplugged, overrun or silent as the dead: what was heard is kept, and told."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capture.suspending import Suspend
from tests.e2e.witness import WatchedRobot, assert_accounted, finals_by_seq
from tests.parts.asound import Asound, Fault
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence
from tests.parts.systemd import Systemd

STALL_S = 1.0
AT_MOST_S = 1.5
"""How much later than `stall_s` a stall may be found."""


@pytest.fixture
def sound(tmp_path: Path, command: bytes) -> Path:
    """What the microphone hears: silence, 3.7 s of somebody who speaks on, and silence."""
    (path := tmp_path / "mic.raw").write_bytes(silence(0.5) + command * 2 + silence(1.0))
    return path


@pytest.fixture
def mic(asound: Asound, sound: Path) -> Fault:
    return asound.fault("mic", audio=sound)


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path, asound: Asound, mic: Fault) -> Iterator[Robot]:
    """Hears the microphone `mic`."""
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": mic.name, "stall_s": STALL_S},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as running:
        yield running


def wait_until_somebody_speaks(robot: Robot, for_s: float = 0.8) -> None:
    """Be in the middle of an utterance, of which so much was heard."""
    robot.wait_for(lambda: robot.on("speech"))
    robot.subscriber.wait_for(lambda: False, for_s)
    assert robot.on("speech")[-1].payload["active"]


def lose_sound(robot: Robot, mic: Fault) -> None:
    """The machine is busy for a fifth of a second, and the device runs over."""
    mic.on("stalled")  # the world goes on, and is not heard
    robot.subscriber.wait_for(lambda: False, 0.2)
    mic.on("overrun")
    mic.off("stalled")
    robot.wait_for(lambda: robot.events("audio_gap"))
    assert not mic.is_on("overrun")


def assert_stops(robot: Robot) -> None:
    status, _ = robot.stop()
    assert status == 0, robot.log
    robot.wait_for(lambda: robot.status == "offline")


def test_unplugged_in_mid_utterance_it_keeps_what_it_heard_and_comes_back(
    robot: Robot, mic: Fault, cloud: Cloud
) -> None:
    wait_until_somebody_speaks(robot)
    mic.on("unplugged")
    robot.wait_for_texts(1)
    robot.wait_for(lambda: robot.alert("no_device"))
    robot.wait_for(lambda: robot.state["hearing"] is False)
    assert robot.state["hearing_reason"] == "no_device"
    (lost,) = robot.events("device_lost")
    assert lost["device"] == "mic"
    (final,) = finals_by_seq(robot).values()
    assert (final["final_reason"], final["caution"]) == ("device_lost", ["cut"])
    assert final["audio_ms"] > 700
    mic.off("unplugged")
    robot.wait_for(lambda: robot.alert("no_device") is None)
    robot.wait_for(lambda: robot.state["hearing"] is True)
    robot.wait_for(lambda: len(robot.events("device_found")) >= 2)
    robot.wait_for_texts(2)  # without a restart
    assert_stops(robot)
    assert_accounted(robot)


def test_an_overrun_in_mid_utterance_is_told_on_the_utterance_itself(
    robot: Robot, mic: Fault
) -> None:
    wait_until_somebody_speaks(robot)
    lose_sound(robot, mic)
    robot.wait_for_texts(1)
    gap = robot.events("audio_gap")[0]
    final = min(finals_by_seq(robot).items())[1]
    assert final["audio_lost_ms"] == sum(g["lost_ms"] for g in robot.events("audio_gap"))
    assert 20 <= gap["lost_ms"] < 500
    assert "audio_lost" in final["caution"]
    assert robot.on("text") == []
    assert robot.events("device_lost") == []
    assert_stops(robot)
    assert_accounted(robot)


def test_an_overrun_in_silence_is_an_event_and_no_fault_of_what_is_said_next(
    cloud: Cloud, tmp_path: Path, asound: Asound, command: bytes
) -> None:
    (path := tmp_path / "quiet.raw").write_bytes(silence(2.0) + command + silence(2.0))
    mic = asound.fault("quiet", audio=path)
    sections = {"audio": {"device": "quiet"}, "provider": {"url": cloud.url}}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        robot.wait_until_it_hears()
        lose_sound(robot, mic)
        robot.wait_for_texts(1)
        (final,) = finals_by_seq(robot).values()
        assert (final["audio_lost_ms"], final["caution"]) == (0, [])
        assert_stops(robot)


def test_a_stall_is_found_and_the_device_opened_again(robot: Robot, mic: Fault) -> None:
    wait_until_somebody_speaks(robot)
    mic.on("stalled")
    stalled_at = time.time()
    robot.wait_for(lambda: robot.events("device_lost"))
    (lost,) = [m for m in robot.on("event") if m.payload["event"] == "device_lost"]
    assert STALL_S - 0.3 < lost.at - stalled_at < STALL_S + AT_MOST_S
    assert f"no frames for {STALL_S} s" in lost.payload["detail"]["why"]
    mic.off("stalled")
    robot.wait_for(lambda: len(robot.events("device_found")) >= 2)
    robot.wait_for(lambda: robot.state["hearing"] is True)
    assert_stops(robot)
    reasons = [final["final_reason"] for _, final in sorted(finals_by_seq(robot).items())]
    assert reasons[0] == "device_lost"
    assert_accounted(robot)


def test_a_device_that_hangs_up_is_opened_again(robot: Robot, mic: Fault) -> None:
    robot.wait_until_it_hears()
    mic.on("hungup")
    robot.wait_for(lambda: robot.events("device_lost"))
    mic.off("hungup")
    robot.wait_for(lambda: len(robot.events("device_found")) >= 2)
    assert_stops(robot)


def test_a_device_that_opens_and_gives_nothing_is_told_once_and_heals(
    robot: Robot, mic: Fault
) -> None:
    robot.wait_until_it_hears()
    mic.on("stalled")
    robot.wait_for(lambda: robot.events("device_lost"))
    robot.wait_for(lambda: robot.alert("no_device"))
    alert = robot.alert("no_device")
    assert alert is not None
    assert f"mic: no frames for {STALL_S} s" in alert["message"]
    robot.wait_for(lambda: robot.state["hearing_reason"] == "no_device")
    states = len(robot.on("state"))
    robot.subscriber.wait_for(lambda: False, 2 * STALL_S)  # it is tried again and again
    assert {m.payload["hearing_reason"] for m in robot.on("state")[states:]} <= {"no_device"}
    assert len(robot.events("device_lost")) == 1
    assert robot.log.count("WARNING capture: microphone lost: mic: no frames for") == 1
    assert robot.log.count("alert no_device: mic: no frames for") == 1
    mic.off("stalled")
    robot.wait_for(lambda: robot.alert("no_device") is None)
    robot.wait_for(lambda: robot.state["hearing"] is True)
    assert_stops(robot)


@pytest.mark.slow
def test_a_read_that_never_returns_is_left_to_the_watchdog_and_costs_no_word(
    cloud: Cloud, tmp_path: Path, asound: Asound, mic: Fault
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": mic.name, "stall_s": STALL_S},
        "provider": {"url": cloud.url},
    }
    with Systemd(tmp_path, watchdog_s=2.0) as systemd:
        environment = asound.environment() | systemd.environment()
        with Robot(tmp_path, sections, environment=environment) as robot:
            wait_until_somebody_speaks(robot)
            mic.on("hangs")
            robot.wait_for(lambda: robot.state["hearing_reason"] == "stalled")
            robot.wait_for(lambda: "no heartbeat of: capture; the watchdog" in robot.log, 30)
            assert systemd.wait_for("WATCHDOG=1", 3.0) is None
            status, _ = robot.stop(how=signal.SIGABRT)  # as systemd does then
            assert status == -signal.SIGABRT
            assert "Fatal Python error: Aborted" in robot.log
            assert 'scribed/capture/sources/alsa.py", line' in robot.log
            mic.off("hangs")
            robot.start()
            robot.wait_for_texts(1)
            assert finals_by_seq(robot)[1]["final_reason"] == "restart"
            robot.wait_until_it_hears()
            assert_stops(robot)
            assert_accounted(robot)


def test_a_suspend_is_told_and_is_no_lost_microphone(
    cloud: Cloud, tmp_path: Path, asound: Asound, command: bytes
) -> None:
    (path := tmp_path / "mic.raw").write_bytes(silence(0.5) + command * 8 + silence(1.0))
    mic = asound.fault("mic", audio=path)
    suspend = Suspend(tmp_path)
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": mic.name, "stall_s": STALL_S},
        "provider": {"url": cloud.url},
    }
    environment = asound.environment() | suspend.environment()
    with WatchedRobot(tmp_path, sections, environment=environment) as robot:
        wait_until_somebody_speaks(robot)
        mic.on("stalled")  # nothing comes for a moment, as from one that wakes up
        suspend.sleep(3600)
        robot.wait_for(lambda: slept(robot))
        mic.off("stalled")
        robot.wait_for(lambda: any(final["final_reason"] == "gap" for final in finals(robot)))
        robot.wait_for(lambda: len(robot.on("speech")) >= 3)  # it hears what is said after it
        assert [gap["lost_ms"] for gap in slept(robot)] == [3_600_000]
        others = [gap for gap in robot.events("audio_gap") if gap not in slept(robot)]
        assert sum(gap["lost_ms"] for gap in others) < 500
        assert robot.events("device_lost") == []
        assert len(robot.events("device_found")) == 1
        assert robot.alert("no_device") is None
        assert_stops(robot)
        assert_accounted(robot)


def slept(robot: Robot) -> list[dict[str, Any]]:
    return [gap for gap in robot.events("audio_gap") if gap["cause"] == "suspend"]


def finals(robot: Robot) -> list[dict[str, Any]]:
    return [message.payload for message in robot.on("transcript", "late")]
