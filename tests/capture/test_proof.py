"""Proof of hearing: what is no sound is found within its limit, and sound is never taken for it."""

from __future__ import annotations

import itertools
import random
from array import array
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture import proof
from scribed.capture.levels import SILENCE_DBFS
from scribed.capture.proof import DEAF_S, RECOVERED_S, REMEDIES, Fault, Kind, Proof, Sound
from scribed.model import RATE

FRAME, PART = 320, 1600
EVERY = PART // FRAME
LIMIT_S = 5.0
PART_S = PART / RATE

Sounds = Callable[[], bytes]
"""Gives the next 100 ms."""


def pcm(samples: Iterable[int]) -> bytes:
    return array("h", samples).tobytes()


def same(value: int) -> Sounds:
    part = pcm([value] * PART)
    return lambda: part


def noise(dbfs: float, *, dc: int = 0, seed: int = 1) -> Sounds:
    """White noise that goes on for long before it repeats itself."""
    chance, sigma = random.Random(seed), 32768 * 10 ** (dbfs / 20)
    parts = [
        pcm(max(-32768, min(32767, dc + round(chance.gauss(0, sigma)))) for _ in range(PART))
        for _ in range(40)
    ]
    return itertools.cycle(parts).__next__


DITHER = noise(-100)  # mostly 0, now and then 1 or -1
ROOM = noise(-80)
VOICE = noise(-25)


def feed(to: Proof, seconds: float, sounds: Sounds, *, voiced: bool = False) -> Iterator[Sound]:
    """Let it hear so much, as `Ear` does; after each part what it says."""
    for _ in range(round(seconds / PART_S)):
        part = sounds()
        to.part(part)
        to.frame(part[-2 * FRAME :], voiced=voiced, stands_for=PART)
        yield to.sound


def hear(to: Proof, seconds: float, sounds: Sounds, *, voiced: bool = False) -> Sound:
    *_, last = feed(to, seconds, sounds, voiced=voiced)
    return last


def kinds(to: Proof, seconds: float, sounds: Sounds, *, voiced: bool = False) -> set[Kind | None]:
    """All that was thought to be wrong meanwhile."""
    return {
        said.fault.kind if said.fault else None for said in feed(to, seconds, sounds, voiced=voiced)
    }


# Dead


@pytest.mark.parametrize(
    ("value", "what"), [(0, "digital silence"), (-3, "a stuck value (-3)"), (32767, "a stuck")]
)
def test_samples_that_never_change_are_a_dead_microphone_at_the_limit(
    value: int, what: str
) -> None:
    ear = Proof(LIMIT_S)
    assert kinds(ear, LIMIT_S - PART_S, same(value)) == {None}
    said = hear(ear, PART_S, same(value))
    assert said.is_dead
    assert said.fault is not None
    assert said.fault.evidence.startswith(what)
    assert said.fault.evidence.endswith(" for 5 s")
    assert kinds(ear, 60, same(value)) == {Kind.DEAD}


def test_a_dead_microphone_lives_when_a_second_of_sound_has_come_and_not_for_a_click() -> None:
    ear = Proof(LIMIT_S)
    hear(ear, 6, same(0))
    for _ in range(5):
        assert kinds(ear, 0.2, VOICE) == {Kind.DEAD}
        assert kinds(ear, LIMIT_S + 1, same(0)) == {Kind.DEAD}
    assert kinds(ear, RECOVERED_S - PART_S, VOICE) == {Kind.DEAD}
    assert hear(ear, PART_S, VOICE).fault is None
    assert kinds(ear, 30, ROOM) == {None}


def test_the_second_of_sound_may_come_in_pieces() -> None:
    ear = Proof(LIMIT_S)
    hear(ear, 6, same(0))
    for _ in range(9):
        assert hear(ear, PART_S, VOICE).is_dead
        assert hear(ear, LIMIT_S / 2, same(0)).is_dead
    assert not hear(ear, PART_S, VOICE).is_dead


def test_a_gate_in_the_microphone_that_opens_before_the_limit_is_none() -> None:
    """60 s of a USB microphone that gives zeros until somebody moves."""
    ear = Proof(LIMIT_S)
    for _ in range(12):
        assert kinds(ear, LIMIT_S - PART_S, same(0)) == {None}
        assert kinds(ear, PART_S, ROOM) == {None}


