"""Where speech begins, pauses and ends."""

from __future__ import annotations

import array
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.endpointing import Edge, Endpointing
from tests.simulate.openmind import silence, speech
from tests.simulate.sockets import speech as recording


def noise(seconds: float, amplitude: int) -> bytes:
    generator = random.Random(7)
    samples = array.array(
        "h", (generator.randint(-amplitude, amplitude) for _ in range(round(16_000 * seconds)))
    )
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def ends(endpointing: Endpointing, pcm: bytes) -> list[float]:
    """Where segments end in this."""
    return [mark.at_s for mark in endpointing.feed(pcm) if mark.edge is Edge.END]


def test_a_segment_ends_after_its_silence() -> None:
    endpointing = Endpointing(0.8)
    assert ends(endpointing, silence(1.0) + speech(0.5)) == []
    assert endpointing.in_segment
    assert ends(endpointing, silence(0.75)) == []
    assert ends(endpointing, silence(0.1)) == [2.3]
    assert not endpointing.in_segment
    assert ends(endpointing, silence(5.0)) == []


def test_a_shorter_pause_is_noticed_and_ends_nothing() -> None:
    endpointing = Endpointing(0.8, min_silence_s=0.2)
    marks = endpointing.feed(speech(0.5) + silence(0.5) + speech(0.5) + silence(1.0))
    assert marks == [
        (Edge.SPEECH, 0.1),
        (Edge.PAUSE, 0.7),
        (Edge.SPEECH, 1.1),
        (Edge.PAUSE, 1.7),
        (Edge.END, 2.3),
    ]
    assert not endpointing.speaking


def test_a_click_is_no_speech() -> None:
    endpointing = Endpointing(0.5, min_speech_s=0.1)
    assert endpointing.feed((speech(0.08) + silence(0.2)) * 5) == []


def test_speech_that_was_cut_goes_on_as_a_segment_of_its_own() -> None:
    endpointing = Endpointing(0.5)
    endpointing.feed(speech(1.0))
    endpointing.cut()
    assert not endpointing.in_segment
    assert ends(endpointing, silence(1.0)) == []
    endpointing.feed(speech(1.0))
    endpointing.cut()
    assert ends(endpointing, speech(0.5) + silence(1.0)) == [4.0]


@pytest.mark.parametrize("amplitude", [30, 300, 1500])
def test_steady_noise_is_silence_and_speech_above_it_is_heard(amplitude: int) -> None:
    endpointing = Endpointing(0.5)
    pcm = noise(3.0, amplitude) + speech(1.0) + noise(3.0, amplitude)
    (end,) = ends(endpointing, pcm)
    assert end == pytest.approx(4.5, abs=0.05)


def test_a_higher_threshold_hears_less() -> None:
    quiet = noise(1.0, 400) + noise(1.0, 2000) + noise(1.0, 400)
    assert ends(Endpointing(0.3, 0.2), quiet) != []
    assert ends(Endpointing(0.3, 0.9), quiet) == []


def test_recorded_speech_ends_once_after_its_last_word() -> None:
    pcm = recording("goforward")
    (end,) = ends(Endpointing(0.8), pcm + silence(1.0))
    assert 2.1 < end - 0.8 < 2.8


@given(st.lists(st.integers(0, 9_000), max_size=30))
def test_how_the_audio_is_cut_into_pieces_changes_nothing(sizes: list[int]) -> None:
    pcm = speech(0.3) + silence(0.6) + speech(0.15) + silence(1.0)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(pcm[at : at + size])
        at += size
    endpointing = Endpointing(0.5)
    marks = [mark for piece in [*pieces, pcm[at:]] for mark in endpointing.feed(piece)]
    assert marks == Endpointing(0.5).feed(pcm)
