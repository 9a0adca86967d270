"""Gain and high-pass: what comes out is what was promised, to the decibel."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.levels import dbfs, power
from scribed.capture.shaping import Gain, HighPass
from scribed.model import RATE

SECOND = RATE * 2  # bytes


def tone(hertz: float, peak: float = 3000, seconds: float = 2.0, offset: int = 0) -> bytes:
    step = 2 * math.pi * hertz / RATE
    return array(
        "h", (offset + round(peak * math.sin(n * step)) for n in range(int(seconds * RATE)))
    ).tobytes()


def level(pcm: bytes) -> float:
    return dbfs(power(pcm))


def settled(pcm: bytes) -> bytes:
    """Its last second."""
    return pcm[-SECOND:]


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 6.0, 20.0])
def test_a_gain_changes_the_level_by_so_much(gain_db: float) -> None:
    assert level(Gain(gain_db)(tone(440))) == pytest.approx(level(tone(440)) + gain_db, abs=0.1)


@given(st.lists(st.integers(-32768, 32767)))
def test_what_does_not_fit_is_clipped_and_never_wrapped(samples: list[int]) -> None:
    said = array("h", Gain(40.0)(array("h", samples).tobytes()))
    assert list(said) == [max(-32768, min(32767, sample * 100)) for sample in samples]


@pytest.mark.parametrize(
    ("corner_hz", "hertz", "less_db"),
    [(80, 1000, 0.0), (80, 160, 0.3), (80, 80, 3.0), (80, 40, 12.3), (80, 20, 24.1), (10, 80, 0.0)],
)
def test_below_its_corner_a_high_pass_takes_12_db_an_octave(
    corner_hz: float, hertz: float, less_db: float
) -> None:
    heard = tone(hertz, peak=20_000, seconds=3.0)
    passed = HighPass(corner_hz)(heard)
    assert level(settled(heard)) - level(settled(passed)) == pytest.approx(less_db, abs=0.15)


@pytest.mark.parametrize("corner_hz", [5.0, 80.0, 500.0])
def test_an_offset_is_taken_away_from_the_first_sample_on(corner_hz: float) -> None:
    passed = HighPass(corner_hz)(array("h", [9000] * RATE).tobytes())
    assert set(array("h", passed)) <= {0}


def test_a_high_pass_amplifies_by_the_way_and_clips_what_does_not_fit() -> None:
    louder = HighPass(80.0, 12.0)(tone(1000))
    assert level(settled(louder)) == pytest.approx(level(tone(1000)) + 12, abs=0.1)
    clipped = array("h", HighPass(80.0, 40.0)(tone(1000)))
    assert (min(clipped), max(clipped)) == (-32768, 32767)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_it_makes_no_difference_how_much_comes_at_once(cuts: list[int]) -> None:
    heard, whole, parts = tone(100, seconds=0.1, offset=500), HighPass(80.0), HighPass(80.0)
    said, at = b"", 0
    for cut in cuts:
        said += parts(heard[at : at + 2 * cut])
        at += 2 * cut
    assert said + parts(heard[at:]) == whole(heard)


def test_once_reset_it_is_as_new() -> None:
    used = HighPass(80.0)
    used(tone(30, peak=30_000))
    used.reset()
    assert used(tone(300)) == HighPass(80.0)(tone(300))


def test_silence_stays_silent_also_behind_sound() -> None:
    for stage in (Gain(40.0), HighPass(80.0, 40.0)):
        stage(tone(50))
        assert stage(bytes(3 * SECOND))[-SECOND:] == bytes(SECOND)
        assert stage(b"") == b""