def test_one_that_stays_shut_for_longer_is_none_where_the_limit_says_so() -> None:
    assert kinds(Proof(90), 60, same(0)) == {None}
    assert kinds(Proof(0), 2 * DEAF_S, same(0)) == {None}


def test_one_value_and_then_another_is_not_stuck_at_one() -> None:
    ear = Proof(LIMIT_S)
    assert kinds(ear, 4, same(0)) == kinds(ear, 4, same(7)) == {None}
    assert hear(ear, 1, same(7)).is_dead


def test_what_was_heard_before_it_was_opened_anew_counts_no_more_and_a_fault_stands() -> None:
    ear = Proof(LIMIT_S)
    hear(ear, 4, same(0))
    ear.anew()
    assert kinds(ear, 4, same(0)) == {None}
    hear(ear, 1, same(0))
    ear.anew()
    assert hear(ear, PART_S, same(0)).is_dead
    ear.forget()
    assert ear.sound == Sound()


SAMPLES = st.one_of(
    st.builds(
        lambda value, count: [value] * count, st.sampled_from([0, 7, -32768]), st.integers(1, 40)
    ),
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=8),
)


@given(st.lists(SAMPLES, max_size=30), st.integers(1, 16), st.integers(1, 60))
def test_of_any_sound_the_unchanging_end_is_known_to_the_part(
    pieces: list[list[int]], size: int, limit: int
) -> None:
    """Against a reference that looks at each sample: it never says more, nor a part less."""
    ear, heard, longest = Proof(limit / RATE), list(itertools.chain(*pieces)), 0
    for at in range(0, len(heard) - size + 1, size):
        ear.part(pcm(heard[at : at + size]))
        so_far = heard[: at + size]
        run = len(list(next(itertools.groupby(reversed(so_far)))[1]))
        still = round(ear.sound.still_s * RATE)
        assert still <= run < still + size or still == run
        assert still == 0 or ear.sound.still_at == so_far[-1]
        longest = max(longest, run)
        if longest < limit:
            assert not ear.sound.is_dead
        if run >= limit + size:
            assert ear.sound.is_dead


# Deaf


def test_nothing_but_the_converters_own_noise_for_long_is_a_deaf_microphone() -> None:
    ear = Proof(LIMIT_S)
    assert kinds(ear, DEAF_S - PART_S, DITHER) == {None}
    said = hear(ear, PART_S, DITHER)
    assert said.fault == Fault(Kind.DEAF, "nothing above the converter's own noise for 10 min")
    assert not said.is_dead  # it may be very quiet indeed
    assert kinds(ear, RECOVERED_S - PART_S, ROOM) == {Kind.DEAF}
    assert hear(ear, PART_S, ROOM).fault is None


def test_a_room_at_80_below_full_scale_is_quiet_and_no_fault() -> None:
    assert kinds(Proof(LIMIT_S), 3 * DEAF_S, ROOM) == {None}


def test_where_speech_is_heard_it_is_never_deaf() -> None:
    ear = Proof(LIMIT_S)
    for _ in range(4):
        assert kinds(ear, DEAF_S / 2, DITHER) == {None}
        assert kinds(ear, PART_S, DITHER, voiced=True) == {None}
    hear(ear, DEAF_S, DITHER)
    assert hear(ear, PART_S, DITHER, voiced=True).fault is None


def test_a_dead_microphone_that_comes_back_was_not_deaf_besides() -> None:
    ear = Proof(LIMIT_S)
    hear(ear, 2 * DEAF_S, same(0))
    assert kinds(ear, 20, ROOM) == {Kind.DEAD, None}


# Clipping and DC offset


def clipped(share: float) -> Sounds:
    """Loud noise of which so much is at full scale."""
    chance = random.Random(3)
    parts = [
        pcm(32767 if chance.random() < share else round(chance.gauss(0, 4000)) for _ in range(PART))
        for _ in range(40)
    ]
    return itertools.cycle(parts).__next__


