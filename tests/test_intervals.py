"""When the robot spoke or moved: counted by id, renewed, capped, and never for ever."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from scribed import intervals
from scribed.config import Echo
from scribed.intervals import MAX_ACTIVE, MAX_PAST, Doings, Intervals, together
from scribed.model import RobotDid, RobotDoes

LEAD_S, TAIL_S, MAX_S = 0.25, 0.5, 8.0
STEP_S = 0.25


def some() -> Intervals:
    return Intervals(lead_s=LEAD_S, tail_s=TAIL_S, max_s=MAX_S)


def says(
    at: float, on: bool, id: str = "", ttl_s: float | None = None, text: str = ""
) -> RobotDoes:
    return RobotDoes("speaking", on, at, id, ttl_s, text)


@st.composite
def talks(draw: st.DrawFn, most: int = 30) -> list[RobotDoes]:
    """Commands of some ids, in the order of their times, which are whole steps."""
    at, told = 100.0, []
    for _ in range(draw(st.integers(1, most))):
        at += STEP_S * draw(st.integers(0, 12))
        ttl_s = draw(st.none() | st.integers(1, 60).map(lambda n: n * STEP_S))
        told.append(says(at, draw(st.booleans()), draw(st.sampled_from("abc")), ttl_s))
    return told


def spoke_at(told: list[RobotDoes], moment: float) -> bool:
    """The same by the simplest means: whether any id counts at `moment`, without lead and tail."""
    until: dict[str, float] = {}
    for does in told:
        if does.at > moment:
            break
        until[does.id] = does.at + min(does.ttl_s or MAX_S, MAX_S) if does.on else -math.inf
    return any(moment < end for end in until.values())


@given(talks(), st.integers(0, 200))
def test_what_the_robot_says_is_so_until_it_takes_it_back_or_its_time_is_over(
    told: list[RobotDoes], step: int
) -> None:
    known = some()
    for does in told:
        known.take(does)
    moment = 100.0 + (step + 0.5) * STEP_S  # between two steps
    so = known.during(moment, moment)
    if so is None:
        assert not spoke_at(told, moment)
        return
    reach = [moment + n * STEP_S for n in range(-2, 2)]  # TAIL_S before, LEAD_S behind
    exact = any(spoke_at(told, near) for near in reach[1:3])
    assert so >= exact
    assert not so or any(spoke_at(told, each) for each in reach)


@given(talks())
def test_it_is_over_whatever_was_said_when_nothing_more_is_said(told: list[RobotDoes]) -> None:
    known = some()
    for does in told:
        known.take(does)
    last = told[-1].at
    assert known.until <= last + MAX_S + TAIL_S
    assert known.during(last + MAX_S + TAIL_S, last + 1e6) is False


@given(talks(), st.integers(0, 100), st.integers(0, 20))
def test_until_says_when_nothing_is_left(told: list[RobotDoes], step: int, more: int) -> None:
    known = some()
    for does in told:
        known.take(does)
    start = max(told[-1].at + step * STEP_S, known.until)
    assert not known.during(start, start + more)


@given(talks(), st.floats(90, 200), st.floats(0, 40), st.floats(0, 10), st.floats(0, 10))
def test_a_longer_time_is_never_freer(
    told: list[RobotDoes], start: float, length: float, before: float, behind: float
) -> None:
    known = some()
    for does in told:
        known.take(does)
    if known.during(start, start + length):
        assert known.during(start - before, start + length + behind)


@given(talks(most=60))
def test_however_much_is_said_nothing_is_forgotten_that_was_near(told: list[RobotDoes]) -> None:
    known, flooded = some(), some()
    for n, does in enumerate(told):
        known.take(does)
        for other in range(8):
            flooded.take(says(does.at, True, f"{n}-{other}", ttl_s=0.01))
        flooded.take(does)
    for n in range(400):
        moment = 100.1 + n * STEP_S
        if known.during(moment, moment):
            assert flooded.during(moment, moment)


def test_memory_is_bounded_and_errs_towards_the_robot_s_voice() -> None:
    known = some()
    for n in range(5 * MAX_PAST):
        known.take(says(100 + n / 100, True, f"{n}", ttl_s=3.0, text=f"text {n}"))
    assert known.during(100.0, 100.1)
    assert known.during(110.0, 110.1)
    assert len(known.texts(0, 1e6)) <= intervals.MAX_TEXTS
    assert known.left_s(f"{5 * MAX_PAST - 1}", 112.8) > 0
    assert known.left_s(f"{5 * MAX_PAST - 1 - MAX_ACTIVE}", 112.8) == 0
    assert known.until < 112.8 + 3.0 + TAIL_S + 0.01


def test_lead_and_tail_reach_beyond_it() -> None:
    known = some()
    known.take(says(100.0, True))
    known.take(says(103.0, False))
    assert known.during(99.0, 99.80)
    assert not known.during(99.0, 99.75)
    assert known.during(103.4, 110.0)
    assert not known.during(103.5, 110.0)
    assert known.until == 103.5


def test_before_the_first_word_of_the_robot_nothing_is_known() -> None:
    known = some()
    assert known.during(0.0, 1e9) is None
    known.take(says(100.0, False))
    assert known.during(50.0, 99.0) is None
    assert known.during(99.0, 101.0) is False


def test_each_id_ends_by_itself() -> None:
    known = some()
    known.take(says(100.0, True, "a"))
    known.take(says(101.0, True, "b"))
    known.take(says(102.0, False, "a"))
    assert known.during(104.0, 104.1)
    known.take(says(105.0, False, "b"))
    known.take(says(105.0, False, "never heard of"))
    assert not known.during(105.6, 106.0)


def test_saying_it_again_renews_it_and_the_cap_is_for_each_time() -> None:
    known = some()
    for n in range(10):
        known.take(says(100.0 + 5 * n, True, "a", ttl_s=1000.0))
    assert known.during(120.0, 120.1)
    assert known.until == 145.0 + MAX_S + TAIL_S
    known.take(says(146.0, True, "a", ttl_s=1.0))
    assert known.until == 147.0 + TAIL_S


def test_the_words_of_each_interval_come_in_the_order_of_their_beginnings() -> None:
    doings = Doings(Echo())
    doings.take(says(100.0, True, "a", text="one"))
    doings.take(says(101.0, True, "b", text="two"))
    doings.take(says(102.0, True, "a", text="three"))
    doings.take(says(103.0, False, "a"))
    doings.take(says(104.0, False, "b"))
    doings.take(RobotDoes("moving", True, 104.0))
    assert doings.during(100.5, 103.0) == RobotDid(True, None, ("one", "three", "two"))
    assert doings.during(103.8, 104.5) == RobotDid(True, True, ("two",))
    assert doings.during(106.0, 107.0) == RobotDid(False, True, ())


KNOWN = st.none() | st.booleans()
DID = st.builds(RobotDid, KNOWN, KNOWN, st.lists(st.text(max_size=3), max_size=3).map(tuple))


@given(DID, DID)
def test_what_two_know_is_not_less_than_what_each_knows(one: RobotDid, other: RobotDid) -> None:
    both = together(one, other)
    assert both.speaking == together(other, one).speaking
    for each in (one, other):
        assert each.speaking is None or both.speaking is not None
        assert not each.speaking or both.speaking
        assert not each.moving or both.moving
        assert {text for text in each.said if text} <= set(both.said)
