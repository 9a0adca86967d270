"""Conversion to 16 kHz mono: exact to the sample over hours, and true to the sound."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.capture.sources.convert import Converter
from scribed.capture.sources.samples import WIDTHS, Pick, is_plain
from scribed.model import RATE

NATIVE_RATES = [8000, 11_025, 22_050, 44_100, 48_000, 96_000]


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000])
def test_over_hours_not_one_sample_is_gained_or_lost(rate: int) -> None:
    converter, second = Converter(rate, 1, "mix"), bytes(2 * rate)
    given_out, hours = 0, 3
    for fed_s in range(1, hours * 3600 + 1):
        given_out += len(converter.feed(second)) // 2
        assert 0 <= fed_s * RATE - given_out <= RATE // 5  # what the filter still holds
    given_out += len(converter.flush()) // 2
    assert given_out == hours * 3600 * RATE


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from(NATIVE_RATES),
    channels=st.integers(1, 3),
    pieces=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    seed=st.integers(0, 255),
)
def test_the_sound_does_not_depend_on_how_it_was_cut(
    rate: int, channels: int, pieces: list[int], seed: int
) -> None:
    pcm = bytes((i * i * 31 + seed) % 256 for i in range(sum(pieces) * channels * 2))
    whole = Converter(rate, channels, "mix")
    expected = whole.feed(pcm) + whole.flush()
    cut, heard, at = Converter(rate, channels, "mix"), b"", 0
    for piece in pieces:
        size = piece * channels * 2
        heard += cut.feed(pcm[at : at + size])
        at += size
    heard += cut.flush()
    assert len(heard) // 2 == pytest.approx(sum(pieces) * RATE / rate, abs=0.5)
    assert array("h", heard).tolist() == pytest.approx(array("h", expected).tolist(), abs=1)


@pytest.mark.parametrize("rate", NATIVE_RATES)
def test_a_tone_keeps_its_pitch_its_level_and_its_place(rate: int) -> None:
    tone = [round(20_000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(rate)]
    converter = Converter(rate, 1, "mix")
    heard = array("h", converter.feed(array("h", tone).tobytes()) + converter.flush())
    expected = [20_000 * math.sin(2 * math.pi * 440 * i / RATE) for i in range(RATE)]
    assert len(heard) == RATE
    assert heard[800:-800].tolist() == pytest.approx(expected[800:-800], abs=20)


def test_silence_stays_silent_without_dither() -> None:
    converter = Converter(44_100, 2, "mix")
    assert not any(converter.feed(bytes(4 * 44_100)) + converter.flush())


def test_what_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    square = array("h", ([32767] * 24 + [-32768] * 24) * 1000)
    converter = Converter(48_000, 1, "mix")
    heard = array("h", converter.feed(square.tobytes()) + converter.flush())
    period = 16
    middle = heard[RATE // 4 // period * period :][: 100 * period]
    assert max(middle) == 32767
    assert min(middle) == -32768
    changes = sum((a < 0) != (b < 0) for a, b in pairwise(middle))
    assert changes == pytest.approx(200, abs=2)


@pytest.mark.parametrize(("channel", "expected"), [("mix", 200), (0, 100), (1, 200), (2, 300)])
def test_at_16_khz_channels_are_mixed_or_picked_exactly(channel: str | int, expected: int) -> None:
    converter = Converter(RATE, 3, channel)
    assert (
        array("h", converter.feed(array("h", [100, 200, 300] * 5).tobytes())).tolist()
        == [expected] * 5
    )
    assert converter.flush() == b""


def test_after_a_flush_a_new_stream_begins() -> None:
    converter = Converter(48_000, 1, "mix")
    loud = array("h", [20_000] * 4800).tobytes()
    first = converter.feed(loud) + converter.flush()
    assert converter.feed(loud) + converter.flush() == first


# Formats


def packed(format: str, values: list[int]) -> bytes:
    """24-bit values as this format has them; S24_LE with rubbish in the fourth byte."""
    match format:
        case "S32_LE":
            return b"".join((value * 256).to_bytes(4, "little", signed=True) for value in values)
        case "S24_3LE":
            return b"".join(value.to_bytes(3, "little", signed=True) for value in values)
        case "S24_LE":
            return b"".join(value.to_bytes(3, "little", signed=True) + b"\xa5" for value in values)
        case "FLOAT_LE":
            return array("f", [value / 2**23 for value in values]).tobytes()
        case _:
            return array("h", [value >> 8 for value in values]).tobytes()


SAMPLES = st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=60)


@given(st.sampled_from(sorted(WIDTHS)), SAMPLES, st.integers(1, 8), st.data())
def test_every_format_is_the_same_sound(
    format: str, values: list[int], channels: int, data: st.DataObject
) -> None:
    channel = data.draw(st.integers(0, channels - 1))
    interleaved = [
        value if c == channel else -value - 1 for value in values for c in range(channels)
    ]
    raw = packed(format, interleaved)
    heard = array("h", Converter(RATE, channels, channel, format).feed(raw)).tolist()
    assert heard == pytest.approx([value / 256 for value in values], abs=1.0)
    if is_plain(format):
        cut_down = array("h", Pick(format, channels, channel).feed(raw)).tolist()
        assert cut_down == [value >> 8 for value in values]


@given(st.sampled_from(sorted(WIDTHS)), SAMPLES, st.integers(1, 8))
def test_the_mix_is_the_mean_of_all_channels(format: str, values: list[int], channels: int) -> None:
    whole = values[: len(values) // channels * channels]
    heard = array("h", Converter(RATE, channels, "mix", format).feed(packed(format, whole)))
    means = [
        sum(whole[at : at + channels]) / channels / 256 for at in range(0, len(whole), channels)
    ]
    assert heard.tolist() == pytest.approx(means, abs=1.6)  # 16 bits were cut off


@pytest.mark.parametrize("rate", [8000, 48_000, 96_000])
@pytest.mark.parametrize("format", sorted(WIDTHS))
def test_of_eight_channels_a_tone_is_heard_alike_in_each_format(rate: int, format: str) -> None:
    tone = [round(2_000_000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(rate)]
    raw = packed(format, [value for value in tone for _ in range(8)])
    converter = Converter(rate, 8, "mix", format)
    heard = array("h", converter.feed(raw) + converter.flush())
    expected = [2_000_000 / 256 * math.sin(2 * math.pi * 440 * i / RATE) for i in range(RATE)]
    assert heard[800:-800].tolist() == pytest.approx(expected[800:-800], abs=10)


def test_a_float_that_is_no_number_is_silence_or_as_loud_as_can_be() -> None:
    raw = array("f", [math.nan, math.inf, -math.inf, 1.5, 0.0]).tobytes()
    heard = array("h", Converter(RATE, 1, "mix", "FLOAT_LE").feed(raw)).tolist()
    assert heard == [0, 32767, -32767, 32767, 0]
