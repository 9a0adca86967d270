"""The adaptive noise floor: what stands out from the noise of the last seconds."""

from __future__ import annotations

import math
import random
from array import array

import pytest

from scribed.capture.floor import LEARNING_MS, SHARE, WINDOW_MS, Floor

FRAME_MS = 20


def noise(level_dbfs: float, duration_ms: int, seed: int = 1) -> list[bytes]:
    """Frames of white noise."""
    rng, size = random.Random(seed), 16 * FRAME_MS
    amplitude = 32768 * 10 ** (level_dbfs / 20)
    return [
        array("h", (round(rng.gauss(0, amplitude)) for _ in range(size))).tobytes()
        for _ in range(duration_ms // FRAME_MS)
    ]


def stand_out(floor: Floor, frames: list[bytes]) -> list[bool]:
    said = []
    for frame in frames:
        floor.add(frame)
        said.append(floor.stands_out())
    return said


@pytest.mark.parametrize("level", [-70.0, -40.0, -20.0])
def test_steady_noise_does_not_stand_out_however_loud(level: float) -> None:
    floor = Floor(FRAME_MS)
    learned = LEARNING_MS // FRAME_MS
    assert not any(stand_out(floor, noise(level, 5000))[learned:])
    assert floor.dbfs == pytest.approx(level, abs=1.0)


def test_what_is_as_loud_again_stands_out() -> None:
    floor = Floor(FRAME_MS)
    stand_out(floor, noise(-40, 5000))
    louder = stand_out(floor, noise(-35, 300, seed=2))
    assert sum(louder) == 5, "it looks once in 60 ms"
    assert not any(stand_out(floor, noise(-40, 300, seed=3))[3:])


def test_until_it_has_learned_everything_stands_out() -> None:
    said = stand_out(Floor(FRAME_MS), noise(-60, 2000))
    assert all(said[: LEARNING_MS // FRAME_MS - 1])
    assert not any(said[LEARNING_MS // FRAME_MS :])


def test_a_noise_that_stays_is_the_floor_after_a_share_of_the_window() -> None:
    floor = Floor(FRAME_MS)
    stand_out(floor, noise(-60, 10_000))
    said = stand_out(floor, noise(-30, 10_000, seed=2))
    last_s = (max(n for n, out in enumerate(said) if out) + 1) * FRAME_MS / 1000
    assert last_s == pytest.approx((1 - SHARE) * WINDOW_MS / 1000, abs=0.3)


def test_who_pauses_for_breath_stands_out_for_as_long_as_he_talks() -> None:
    floor = Floor(FRAME_MS)
    stand_out(floor, noise(-60, 2000))
    for turn in range(20):
        assert any(stand_out(floor, noise(-30, 600, seed=turn))), turn
        stand_out(floor, noise(-60, 400, seed=turn))


def test_digital_silence_is_a_floor_too() -> None:
    floor = Floor(FRAME_MS)
    assert not any(stand_out(floor, [bytes(640)] * 100)[50:])
    assert any(stand_out(floor, noise(-80, 100)))


def test_it_forgets_on_request() -> None:
    floor = Floor(FRAME_MS)
    stand_out(floor, noise(-20, 5000))
    floor.reset()
    assert floor.dbfs is None
    assert all(stand_out(floor, noise(-60, 500)))


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_the_length_of_frames_changes_little(frame_ms: int) -> None:
    floor = Floor(frame_ms)
    pcm = b"".join(noise(-40, 6000) + noise(-30, 600, seed=2))
    size = 32 * frame_ms
    said = stand_out(floor, [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)])
    loud = 6000 // frame_ms
    assert not any(said[LEARNING_MS // frame_ms * 2 : loud - 1])
    assert any(said[loud:])
    assert floor.dbfs is not None
    assert math.isclose(floor.dbfs, -40, abs_tol=1.0)
