"""Backoff: a fleet that lost the same server comes back spread out, and soon where it can."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from scribed.backoff import Backoff

DRAWS = 10_000
KS_1_PERCENT = 1.63 / DRAWS**0.5
"""The largest distance between two distributions that chance explains in 99 of 100 samples of this
size (Kolmogorov-Smirnov, asymptotic)."""


class Top(random.Random):
    """A die that always falls on the largest number: the delays are their caps."""

    def random(self) -> float:
        return 1.0


def distance_from_uniform(draws: list[float], cap: float) -> float:
    """How far the share of draws below any value is from what it would be, evenly drawn."""
    ordered = sorted(draw / cap for draw in draws)
    return max(
        max(abs((n + 1) / len(ordered) - x), abs(n / len(ordered) - x))
        for n, x in enumerate(ordered)
    )


def caps(initial_s: float, max_s: float, failures: int) -> list[float]:
    backoff = Backoff(initial_s, max_s, Top())
    return [backoff.next_delay() for _ in range(failures)]


def test_the_cap_doubles_with_each_failure_up_to_the_longest_delay() -> None:
    assert caps(0.5, 30.0, 8) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_first_delay_as_long_as_the_longest_does_not_grow() -> None:
    assert caps(30.0, 30.0, 3) == [30.0] * 3


def test_a_link_that_is_down_for_years_is_tried_all_the_same() -> None:
    backoff = Backoff(0.5, 30.0, Top())
    backoff.failures = 10_000_000
    assert backoff.next_delay() == 30.0


def test_the_first_delays_of_a_fleet_are_spread_evenly_from_zero_to_the_cap() -> None:
    fleet = random.Random(20)
    draws = [Backoff(2.0, 30.0, random.Random(fleet.random())).next_delay() for _ in range(DRAWS)]
    assert distance_from_uniform(draws, 2.0) < KS_1_PERCENT


def test_the_delays_of_one_daemon_at_its_cap_are_spread_evenly_too() -> None:
    backoff = Backoff(1.0, 30.0, random.Random(20))
    draws = [backoff.next_delay() for _ in range(DRAWS + 5)][5:]
    assert distance_from_uniform(draws, 30.0) < KS_1_PERCENT


def test_fifty_that_lost_one_server_never_come_back_at_twice_their_mean_pace() -> None:
    """In delays drawn from 0 to c what is left of one has the density 2/c at most: twice 1/c."""
    longest, away, step, outages = 30.0, 120.0, 2.0, 400
    dice = random.Random(20)
    comes = [0] * int(longest / step)
    for _ in range(50 * outages):
        backoff, now = Backoff(0.5, longest, random.Random(dice.random())), 0.0
        while now < away:
            now += backoff.next_delay()
        comes[int((now - away) / step)] += 1
    assert max(comes) <= 2 * sum(comes) / len(comes)
    assert comes[-1] > 0


def test_success_brings_the_first_cap_back() -> None:
    backoff = Backoff(0.5, 30.0, Top())
    for _ in range(5):
        backoff.next_delay()
    backoff.reset()
    assert backoff.failures == 0
    assert [backoff.next_delay(), backoff.next_delay()] == [0.5, 1.0]


def test_two_daemons_do_not_draw_the_same() -> None:
    assert Backoff(1.0, 30.0).next_delay() != Backoff(1.0, 30.0).next_delay()


@given(st.floats(0.05, 60.0), st.floats(1.0, 3600.0), st.integers(1, 100), st.integers())
def test_no_delay_is_longer_than_its_cap(
    initial_s: float, max_s: float, failures: int, seed: int
) -> None:
    backoff = Backoff(initial_s, max_s, random.Random(seed))
    for n in range(failures):
        assert 0.0 <= backoff.next_delay() <= min(max_s, initial_s * 2**n)
        assert backoff.failures == n + 1
