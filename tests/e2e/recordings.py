"""Real recorded speech, which is beside the repository and not in it."""

from __future__ import annotations

import random
import wave
from array import array
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.parts.robot import silence

DIRECTORY = Path(__file__).parents[3] / "shared" / "audio"
WORDS = {
    "goforward": "go forward ten meters",
    "librivox-0880": "he was not an ill disposed young man",
    "librivox-0930": "he might even have been made amiable himself",
}
RATE = 16_000

needed = pytest.mark.skipif(
    not all((DIRECTORY / f"{name}.wav").exists() for name in WORDS),
    reason=f"the recordings are not in {DIRECTORY}",
)


def pcm(name: str) -> bytes:
    """The sound of a recording, 16 kHz mono."""
    with wave.open(str(DIRECTORY / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        frames: bytes = file.readframes(file.getnframes())
    return frames


def conversation(names: Iterable[str] = WORDS) -> bytes:
    """Recordings, one after the other, each followed by enough silence to end it."""
    return silence(0.5) + b"".join(pcm(name) + silence(1.5) for name in names)


def room(seconds: float) -> bytes:
    """A room where nobody speaks: so faint a noise that no gate opens, but no digital silence."""
    dice = random.Random(1)
    second = array("h", (round(dice.gauss(0, 3)) for _ in range(RATE))).tobytes()
    return second * round(seconds)


def write_wav(path: Path, frames: bytes, *, rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.writeframes(frames)
    return path