def test_clipped_speech_is_told_after_two_windows_and_taken_back_after_two_that_are_not() -> None:
    ear = Proof(LIMIT_S)
    assert kinds(ear, 9.9, clipped(0.02), voiced=True) == {None}
    said = hear(ear, 0.1, clipped(0.02), voiced=True)
    assert said.clipped == pytest.approx(0.02, rel=0.3)
    assert said.fault == Fault(Kind.CLIPPING, f"{said.clipped:.1%} of the samples are clipped")
    assert said.peak_dbfs == pytest.approx(0, abs=0.001)
    assert kinds(ear, 60, ROOM) == {Kind.CLIPPING}  # nobody speaks: nothing is known
    assert kinds(ear, 60, clipped(0.002), voiced=True) == {Kind.CLIPPING}  # better, not good
    assert kinds(ear, 9.9, VOICE, voiced=True) == {Kind.CLIPPING}
    assert hear(ear, 0.1, VOICE, voiced=True).fault is None


def test_a_slammed_door_is_no_clipping() -> None:
    ear = Proof(LIMIT_S)
    for _ in range(10):
        assert kinds(ear, 0.3, same(32767)) == {None}
        assert kinds(ear, 12, ROOM) == {None}


def test_a_large_offset_is_told_and_taken_back_when_it_is_small() -> None:
    ear = Proof(LIMIT_S)
    assert kinds(ear, 9.9, noise(-50, dc=-4000)) == {None}
    said = hear(ear, 0.1, noise(-50, dc=-4000))
    assert said.fault == Fault(Kind.OFFSET, "a DC offset of 12% of full scale")
    assert said.dc == pytest.approx(-4000 / 32768, abs=0.001)
    assert kinds(ear, 60, noise(-50, dc=-2500)) == {Kind.OFFSET}
    assert kinds(ear, 9.9, noise(-50, dc=300)) == {Kind.OFFSET}
    assert hear(ear, 0.1, noise(-50, dc=300)).fault is None


def test_the_worst_is_told() -> None:
    ear = Proof(LIMIT_S)
    hear(ear, 20, noise(-50, dc=-4000))
    assert kinds(ear, 7, same(9000)) == {Kind.OFFSET, Kind.DEAD}
    assert kinds(ear, 3, noise(-50, dc=-4000)) == {Kind.DEAD, Kind.OFFSET}


@given(st.lists(st.lists(st.integers(-32768, 32767), min_size=8, max_size=8), min_size=1))
def test_the_figures_are_those_of_the_samples_that_were_measured(frames: list[list[int]]) -> None:
    ear, filler = Proof(LIMIT_S), bytes(2 * RATE * 5)
    for samples in frames:
        sparse = itertools.chain.from_iterable((value, 99, -99, 5) for value in samples)
        ear.frame(pcm(sparse), voiced=False, stands_for=160)
    ear.part(filler)  # the window is over
    said, all_of_it = ear.sound, list(itertools.chain(*frames))
    full = sum(value in (-32768, -32767, 32767) for value in all_of_it)
    assert said.clipped == full / len(all_of_it)
    assert said.dc == pytest.approx(sum(all_of_it) / len(all_of_it) / 32768)
    assert said.peak_dbfs is not None
    loudest = max(map(abs, all_of_it))
    assert 10 ** (said.peak_dbfs / 20) * 32768 == pytest.approx(max(loudest, 1))
    assert SILENCE_DBFS <= said.peak_dbfs <= 0


# All of it


@given(st.lists(st.tuples(st.sampled_from([0, 5, -32768, None]), st.booleans()), max_size=60))
def test_what_is_no_microphone_is_measured_and_never_judged(
    parts: list[tuple[int | None, bool]],
) -> None:
    ear = Proof(None)
    for value, voiced in parts:
        sounds = VOICE if value is None else same(value)
        assert kinds(ear, 1.0, sounds, voiced=voiced) == {None}


def test_each_fault_has_its_remedy() -> None:
    assert set(REMEDIES) == set(Kind)


def test_the_bounds_have_room_between_raising_and_clearing() -> None:
    assert proof.DEAF_STEPS < proof.HEARS_STEPS
    assert proof.CLIPPING_OVER < proof.CLIPPING
    assert proof.OFFSET_OVER < proof.OFFSET
