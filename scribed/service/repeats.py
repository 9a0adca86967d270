"""The same trouble again and again is one line, with how often it came, and one when it is over."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

from scribed import kinds
from scribed.complaints import Complaints
from scribed.kinds import Kind

_KINDS = {kind.id: kind for kind in kinds.KINDS.values()}


class Repeats(logging.Handler):
    """Hands to `target` what is news. Each utterance's own lines are, and what is no trouble.

    A line that ends a trouble is news where that trouble was told. Of what is held back the last
    one follows when `settle()` finds it due. Thread-safe as every handler: `logging` has the lock.
    """

    def __init__(self, target: logging.Handler, now: Callable[[], float]) -> None:
        super().__init__()
        self.target, self._now = target, now
        self._complaints: Complaints[logging.LogRecord] = Complaints()
        self._standing: set[str] = set()  # what was told, and not that it is over
        self._ends: dict[str, str] = {}  # the last words of each line that ends a trouble
        self._held: dict[str, logging.LogRecord] = {}  # the end of each trouble, if untold

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = kind_of(record), self._now()
        if kind is None or hasattr(record, "SCRIBED_UTTERANCE_ID"):
            self.target.handle(record)
        elif kind.ends:
            self._over(kind, record)
        elif record.levelno < logging.WARNING:
            self._tell(_about(kind, record), record, 1)
        else:
            about = _about(kind, record)
            self._held.pop(about, None)
            times = self._complaints.times(about, record.getMessage(), record, now)
            if times:
                self._tell(about, record, times)

    def settle(self, *, everything: bool = False) -> None:
        """Tell what was held back for long enough, or all of it."""
        self.acquire()
        try:
            now = self._now()
            for untold in self._complaints.due(now, everything=everything):
                self._tell(untold.about, untold.item, untold.times)
            for about in self._standing & set(self._held):
                record = self._held.get(about)  # None: told with another trouble that it ends
                kind = None if record is None else kind_of(record)
                if record is not None and kind is not None:
                    self._over(kind, record)
        finally:
            self.release()

    def flush(self) -> None:
        self.target.flush()

    def close(self) -> None:
        self.target.close()
        super().close()

    def _over(self, kind: Kind, record: logging.LogRecord) -> None:
        about, words = _about(kind, record), record.getMessage()
        news = self._stands(kind, record) or self._ends.get(about) != words
        troubles = [_about(trouble, record) for trouble in kind.ends]
        times = sum(self._complaints.over(each, told=news) for each in troubles)
        if not news:
            self._held.update(dict.fromkeys(troubles, record))
            return
        for each in troubles:
            self._held.pop(each, None)
        self._ends[about] = words
        self._standing.difference_update(troubles)
        if times:
            record = _worded(record, f"{words} (the fault had come {times} more time(s))", times)
        self.target.handle(record)

    def _stands(self, kind: Kind, record: logging.LogRecord) -> bool:
        return any(_about(trouble, record) in self._standing for trouble in kind.ends)

    def _tell(self, about: str, record: logging.LogRecord, times: int) -> None:
        self._standing.add(about)
        if times > 1:
            record = _worded(record, f"{record.getMessage()} ({times} times)", times)
        self.target.handle(record)


def kind_of(record: logging.LogRecord) -> Kind | None:
    """Which kind of line it is; None: it says none."""
    return _KINDS.get(getattr(record, "MESSAGE_ID", ""))


def _about(kind: Kind, record: logging.LogRecord) -> str:
    """Each alert is a trouble of its own."""
    return f"{kind.event} {getattr(record, 'SCRIBED_ALERT', '')}"


def _worded(record: logging.LogRecord, words: str, times: int) -> logging.LogRecord:
    again = copy.copy(record)
    again.msg, again.args = words, ()
    again.SCRIBED_REPEATED = times
    return again
