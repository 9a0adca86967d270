"""The ledger as the store's thread keeps it: in groups, and patiently where a disk is not well."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from scribed import kinds
from scribed.model import Closed, CommandError, Delivered, Final, Reply, UtteranceId
from scribed.store.acked import Acked
from scribed.store.ballast import Ballast
from scribed.store.ledger import Item, Ledger, LedgerError, Waiting
from scribed.store.muted import KEY, MuteFile
from scribed.store.pending import Pending, Remember
from scribed.store.records import Packed

T = TypeVar("T")
logger = logging.getLogger(__name__)

RETRY_S = 5.0
"""How often a ledger that takes nothing is tried again."""
TIDY_S = 60.0
"""How often old texts are forgotten, and the ballast is looked after."""


class Books:
    """Owns ledger, `muted`, `acked` and ballast. Finals that were delivered are kept for `keep_s`
    seconds.

    What is noted here is durable after the `commit()` that follows; see `due_at()`.
    """

    def __init__(self, ledger: Ledger, acked: Acked, ballast: Ballast, keep_s: float) -> None:
        self.trouble: str | None = None  #: why the ledger takes nothing
        self.writes = 0  #: transactions
        self.dropped = 0  #: finals and ends given up for want of room
        self.undelivered = 0  #: finals and ends that the broker has not acknowledged
        self.ledger = ledger
        self.keep_s = keep_s
        self._acked, self._ballast = acked, ballast
        self._muted = MuteFile(ledger.path.parent)
        self._pending = Pending()
        self._retry_at = self._tidy_at = 0.0
        self._acks_taken = False
        self._delivered = True  # there may be some to forget
        self._count()

    @property
    def unsettled(self) -> int:
        """Finals and ends that the ledger has not taken yet."""
        return len(self._pending.items)

    @property
    def unrestatable(self) -> int:
        """Finals and ends that were delivered and that a restate will never find."""
        return self._pending.unrestatable

    # What is to be noted

    def settle(self, item: Final | Closed) -> None:
        """A final or an end."""
        if not self._pending.add(item):
            self._lose(1, "the ledger takes nothing, and memory no more")

    def delivered(self, delivered: Delivered, now: float) -> None:
        """The broker has a final or an end."""
        self._acked.add(delivered.seq)
        if delivered.instead is not None:
            self._pending.replace(delivered.instead)
        self._pending.acknowledge(delivered.id, delivered.seq, now)
        if self.trouble is not None:
            self._pending.lighten()

    def wait(self, record: Waiting, now: float) -> None:
        """An utterance is in a file of the state directory."""
        self._pending.wait(record, now)

    def remember(self, fact: Remember) -> None:
        """Something that must survive."""
        if fact.key == KEY:
            self._muted.note(fact.value)
        self._pending.remember(fact)

    def holds(self, id: UtteranceId) -> bool:
        """Whether a final, an end or its delivery is here that the ledger has not taken yet."""
        return self._pending.holds(id)

    # Writing

    def in_need(self, write: Callable[[], T]) -> T:
        """Carry out `write`, on a full disk a second time without the ballast. Raises `OSError`."""
        try:
            return write()
        except OSError:
            if not self._ballast.give_up():
                raise
            return write()

    def due_at(self) -> float | None:
        """When `commit()` is to be called; None: there is nothing to write."""
        if self.trouble is not None:
            # Also where nothing is to be written: is it well again? A question does not wait.
            return 0.0 if self._pending.questions else self._retry_at
        return self._pending.due_at()

    def commit(self, now: float, **facts: str | None) -> list[UtteranceId] | None:
        """Write all that is noted, and `facts`; return whose text, or delivery, is safe now.

        None: the ledger does not take it; it stays noted. Call `told()` when the files of those
        that are safe are gone.
        """
        for key, value in facts.items():
            self._pending.remember(Remember(key, value))
        changes = self._pending.changes()
        questions, self._pending.questions = self._pending.questions, []
        forgetful = self._write_muted()
        try:
            new = self.ledger.commit(now=now, **changes)
        except LedgerError as exc:
            self._fail(exc, now)
            for fact in questions:
                _answer(fact, str(exc))
            return None
        safe = self._safe(changes["items"], new)
        safe += self._pending.taken()
        if changes["delivered"]:
            self._acks_taken = self._delivered = True
        self._well()
        for fact in questions:
            _answer(fact, forgetful if fact.key == KEY else None)
        return safe

    def told(self) -> None:
        """What was safe at the last `commit()` is in no file any more."""
        if self._acks_taken:
            self._acks_taken = False
            self._acked.clear()

    def tidy(self, now: float) -> None:
        """Once a minute: forget what was delivered long ago, and lay in ballast again."""
        if now < self._tidy_at or self.trouble is not None:
            return
        self._tidy_at = now + TIDY_S
        self._ballast.restore()
        if not self._delivered:
            return
        try:
            _, lost = self.ledger.forget(now - self.keep_s)
            self._delivered = bool(self.ledger.count() - self.ledger.count_undelivered())
        except LedgerError as exc:
            self._fail(exc, now)
        else:
            if lost:
                self._lose(lost, "the broker takes nothing, and the ledger no more")

    def _write_muted(self) -> str | None:
        """Why the microphone's state is not in its own file; the next commit tries it again."""
        try:
            self.in_need(self._muted.write)
        except OSError as exc:
            why = f"{self._muted.path} cannot be written: {exc.strerror or exc}"
            logger.warning("%s", why, extra=kinds.STATE_UNWRITABLE(error=why))
            return why
        return None

    def _safe(self, items: Iterable[Packed], new: list[Item]) -> list[UtteranceId]:
        """Those of `items` that are in the ledger: of one number it takes one utterance alone."""
        fresh = {item.id for item in new if isinstance(item, Packed)}
        safe = []
        for item in items:
            if item.id in fresh or self._is_there(item.id):
                safe.append(item.id)
            else:
                self._lose(1, f"the ledger has another utterance with number {item.seq}")
        return safe

    def _is_there(self, id: UtteranceId) -> bool:
        with contextlib.suppress(LedgerError):
            return self.ledger.has(id)
        return False

    def close(self) -> None:
        """Give the files free."""
        self.ledger.close()
        self._acked.close()

    def _well(self) -> None:
        self.writes += 1
        if self.trouble is not None:
            logger.info("the ledger can be written again", extra=kinds.LEDGER_GOOD())
        self.trouble = None
        self._count()

    def _count(self) -> None:
        with contextlib.suppress(LedgerError):  # the next write says so
            self.undelivered = self.ledger.count_undelivered()

    def _fail(self, error: LedgerError, now: float) -> None:
        if self.trouble is None:
            logger.error("%s", error, extra=kinds.LEDGER_BAD(error=error))
        self.trouble, self._retry_at = str(error), now + RETRY_S
        self._pending.lighten()

    def _lose(self, count: int, why: str) -> None:
        self.dropped += count
        extra = kinds.FINALS_LOST(finals=count, error=why)
        logger.error("%d final(s) are not kept: %s", count, why, extra=extra)


def _answer(fact: Remember, why: str | None) -> None:
    """It is durable, or `why` it is not."""
    assert fact.command is not None
    reply = Reply(fact.command.token, fact.result)
    if why is not None:
        error = CommandError("failed", f"done, but not for a restart to remember: {why}")
        reply = Reply(fact.command.token, error=error)
    fact.command.answer.put(reply)
