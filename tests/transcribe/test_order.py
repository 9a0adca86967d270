"""What is told is a beginning without a hole, and where it ends a later run begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.model import (
    Answer,
    Closed,
    EndReason,
    Final,
    Outcome,
    Provider,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)
from scribed.transcribe.order import Order

BEGAN, HANGOVER_S = 1000.0, 0.5


def order(start_s: float = 0.0) -> Order:
    return Order(BEGAN, start_s, HANGOVER_S)


def started(n: int) -> UtteranceStarted:
    return UtteranceStarted(UtteranceId(f"u{n}"), n, BEGAN + 10 * n)


def ended(n: int, reason: EndReason = EndReason.COMMIT) -> UtteranceEnded:
    return UtteranceEnded(UtteranceId(f"u{n}"), BEGAN + 10 * n + 4, reason, 4000)


def final(n: int, reason: EndReason = EndReason.COMMIT) -> Final:
    who = Provider("", "", "")
    return Final(started(n), ended(n, reason), 1, Answer(f"{n}"), "commit", 1, who, None, None, 0.0)


def closed(n: int, outcome: Outcome = Outcome.NO_SPEECH) -> Closed:
    return Closed(started(n), ended(n), outcome)


def spoken(*numbers: int) -> Order:
    said = order()
    for n in numbers:
        said.take(started(n))
    return said


def texts(said: Order, item: object) -> list[str]:
    return [told.final.answer.text for told in said.take(item)]


def test_texts_come_in_the_order_of_speech_whatever_the_order_of_answers() -> None:
    said = spoken(1, 2, 3)
    assert texts(said, final(2)) == []
    assert said.waiting == 2
    assert texts(said, final(1)) == ["1", "2"]
    assert texts(said, final(3)) == ["3"]
    assert said.waiting == 0


def test_each_text_says_how_far_everything_is_told_with_it() -> None:
    said = spoken(1, 2)
    said.take(final(2))
    told = said.take(final(1))
    assert [each.done_s for each in told] == [pytest.approx(14.5), pytest.approx(24.5)]


def test_a_later_run_begins_behind_the_last_that_is_told_without_a_hole() -> None:
    said = spoken(1, 2, 3)
    said.take(final(1))
    said.take(final(3))
    assert said.done_s == pytest.approx(14.5)  # its silence was sent too
    said.give_up()
    assert [untold.outcome for untold in said.untold] == [None, None]
    assert all(untold.is_loss for untold in said.untold)


def test_what_a_cut_ended_goes_on_at_the_cut() -> None:
    said = spoken(1)
    said.take(final(1, EndReason.LENGTH))
    assert said.done_s == pytest.approx(14.0)


def test_what_our_own_end_cut_is_left_to_a_later_run_if_there_can_be_one() -> None:
    for leave_cut in (True, False):
        said = spoken(1, 2)
        told = said.take(final(1), leave_cut=leave_cut)
        told += said.take(final(2, EndReason.SHUTDOWN), leave_cut=leave_cut)
        assert [each.final.answer.text for each in told] == (["1"] if leave_cut else ["1", "2"])


def test_an_end_without_text_is_passed_and_remembered() -> None:
    said = spoken(1, 2)
    said.take(closed(1))
    said.take(closed(2, Outcome.FAILED))
    assert said.done_s == pytest.approx(24.5)
    assert [(u.start_s, u.outcome, u.is_loss) for u in said.untold] == [
        (10.0, Outcome.NO_SPEECH, False),
        (20.0, Outcome.FAILED, True),
    ]


def test_a_run_that_goes_on_was_told_up_to_its_start() -> None:
    assert order(33.0).done_s == 33.0


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_whatever_comes_when_a_beginning_is_told_once(answers: list[int], count: int) -> None:
    said = spoken(*range(1, 9))
    told = [text for n in answers[:count] for text in texts(said, final(n))]
    assert told == [str(n) for n in range(1, len(told) + 1)]
    missing = set(range(1, 9)) - set(answers[:count])
    assert len(told) == min(missing, default=9) - 1
