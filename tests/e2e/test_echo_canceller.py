"""A sound server's echo canceller as the source: the robot talks, and a human into it."""

from __future__ import annotations

import math
import subprocess
import tempfile
import wave
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scribed.capture.levels import dbfs, power
from scribed.demo.voice import speak
from tests.e2e.witness import WatchedRobot
from tests.parts.cloud import Cloud
from tests.parts.robot import RATE, Robot
from tests.parts.rooms import PipeWireRoom, PulseRoom, Recording, Room

SAID = (
    "the quick brown fox jumps over the lazy dog while seven hungry engineers measure the echo "
    "of this long sentence in a room without carpets"
)
SAID_AT, ANSWERED_AT = 0.1, 0.6  # of flite's own amplitude
ROUNDS = 3
ALONE_S = 4.5
"""So long the robot speaks alone; a canceller learns the room in the first second."""
HEARD = 0.2
"""So like what was said is an utterance that has it in it: 0.43 to 0.77 were measured, and for the
robot's own voice 0.02."""
LESS_DB = 15.0
"""Of the echo, at least; 21 to 37 dB (PulseAudio) and 70 dB (PipeWire) were measured."""


@pytest.fixture(params=[PulseRoom, PipeWireRoom])
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    if why := request.param.missing():
        pytest.skip(why)
    # Of its own: a path of pytest's is too long for a socket.
    with (
        tempfile.TemporaryDirectory(prefix="room-") as directory,
        request.param(Path(directory)) as room,
    ):
        yield room


def sound(wav: Path) -> Any:
    with wave.open(str(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)


def likeness(heard: Any, voice: Any) -> float:
    """How much of `heard`, where it is most like `voice`, is that: 0 to 1."""
    if len(heard) < len(voice):
        heard = np.pad(heard, (0, len(voice) - len(heard)))
    size = 1 << math.ceil(math.log2(len(heard) + len(voice)))
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(voice, size)), size)
    at = int(np.argmax(np.abs(match[: len(heard) - len(voice) + 1])))
    here = heard[at : at + len(voice)]
    norm = float(np.linalg.norm(here) * np.linalg.norm(voice))
    return abs(float(np.dot(here, voice))) / norm if norm else 0.0


def test_the_robots_voice_is_taken_away_and_the_human_who_interrupts_it_is_heard(
    room: Room, cloud: Cloud, tmp_path: Path
) -> None:
    speak(SAID, said := room.directory / "said.wav")
    speak("go forward ten meters", answer := room.directory / "answer.wav")
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": room.device, "silent_s": 0},  # it may give zeros by the minute
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections, environment=room.environment()) as robot:
        robot.wait_until_it_hears()
        assert robot.state["device"]["name"] == room.device
        microphone, ears = room.record("room.monitor"), room.record("ears")
        robot.wait_for(lambda: microphone.samples and ears.samples)
        for _ in range(ROUNDS):  # who is not understood says it again
            begun = len(microphone.samples)
            talks = room.say(said, SAID_AT)
            robot.wait_for(partial(has_spoken, microphone, begun))
            alone = len(microphone.samples)
            answers = room.answer(answer, ANSWERED_AT)
            for player in (answers, talks):
                assert wait(player) == 0
            robot.wait_for(lambda: is_over(robot))
            if heard_best(cloud, sound(answer)) > HEARD:
                break
        assert heard_best(cloud, sound(answer)) > HEARD
        echo, rest = (
            dbfs(power(each.samples[alone - 3 * RATE : alone].tobytes()))
            for each in (microphone, ears)
        )
        assert rest < echo - LESS_DB
        assert heard_best(cloud, sound(said)) < HEARD / 2
        assert robot.stop()[0] == 0, robot.log


def voiced(samples: array[int]) -> float:
    """Seconds since the first loud sample."""
    first = next((n for n, sample in enumerate(samples) if abs(sample) > 50), len(samples))
    return (len(samples) - first) / RATE


def has_spoken(microphone: Recording, begun: int) -> bool:
    """Whether the robot has spoken alone for long enough since sample `begun`."""
    return voiced(microphone.samples[begun:]) > ALONE_S


def is_over(robot: Robot) -> bool:
    """Whether somebody has spoken, and all of it has come to its end."""
    told = [message.payload for message in robot.on("speech")]
    ends = robot.on("transcript", "late", "ended")
    return bool(told) and not told[-1]["active"] and len(ends) * 2 >= len(told)


def heard_best(cloud: Cloud, voice: Any) -> float:
    """How like `voice` the most alike of all utterances is."""
    with cloud.changed:
        commits = list(cloud.commits)
    heard = [np.frombuffer(pcm, dtype="<i2").astype(float) for pcm in commits]
    return max((likeness(each, voice) for each in heard), default=0.0)


def wait(player: subprocess.Popen[bytes]) -> int:
    return player.wait(30)
