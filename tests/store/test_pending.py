"""What the ledger does not take is held in little room, and what the broker has goes first."""

from __future__ import annotations

from scribed.store.pending import LIMIT, SPARE, Pending
from tests.store.machine import utterance
from tests.store.talk import final


def test_what_the_broker_has_is_given_up_first_and_counted() -> None:
    pending = Pending()
    for seq in range(1, 1001):
        assert pending.add(final(seq))
    for seq in range(1, SPARE + 11):
        pending.acknowledge(utterance(seq), seq, 0.0)
    assert (len(pending.items), pending.unrestatable) == (1000, 0)
    pending.lighten()
    assert (len(pending.items), pending.unrestatable) == (990, 10)
    assert utterance(10) not in pending.items
    assert pending.holds(utterance(10))  # the ledger is still to know that it was delivered
    assert utterance(11) in pending.items
    pending.lighten()
    assert pending.unrestatable == 10


def test_nothing_that_the_broker_has_costs_a_word_that_it_has_not() -> None:
    pending = Pending()
    for seq in range(1, LIMIT + 1):
        assert pending.add(final(seq, "Go."))
    pending.acknowledge(utterance(7), 7, 0.0)
    assert pending.add(final(LIMIT + 1, "Go."))
    assert (len(pending.items), pending.unrestatable) == (LIMIT, 1)
    assert not pending.add(final(LIMIT + 2, "Go."))
    assert not pending.holds(utterance(1))


def test_more_acknowledgements_than_are_kept_leave_nothing_that_counts_as_undelivered() -> None:
    pending = Pending()
    for seq in range(1, LIMIT + 1):
        pending.acknowledge(utterance(seq), seq, 0.0)
    pending.add(final(LIMIT + 1))
    pending.acknowledge(utterance(LIMIT + 1), LIMIT + 1, 0.0)
    assert not pending.holds(utterance(LIMIT + 1))
    assert len(pending.changes()["delivered"]) == LIMIT


def test_when_the_ledger_has_it_all_it_is_said_who_was_delivered() -> None:
    pending = Pending()
    pending.add(final(1))
    pending.acknowledge(utterance(1), 1, 0.0)
    pending.acknowledge(utterance(2), 2, 0.0)
    assert pending.taken() == [utterance(1), utterance(2)]
    assert pending.due_at() is None
    pending.lighten()
    assert pending.unrestatable == 0
