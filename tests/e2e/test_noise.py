"""A robot whose motor runs all the time: what the second stage of the gate lets through."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.gate.rooms import servo
from scribed.capture.vad import WebRtcVad
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud

RATE = 16_000
PACE = 4.0
"""So many times real time: the gate's time is that of the sound."""


def motor(seconds: float) -> np.ndarray:
    """At -31 dBFS."""
    sound = servo(int(seconds * RATE), np.random.default_rng(1))
    return np.asarray(sound / sound.std() * 32768 * 10 ** (-31 / 20))


def pcm(sound: np.ndarray) -> bytes:
    return bytes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())


def test_a_motor_opens_nothing_and_a_command_over_it_is_heard_alone(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    vad, noise = WebRtcVad(2), pcm(motor(10.0))
    taken = [vad(noise[at : at + 640]) for at in range(0, len(noise), 640)]
    assert sum(taken) > 0.8 * len(taken), "webrtcvad takes it for speech"
    voice = np.frombuffer(command, "<i2").astype(float)
    voice *= 32768 * 10 ** (-24 / 20) / voice.std()
    sound = motor(14.0)
    sound[10 * RATE : 10 * RATE + len(voice)] += voice
    sections = {
        "audio": {"source": "stdin"},
        "vad": {"engine": "two_stage"},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.speak(pcm(sound), pace=PACE)
        assert robot.end_of_input() == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        assert_accounted(robot)
        (final,) = robot.finals
        assert 1.5 < final.payload["audio_ms"] / 1000 < 4.0
        assert "gate: webrtcvad, then the noise floor and Silero" in robot.log
