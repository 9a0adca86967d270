"""How utterances end: each once, with text or without; told to store and delivery, and counted."""

from __future__ import annotations

from typing import Any

from scribed import clock
from scribed.model import Closed, Final, LinkWell, Outcome
from scribed.uplink.backlog import Backlog
from scribed.uplink.entry import Entry
from scribed.uplink.report import Tally
from scribed.worker import Budget, Mailbox


class Ends:
    """Used by the uplink's thread only. What ends is taken out of `backlog`, and its audio is
    refunded to `budget`."""

    def __init__(
        self,
        backlog: Backlog,
        *,
        store: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
    ) -> None:
        self.tally = Tally(progress_at=clock.now())
        self.torn = False  #: an utterance that was being sent was taken out
        self._backlog, self._budget = backlog, budget
        self._store, self._delivery = store, delivery
        self._well = True  # so the store was told

    def close(self, entry: Entry, outcome: Outcome) -> None:
        """End an utterance without text."""
        self.torn = self.torn or (entry.begun and not entry.end_sent)
        self._backlog.conclude(entry.id)
        self._settle(entry, Closed(entry.started, entry.ended, outcome))
        self.tally = self.tally._replace(without_text=self.tally.without_text + 1)

    def answer(self, entry: Entry, final: Final) -> None:
        """End an utterance with its text."""
        self._backlog.answered(entry.id)
        self._settle(entry, final)
        self.tally = self.tally._replace(committed=self.tally.committed + 1)

    def _settle(self, entry: Entry, end: Final | Closed) -> None:
        self._budget.refund(entry.ram)
        repeated = self.tally.repeated + max(entry.attempt - 1, 0)
        self.tally = self.tally._replace(progress_at=clock.now(), repeated=repeated)
        self._store.put(end)
        self._delivery.put(end)

    def tell_store(self, *, well: bool) -> None:
        """Say whether answers come in time, where that has changed."""
        if well != self._well:
            self._well = well
            self._store.put(LinkWell(well))

    def count(self) -> None:
        """Bring the tally up to date with what waits."""
        backlog, tally = self._backlog, self.tally
        before = (tally.utterances, tally.ram_bytes, tally.nbytes)
        if before != (len(backlog), backlog.ram, backlog.nbytes):
            waited = bool(backlog and tally.utterances)
            self.tally = tally._replace(
                utterances=len(backlog),
                nbytes=backlog.nbytes,
                ram_bytes=backlog.ram,
                progress_at=tally.progress_at if waited else clock.now(),
            )
