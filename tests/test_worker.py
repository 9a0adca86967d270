"""Mailboxes, budgets and workers: nothing waits without a bound, and no thread dies unheard."""

from __future__ import annotations

import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scribed.worker import PATIENCE_S, Budget, Crashed, Finished, Mailbox, Worker

SOON = 10.0
"""Seconds after which a test gives up."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox[Any]]:
    box: Mailbox[Any] = Mailbox(limit=3)
    yield box
    box.close()


def readable(mailbox: Mailbox[Any], timeout: float = 0.0) -> bool:
    """Whether a selector says that something is in the mailbox."""
    poller = select.poll()
    poller.register(mailbox, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def in_thread(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


# Mailbox


def test_what_was_put_comes_out_in_order(mailbox: Mailbox[Any]) -> None:
    assert [mailbox.put(n) for n in (1, 2, 3)] == [True] * 3
    assert mailbox.drain() == [1, 2, 3]
    assert mailbox.drain() == []


def test_a_full_mailbox_takes_nothing_and_says_so(mailbox: Mailbox[Any]) -> None:
    for n in (1, 2, 3):
        mailbox.put(n)
    assert not mailbox.put(4)
    assert mailbox.drain() == [1, 2, 3]
    assert mailbox.put(5)
    assert mailbox.drain() == [5]


def test_a_selector_sees_whether_something_is_in_it(mailbox: Mailbox[Any]) -> None:
    assert not readable(mailbox)
    mailbox.put("a")
    mailbox.put("b")
    assert readable(mailbox)
    mailbox.drain()
    assert not readable(mailbox)


def test_a_reader_at_a_selector_is_woken_by_another_thread(mailbox: Mailbox[Any]) -> None:
    thread = in_thread(lambda: mailbox.put("wake up"))
    assert readable(mailbox, SOON)
    assert mailbox.drain() == ["wake up"]
    thread.join(SOON)


def test_what_is_put_without_waking_is_there_and_wakes_the_reader_when_it_shall(
    mailbox: Mailbox[Any],
) -> None:
    mailbox.wake()
    assert not readable(mailbox)  # nothing is here for it
    mailbox.put("a", wake=False)
    mailbox.put("b", wake=False)
    assert not readable(mailbox)
    mailbox.wake()
    assert readable(mailbox)
    assert mailbox.drain() == ["a", "b"]
    mailbox.wake()
    assert not readable(mailbox)


def test_a_reader_without_a_selector_waits_for_one_item_and_no_longer_than_it_said(
    mailbox: Mailbox[Any],
) -> None:
    begun = time.monotonic()
    assert mailbox.get(0.05) is None
    assert 0.05 <= time.monotonic() - begun < SOON
    assert mailbox.get(-1.0) is None
    thread = in_thread(lambda: mailbox.put("mail"))
    assert mailbox.get(SOON) == "mail"
    thread.join(SOON)


def test_nothing_is_lost_or_doubled_between_threads() -> None:
    mailbox: Mailbox[tuple[int, int]] = Mailbox(limit=1_000_000)

    def write(writer: int) -> None:
        for n in range(2000):
            mailbox.put((writer, n))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    received: list[tuple[int, int]] = []
    deadline = time.monotonic() + SOON
    while len(received) < 8000 and time.monotonic() < deadline:
        assert readable(mailbox, SOON)  # no wake-up is lost either
        received += mailbox.drain()
    for thread in threads:
        thread.join(SOON)
    mailbox.close()
    for writer in range(4):
        assert [n for who, n in received if who == writer] == list(range(2000))


def test_a_signal_handler_may_put_while_its_own_thread_is_reading(mailbox: Mailbox[Any]) -> None:
    before = signal.signal(signal.SIGALRM, lambda number, _: mailbox.put(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert mailbox.get(SOON) == signal.SIGALRM
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_reader_who_was_away_for_long_is_still_woken() -> None:
    mailbox: Mailbox[int] = Mailbox(limit=200_000)
    for n in range(200_000):
        mailbox.put(n)
    assert readable(mailbox)
    assert len(mailbox.drain()) == 200_000
    assert not readable(mailbox)
    mailbox.close()


# Budget


def test_a_budget_counts_what_is_charged_and_refunded() -> None:
    budget = Budget(100)
    budget.charge(60)
    budget.charge(60)  # what was heard is heard: it may go beyond
    assert (budget.used, budget.limit) == (120, 100)
    budget.refund(50)
    assert budget.used == 70


def test_there_is_room_as_long_as_less_than_the_limit_is_used() -> None:
    budget = Budget(100)
    budget.charge(99)
    assert budget.wait_for_room(0.0)
    budget.charge(1)
    assert not budget.wait_for_room(0.01)


def test_who_waits_for_room_goes_on_when_there_is_some() -> None:
    budget = Budget(100)
    budget.charge(150)
    begun = time.monotonic()
    consumer = threading.Timer(0.05, budget.refund, args=(60,))
    consumer.start()
    assert budget.wait_for_room(SOON)
    assert time.monotonic() - begun < SOON / 2
    assert budget.used == 90
    consumer.join(SOON)


# Worker


class Job(Worker):
    """A worker that does what the test says."""

    def __init__(self, supervisor: Mailbox[Any], do: Callable[[], object]) -> None:
        super().__init__("job", supervisor)
        self._do = do

    def work(self) -> None:
        self._do()


def fail(exception: BaseException) -> Callable[[], object]:
    def do() -> object:
        raise exception

    return do


def test_a_worker_that_ends_says_so(mailbox: Mailbox[Any]) -> None:
    job = Job(mailbox, lambda: None)
    job.start()
    assert mailbox.get(SOON) == Finished("job")
    job.join(SOON)


@pytest.mark.parametrize("exception", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_a_worker_that_dies_says_of_what(mailbox: Mailbox[Any], exception: BaseException) -> None:
    job = Job(mailbox, fail(exception))
    job.start()
    assert mailbox.get(SOON) == Crashed("job", exception)
    assert exception.__traceback__ is not None
    job.join(SOON)


def test_a_worker_without_work_is_a_bug_that_is_heard_of(mailbox: Mailbox[Any]) -> None:
    worker = Worker("idle", mailbox)
    worker.start()
    crashed = mailbox.get(SOON)
    assert isinstance(crashed, Crashed)
    assert isinstance(crashed.exception, NotImplementedError)
    worker.join(SOON)


def test_a_process_need_not_wait_for_a_worker(mailbox: Mailbox[Any]) -> None:
    assert Job(mailbox, lambda: None).daemon


def test_a_worker_is_stuck_when_it_was_silent_for_longer_than_it_said(
    mailbox: Mailbox[Any],
) -> None:
    let_go = threading.Event()
    job = Job(mailbox, lambda: let_go.wait(SOON))
    job.start()
    assert not job.stuck
    job.beat(-PATIENCE_S)  # as if the last beat were so long ago
    assert job.stuck
    job.beat()
    assert not job.stuck
    job.beat(3600 - PATIENCE_S)
    assert not job.stuck
    job.beat(-PATIENCE_S)
    let_go.set()
    job.join(SOON)
    assert not job.stuck  # it is not stuck, it has ended


def test_a_worker_that_was_never_started_is_not_stuck(mailbox: Mailbox[Any]) -> None:
    job = Job(mailbox, lambda: None)
    job.beat(-PATIENCE_S)
    assert not job.stuck
