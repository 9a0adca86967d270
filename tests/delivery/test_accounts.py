"""Every utterance that started ends exactly once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.accounts import Accounts
from scribed.model import Closed, Outcome
from tests.delivery.peers import ended, started, uid


def test_an_utterance_is_owed_an_end_until_it_has_one() -> None:
    accounts = Accounts()
    accounts.start(started(1, 0.0))
    assert uid(1) in accounts
    assert accounts.settle(started(1, 0.0))
    assert uid(1) not in accounts
    assert (accounts.detected, len(accounts)) == (1, 0)


def test_a_second_end_is_recognised() -> None:
    accounts = Accounts()
    accounts.start(started(1, 0.0))
    assert accounts.settle(started(1, 0.0))
    assert not accounts.settle(started(1, 0.0))
    assert accounts.detected == 1


def test_an_end_that_is_heard_of_before_its_start_counts_once() -> None:
    accounts = Accounts()
    assert accounts.settle(started(1, 0.0))
    assert (accounts.detected, accounts.recovered) == (0, 1)
    accounts.start(started(1, 0.0))
    assert (accounts.detected, accounts.recovered, len(accounts)) == (1, 0, 0)


def test_what_is_left_at_the_end_fails_oldest_first_with_what_is_known_of_its_end() -> None:
    accounts = Accounts()
    accounts.start(started(1, 0.0))
    accounts.end(ended(1, 1.0))
    accounts.start(started(2, 2.0))
    assert accounts.abandon() == [
        Closed(started(1, 0.0), ended(1, 1.0), Outcome.FAILED),
        Closed(started(2, 2.0), None, Outcome.FAILED),
    ]
    assert accounts.abandon() == []


def test_the_end_of_speech_is_known_by_its_start_even_if_the_text_came_first() -> None:
    accounts = Accounts()
    accounts.start(started(1, 0.0))
    accounts.settle(started(1, 0.0))
    assert accounts.end(ended(1, 1.0)) == started(1, 0.0)
    assert accounts.end(ended(1, 1.0)) is None


def test_what_an_earlier_run_left_is_recovered_and_not_detected() -> None:
    accounts = Accounts()
    accounts.recover(started(1, 0.0), ended(1, 1.0))
    accounts.settle(started(2, 0.0))  # a final that only waits for publication
    assert (accounts.detected, accounts.recovered, len(accounts)) == (0, 2, 1)
    assert accounts.settle(started(1, 0.0))
    assert (accounts.detected, accounts.recovered, len(accounts)) == (0, 2, 0)


def test_what_is_recovered_twice_or_has_its_end_already_counts_once() -> None:
    accounts = Accounts()
    accounts.settle(started(1, 0.0))
    accounts.recover(started(1, 0.0), ended(1, 1.0))
    accounts.recover(started(2, 0.0), ended(2, 1.0))
    accounts.recover(started(2, 0.0), ended(2, 1.0))
    assert (accounts.recovered, len(accounts)) == (2, 1)


def test_only_speech_of_now_is_live() -> None:
    accounts = Accounts()
    accounts.recover(started(1, 98.0), ended(1, 99.0))
    accounts.start(started(2, 99.0))
    assert not accounts.live(uid(1), since=90.0)
    assert accounts.live(uid(2), since=100.0)
    accounts.end(ended(2, 100.0))
    assert accounts.live(uid(2), since=100.0)
    assert not accounts.live(uid(2), since=100.1)
    assert not accounts.live(uid(3), since=0.0)


STEPS = st.tuples(st.sampled_from(["start", "recover", "end", "settle"]), st.integers(1, 8))


@given(st.lists(STEPS))
def test_each_is_detected_or_recovered_and_open_or_settled_whatever_the_order(
    steps: list[tuple[str, int]],
) -> None:
    accounts, settled = Accounts(), set()
    begun: dict[int, str] = {}
    for step, seq in steps:
        if step in ("start", "recover") and seq not in begun:
            begun[seq] = step
            if step == "start":
                accounts.start(started(seq, 0.0))
            else:
                accounts.recover(started(seq, 0.0), ended(seq, 1.0))
        elif step == "end":
            accounts.end(ended(seq, 1.0))
        elif step == "settle":
            assert accounts.settle(started(seq, 0.0)) == (seq not in settled)
            settled.add(seq)
        assert accounts.detected == sum(how == "start" for how in begun.values())
        assert accounts.detected + accounts.recovered == len(begun.keys() | settled)
        assert accounts.detected + accounts.recovered == len(accounts) + len(settled)
