"""Threads that own things, and the mailboxes between them: the only file with locks.

A worker owns what it creates and shares none of it. Workers meet in mailboxes of frozen items; what
others may look at (heartbeat, report) is one reference that only the owner replaces.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long a worker may be silent before it counts as stuck, unless it declared more."""


class Mailbox(Generic[T]):
    """A bounded queue for one reader, who may wait on it with a selector.

    `queue.SimpleQueue`, because its `put()` may be called from a signal handler (a
    `threading.Event` may deadlock there); an eventfd, because that is what a selector waits on.
    It is written once for all that comes before the reader drains: each write costs a switch.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._limit = limit
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._woken = False  # the eventfd is written, or about to be, since the last drain

    def __len__(self) -> int:
        """How much is in it, more or less: others put and take meanwhile."""
        return self._queue.qsize()

    def __bool__(self) -> bool:
        """A mailbox is one, also when it is empty."""
        return True

    def fileno(self) -> int:
        """The descriptor that is readable while something is in the mailbox."""
        return self._eventfd

    def put(self, item: T, *, wake: bool = True, spare: int = 0) -> bool:
        """Add `item` without blocking; return False, and keep nothing, where there is no room but
        for `spare` more.

        Without `wake` the reader sleeps on until `wake()`: for who has more to put, here or to
        others, and is not to compete with those it has woken.
        """
        if self._queue.qsize() >= self._limit - spare:
            return False
        self._queue.put(item)
        if wake and not self._woken:
            self._signal()
        return True

    def wake(self) -> None:
        """Wake the reader if something is here for it."""
        if not self._woken and self._queue.qsize():
            self._signal()

    def _signal(self) -> None:
        self._woken = True
        try:  # noqa: SIM105 -- here and below suppress() would be three calls more
            os.eventfd_write(self._eventfd, 1)
        except BlockingIOError:
            pass  # the counter is full: the reader is woken

    def get(self, timeout: float) -> T | None:
        """Wait at most `timeout` seconds for one item; for readers that use no selector."""
        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout=max(timeout, 0.0))
        return None

    def drain(self) -> list[T]:
        """Take everything that is here now."""
        try:  # noqa: SIM105
            os.eventfd_read(self._eventfd)
        except BlockingIOError:
            pass
        self._woken = False  # after the read, before the look: what comes now is seen or wakes
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    def close(self) -> None:
        """Free the descriptor; nobody may put or get any more."""
        os.close(self._eventfd)


class Budget:
    """Bytes of audio that may wait between two threads; the bound that mailboxes do not have.

    The producer charges what it hands over, the consumer refunds what it has done with.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._is_awaited = False

    @property
    def used(self) -> int:
        return self._used

    def charge(self, amount: int) -> None:
        with self._lock:
            self._used += amount

    def refund(self, amount: int) -> None:
        with self._lock:
            self._used -= amount
            if self._is_awaited:
                self._changed.notify_all()

    def wait_for_room(self, timeout: float, spare: int = 0) -> bool:
        """Wait at most `timeout` seconds until more than `spare` bytes are free; are they?

        For the producer's thread alone.
        """
        if self._used + spare < self.limit:
            return True
        with self._lock:
            self._is_awaited = True
            try:
                return self._changed.wait_for(lambda: self._used + spare < self.limit, timeout)
            finally:
                self._is_awaited = False


class Stop(Struct, frozen=True):
    """The last item in a mailbox: finish what is owed and end."""


class Crashed(Struct, frozen=True):
    """A worker ended by an exception nobody expected: a bug."""

    worker: str
    exception: BaseException


class Finished(Struct, frozen=True):
    """A worker ended as it should."""

    worker: str


class Worker(threading.Thread):
    """A thread that tells the supervisor how it ends, and from time to time that it lives.

    Daemon threads: DNS, connect and send can block for longer than any grace, and the process
    must be able to leave without them.
    """

    def __init__(self, name: str, supervisor: Mailbox[Any]) -> None:
        super().__init__(name=name, daemon=True)
        self.supervisor = supervisor
        self._fresh_until = time.monotonic() + PATIENCE_S

    def beat(self, busy_s: float = 0.0) -> None:
        """Say that this thread lives, and that its next call may block for `busy_s` seconds."""
        self._fresh_until = time.monotonic() + PATIENCE_S + busy_s

    @property
    def stuck(self) -> bool:
        """True where the thread is silent for longer than it declared. For the supervisor."""
        return self.is_alive() and time.monotonic() > self._fresh_until

    def run(self) -> None:
        try:
            self.work()
        except BaseException as exc:  # noqa: BLE001 -- the one place that may: it reports, hides nothing
            self.supervisor.put(Crashed(self.name, exc))
        else:
            self.supervisor.put(Finished(self.name))

    def work(self) -> None:
        """What the thread does, from start to end."""
        raise NotImplementedError
