"""From any audio format to 16 kHz."""

from __future__ import annotations

import array
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.audio import ULAW, To16k
from scribed.simulate.dialects.elevenlabs_query import RATES


def tone(rate: int, seconds: float = 0.5) -> array.array[int]:
    """440 Hz at a fourth of full scale."""
    return array.array(
        "h",
        (round(8000 * math.sin(math.tau * 440 * n / rate)) for n in range(round(rate * seconds))),
    )


def test_what_is_16_khz_already_is_not_touched() -> None:
    pcm = tone(16_000).tobytes()
    assert To16k(rate=16_000, ulaw=False)(pcm) is pcm


@pytest.mark.parametrize("rate", sorted(set(RATES.values()) - {16_000}))
def test_a_tone_keeps_its_pitch_length_and_level(rate: int) -> None:
    out = array.array("h", To16k(rate=rate, ulaw=False)(tone(rate).tobytes()))
    assert len(out) == pytest.approx(8000, abs=2)
    rising = sum(before < 0 <= after for before, after in pairwise(out))
    assert rising == pytest.approx(220, abs=1)
    assert max(out) == pytest.approx(8000, rel=0.02)


def test_u_law_is_decoded_as_g711_says() -> None:
    assert (ULAW[0xFF], ULAW[0x7F]) == (0, 0)
    assert (ULAW[0x80], ULAW[0x00]) == (32124, -32124)
    assert (ULAW[0xEF], ULAW[0x6F]) == (132, -132)
    assert len(To16k(rate=8000, ulaw=True)(bytes([0xFF]) * 8000)) == 32_000


@given(
    st.sampled_from([8_000, 22_050, 24_000, 44_100, 48_000]),
    st.lists(st.integers(-32768, 32767), max_size=200),
    st.lists(st.integers(1, 40), max_size=20),
)
def test_where_the_chunks_are_cut_makes_no_difference(
    rate: int, samples: list[int], cuts: list[int]
) -> None:
    pcm = array.array("h", samples).tobytes()
    whole, piecewise = To16k(rate=rate, ulaw=False), To16k(rate=rate, ulaw=False)
    out, start = b"", 0
    for cut in [*cuts, len(samples)]:
        out += piecewise(pcm[2 * start : 2 * (start + cut)])
        start += cut
    assert out == whole(pcm)
