"""A device that does not keep its rate is found, and none is accused that does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources.pace import HELD_UP_S, STRIKES, WINDOW_S, Pace

PAUSES = st.lists(st.floats(0.001, 0.6), min_size=30, max_size=200)


def verdicts(pace: Pace, pauses: list[float], rate: float, *, loses: bool = False) -> list[int]:
    """What it says of a device of `rate`, read after each of these pauses."""
    said, now, given = [], 100.0, 0
    for pause in pauses:
        now += pause
        due = int((now - 100.0) * rate)
        frames, given = due - given, due
        if loses and pause > HELD_UP_S:
            frames //= 2
        if (rate_found := pace.heard(frames, now)) is not None:
            said.append(rate_found)
    return said


@given(PAUSES, st.sampled_from([8000, 16_000, 48_000]), st.floats(-0.001, 0.001))
def test_a_device_that_keeps_its_rate_is_not_accused_however_it_is_read(
    pauses: list[float], rate: int, off: float
) -> None:
    assert verdicts(Pace(rate), pauses, rate * (1 + off), loses=True) == []


@given(st.sampled_from([0.17, 0.33, 0.5, 0.85, 1.2, 2.0, 3.0]), st.floats(0.01, 0.2))
def test_one_that_does_not_is_found_with_what_it_gives(factor: float, pause: float) -> None:
    reads = int((STRIKES + 1) * WINDOW_S / pause)
    said = verdicts(Pace(16_000), [pause] * reads, 16_000 * factor)
    assert said
    assert abs(said[0] / (16_000 * factor) - 1) < 0.05


def test_a_loss_that_is_known_accuses_nobody() -> None:
    pace = Pace(16_000)
    now = 0.0
    for _ in range(1000):
        now += 0.1
        assert pace.heard(1600, now) is None
        now += 0.3
        pace.restart()
