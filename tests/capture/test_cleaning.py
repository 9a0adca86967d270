"""WebRTC's audio processing as it is installed: it does what the manual says."""

from __future__ import annotations

import math
import random
from array import array

import pytest

from scribed.capture.levels import dbfs, power
from scribed.model import RATE

pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")

from scribed.capture.cleaning import Cleaner

SECOND = RATE * 2  # bytes


def hiss(peak_dbfs: float, seconds: float = 4.0) -> bytes:
    chance, sigma = random.Random(5), 32768 * 10 ** (peak_dbfs / 20)
    return array("h", (round(chance.gauss(0, sigma)) for _ in range(int(seconds * RATE)))).tobytes()


def level(pcm: bytes) -> float:
    return dbfs(power(pcm))


def test_steady_noise_becomes_softer_by_12_db() -> None:
    cleaned = Cleaner(auto_gain=False, noise_suppression=True)(hiss(-40))
    assert level(cleaned[-SECOND:]) == pytest.approx(-52, abs=1.5)


def test_speech_is_made_louder_where_it_is_faint(faint: bytes) -> None:
    louder = level(Cleaner(auto_gain=True, noise_suppression=False)(faint)) - level(faint)
    assert 6 < louder < 13


def test_speech_passes_the_noise_suppression(faint: bytes) -> None:
    cleaned = Cleaner(auto_gain=False, noise_suppression=True)(faint)
    assert level(cleaned) == pytest.approx(level(faint), abs=2)


def test_silence_stays_silent() -> None:
    cleaner = Cleaner(auto_gain=True, noise_suppression=True)
    cleaner(hiss(-30))
    assert cleaner(bytes(2 * SECOND))[-SECOND:] == bytes(SECOND)


def test_it_makes_no_difference_how_much_comes_at_once_and_once_reset_it_is_as_new() -> None:
    heard, used = hiss(-40, 1.0), Cleaner(auto_gain=True, noise_suppression=True)
    used(hiss(-20))
    used.reset()
    parts = b"".join(used(heard[at : at + 960]) for at in range(0, len(heard) - 959, 960))
    whole = Cleaner(auto_gain=True, noise_suppression=True)(heard)
    assert parts == whole[: len(parts)]


def test_half_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of 10 ms"):
        Cleaner(auto_gain=True, noise_suppression=True)(bytes(330))


@pytest.fixture
def faint() -> bytes:
    """A voice-like sound at -45 dBFS: a buzz with three formants that comes and goes as syllables
    do, with nothing between."""
    samples = array("h")
    for n in range(6 * RATE):
        at = n / RATE
        syllable = max(0.0, math.sin(2 * math.pi * 2.5 * at)) ** 0.5
        buzz = sum(
            math.sin(2 * math.pi * 130 * k * at) / (1 + abs(130 * k - 600) / 200)
            for k in range(1, 12)
        )
        samples.append(round(180 * syllable * buzz))
    return samples.tobytes()
