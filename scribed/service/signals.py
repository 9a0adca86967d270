"""Signals as items of the main thread's mailbox, each of which ends a wait."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections import deque
from collections.abc import Iterable
from types import FrameType
from typing import Any

from msgspec import Struct

from scribed.worker import Mailbox


class Signal(Struct, frozen=True):
    """What arrived from outside; the handler does nothing but post it."""

    number: int


class Waiting:
    """Waits for what comes into `mailbox`, and for signals once they are taken. Main thread only.

    A signal that comes to another thread, or just before we sleep, ends no sleep by itself: its
    number is written to a pipe too, which the sleep watches.
    """

    def __init__(self, mailbox: Mailbox[Any]) -> None:
        self._mailbox = mailbox
        self._items: deque[Any] = deque()  # taken out of the mailbox, and not looked at yet
        self._signalled: int | None = None  # readable when a signal came
        self._poller = select.poll()
        self._poller.register(mailbox, select.POLLIN)

    def take(self, numbers: Iterable[int]) -> None:
        """From now on each of these signals is an item."""

        def post(number: int, _frame: FrameType | None) -> None:
            self._mailbox.put(Signal(number))

        for number in numbers:
            signal.signal(number, post)
        self._signalled, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._poller.register(self._signalled, select.POLLIN)

    def next(self, timeout: float) -> Any:
        """What comes next, within `timeout` seconds; None: nothing."""
        if not self._items:
            self._poller.poll(max(timeout, 0.0) * 1000)
            if self._signalled is not None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._signalled, 64)
            self._items.extend(self._mailbox.drain())
        return self._items.popleft() if self._items else None
