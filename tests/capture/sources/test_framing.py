"""Framing and the timeline: whole frames, positions that leave nothing out, and times."""

from __future__ import annotations

import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources.framing import WINDOW_S, Framing, Timeline
from scribed.model import RATE


@given(
    pieces=st.lists(st.integers(0, 3000), max_size=20),
    frame_ms=st.sampled_from([10, 20, 30]),
    data=st.randoms(use_true_random=False),
)
def test_frames_are_what_was_fed_however_it_was_cut(
    pieces: list[int], frame_ms: int, data: object
) -> None:
    spoken = os.urandom(sum(pieces))
    framing, frame = Framing(RATE, 1, "mix", frame_ms), frame_ms * 32
    heard, at = b"", 0
    for piece in pieces:
        framing.feed(spoken[at : at + piece])
        at += piece
        if taken := framing.take():
            pcm, position = taken
            assert position * 2 == len(heard)
            assert len(pcm) % frame == 0
            heard += pcm
    rest = framing.finish()
    heard += rest[0] if rest else b""
    whole = spoken[: len(spoken) // 2 * 2]
    assert heard == whole + bytes(-len(whole) % frame)


def test_nothing_fed_is_nothing_to_take() -> None:
    framing = Framing(RATE, 1, "mix", 20)
    framing.feed(b"")
    assert framing.take() is None
    assert framing.finish() is None


def test_a_loss_cuts_the_frame_that_is_not_whole_and_counts_it() -> None:
    framing = Framing(RATE, 1, "mix", 20)
    framing.feed(bytes(640 + 100))
    assert framing.cut() == (bytes(640), 0)
    assert framing.resume(1.0) == RATE - 320
    framing.feed(bytes(640))
    assert framing.take() == (bytes(640), RATE)
    assert framing.heard_s == pytest.approx(1.02)


def test_time_does_not_run_backwards_behind_a_loss() -> None:
    framing = Framing(RATE, 1, "mix", 20)
    framing.feed(bytes(6400))
    framing.cut()
    assert framing.resume(0.01) == 0
    framing.feed(bytes(640))
    assert framing.take() == (bytes(640), 3200)


def test_half_a_sample_from_before_a_loss_does_not_shift_what_follows() -> None:
    framing = Framing(RATE, 1, "mix", 20)
    framing.feed(bytes(641))
    framing.cut()
    framing.resume(0.5)
    framing.feed(b"\1\2" * 320)
    assert framing.take() == (b"\1\2" * 320, RATE // 2)


def test_a_loss_of_resampled_sound_keeps_the_position() -> None:
    framing = Framing(48_000, 1, "mix", 20)
    framing.feed(bytes(48_000 * 2))
    assert framing.heard_s == 1.0
    taken = framing.cut()
    assert taken is not None
    assert len(taken[0]) // 2 == RATE  # the resampler was flushed: nothing of it is missing
    assert framing.resume(3.0) == 2 * RATE
    framing.feed(bytes(48_000 * 2))
    assert framing.heard_s == 4.0
    taken = framing.take()
    assert taken is not None
    assert taken[1] == 3 * RATE


def test_the_quickest_read_tells_when_the_sound_began() -> None:
    timeline = Timeline()
    assert timeline.arrived(0.1, 100.13) == 0.0
    assert timeline.arrived(0.2, 100.21) == 0.0
    assert timeline.arrived(0.3, 100.35) == pytest.approx(0.04)
    assert timeline.at(0) == pytest.approx(100.01)
    assert timeline.at(RATE) == pytest.approx(101.01)
    assert timeline.heard_by(103.01) == pytest.approx(3.0)


def test_times_never_run_backwards() -> None:
    timeline = Timeline()
    timeline.arrived(0.02, 100.1)
    first = timeline.at(0)
    timeline.arrived(0.04, 100.041)
    assert timeline.at(320) >= first


@pytest.mark.parametrize("ppm", [-500, 500])
def test_a_device_whose_clock_goes_wrong_is_followed(ppm: int) -> None:
    timeline, heard_s = Timeline(), 0.0
    late = []
    for tick in range(3600 * 10):
        now = 50 + tick / 10
        heard_s += 0.1 * (1 + ppm / 1e6)
        late.append(timeline.arrived(heard_s, now + 0.1))
        assert timeline.at(round(heard_s * RATE)) == pytest.approx(now + 0.1, abs=0.011)
    assert max(late) <= 2 * WINDOW_S * abs(ppm) / 1e6 + 1e-6


def test_before_anything_was_heard_no_time_has_gone_by() -> None:
    assert Timeline().heard_by(1000.0) == 0.0
    assert math.isfinite(Timeline().heard_by(0.0))
