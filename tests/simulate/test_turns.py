"""The gate that finds where somebody has finished speaking, in a service that commits by itself."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.simulate.dialects.turns import Turns
from scribed.simulate.recognizers import BYTES_PER_S
from tests.simulate.sockets import voice

spoken = functools.lru_cache(voice)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(16_000 * seconds))


def ends(turns: Turns, *pieces: bytes, step: int = 640) -> list[float]:
    """When turns ended, in seconds of the audio."""
    audio = b"".join(pieces)
    return [
        round(min(at + step, len(audio)) / BYTES_PER_S, 2)
        for at in range(0, len(audio), step)
        if turns.hear(audio[at : at + step])
    ]


def test_a_turn_ends_after_so_much_silence() -> None:
    turns = Turns(threshold=0.4, silence_s=1.5)
    (end,) = ends(turns, silence(1), spoken(1.0), silence(3))
    assert 3.5 <= end <= 3.75


def test_a_shorter_pause_does_not_end_it() -> None:
    turns = Turns(threshold=0.4, silence_s=1.0)
    (end,) = ends(turns, spoken(1.0), silence(0.7), spoken(1.0), silence(2))
    assert 3.7 <= end <= 3.95


def test_every_turn_ends_once() -> None:
    turns = Turns(threshold=0.4, silence_s=0.5)
    assert len(ends(turns, *[spoken(0.6), silence(3)] * 3)) == 3


def test_silence_alone_never_ends_a_turn() -> None:
    assert ends(Turns(threshold=0.1, silence_s=0.3), silence(20)) == []


def test_a_sound_that_is_too_short_is_no_speech() -> None:
    turns = Turns(threshold=0.4, silence_s=0.5, min_speech_s=0.6)
    assert ends(turns, spoken(0.3), silence(2)) == []
    assert len(ends(turns, spoken(1.0), silence(2))) == 1


def test_what_was_committed_by_somebody_else_is_not_committed_again() -> None:
    turns = Turns(threshold=0.4, silence_s=0.5)
    assert ends(turns, spoken(1.0)) == []
    assert turns.speaking
    turns.restart()
    assert not turns.speaking
    assert ends(turns, silence(3)) == []


@pytest.mark.parametrize(("said_s", "least", "most"), [(1.0, 1.5, 1.75), (0.3, 1.8, 2.05)])
def test_a_predicted_turn_ends_sooner_if_more_than_a_word_was_said(
    said_s: float, least: float, most: float
) -> None:
    turns = Turns(threshold=0.4, silence_s=1.5, turn_silence_s=0.5)
    (end,) = ends(turns, spoken(said_s), silence(3))
    assert least <= end <= most


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 320))
def test_the_size_of_the_pieces_changes_nothing_but_where_it_is_told(samples: int) -> None:
    pieces = spoken(0.5), silence(1), spoken(0.4), silence(1)
    found = ends(Turns(threshold=0.4, silence_s=0.5), *pieces, step=2 * samples)
    assert found == pytest.approx(ends(Turns(threshold=0.4, silence_s=0.5), *pieces), abs=0.021)
