"""The reservation of numbers, in two places and patiently."""

from __future__ import annotations

import logging
from functools import partial

from scribed import kinds
from scribed.store.books import Books
from scribed.store.ledger import SEQ_END
from scribed.store.pending import Remember
from scribed.store.sequence import BLOCK, Sequence
from scribed.store.troubles import Troubles

logger = logging.getLogger(__name__)

RETRY_S = 60.0
"""How often a disk that did not take a reservation is tried again."""


class Numbers:
    """Owns the sequence. `unreserved`: the first of the numbers that the disk did not take yet."""

    def __init__(
        self, sequence: Sequence, books: Books, troubles: Troubles, unreserved: int | None
    ) -> None:
        self._sequence, self._books, self._troubles = sequence, books, troubles
        self._unreserved, self._retry_at = unreserved, 0.0

    def reserve(self, next_seq: int, now: float) -> int:
        """Make numbers from `next_seq` on safe; the first beyond them.

        Where neither file nor ledger takes it speech goes on, with numbers that a crash could give
        again: better than no speech.
        """
        end = next_seq + BLOCK
        try:
            self._books.in_need(partial(self._sequence.reserve, next_seq))
        except OSError as exc:
            self._unreserved, self._retry_at = next_seq, now + RETRY_S
            why = f"the state directory cannot be written: {exc.strerror}"
            self._troubles.numbers = why
            extra = kinds.STATE_UNWRITABLE(error=why)
            logger.error("%s", why, extra=extra)  # noqa: TRY400 -- no bug: the line says all
        else:
            self._unreserved = self._troubles.numbers = None
        self._books.remember(Remember(SEQ_END, str(end)))
        return end

    def due_at(self) -> float | None:
        """When `look_after()` is to be called though nothing happens."""
        return None if self._unreserved is None else self._retry_at

    def look_after(self, now: float) -> None:
        """Try a disk again that took no numbers."""
        if self._unreserved is not None and now >= self._retry_at:
            self.reserve(self._unreserved, now)

    def release(self, next_seq: int) -> None:
        """A clean end: numbering goes on at `next_seq`."""
        try:
            self._books.in_need(partial(self._sequence.release, next_seq))
        except OSError as exc:
            why = f"the state directory cannot be written: {exc.strerror}"
            logger.warning("%s", why, extra=kinds.STATE_UNWRITABLE(error=why))
        self._books.remember(Remember(SEQ_END, str(next_seq)))
