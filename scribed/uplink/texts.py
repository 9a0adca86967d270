"""What the service says of an utterance, on its way to delivery: live text, and the last word."""

from __future__ import annotations

from typing import Any

from scribed.config import TranscriptSection
from scribed.interfaces import Committed, EarlyText
from scribed.model import (
    EndReason,
    Final,
    Moments,
    Outcome,
    Partial,
    Provider,
    UtteranceEnded,
    UtteranceId,
)
from scribed.text import is_speech
from scribed.uplink import lines
from scribed.uplink.backlog import Backlog
from scribed.uplink.ends import Ends
from scribed.uplink.entry import Early, Entry
from scribed.worker import Mailbox


class Texts:
    """Used by the uplink's thread only; every `now` is of the boot clock."""

    def __init__(
        self,
        settings: TranscriptSection,
        backlog: Backlog,
        ends: Ends,
        delivery: Mailbox[Any],
    ) -> None:
        self._backlog, self._ends, self._delivery = backlog, ends, delivery
        self.retune(settings)

    def retune(self, settings: TranscriptSection) -> None:
        """Go by other settings from now on."""
        self._partials, self._fast_words = settings.partials, bool(settings.fast_words)
        self._stale_after_s = settings.stale_after_s

    def partial(self, id: UtteranceId, text: str, who: Provider, now: float) -> None:
        """Text that may still change: published while the speech is fresh."""
        entry = self._backlog.get(id)
        if entry is None or not text:
            return
        if entry.first_partial_at is None:
            entry.first_partial_at = now
        self._tell(entry, text, who, now, shown=self._partials)

    def early(self, said: EarlyText, who: Provider, now: float) -> None:
        """The text up to a pause: held back until it is plain whether speech goes on; but for the
        fast words in it."""
        entry = self._backlog.early(said.utterance_id)
        if entry is not None and entry.asked:
            entry.early = Early(said.text, who, now)
            self._tell(entry, said.text, who, now, shown=False)
        elif entry is not None:
            self.partial(entry.id, said.text, who, now)

    def resumed(self, entry: Entry, now: float) -> None:
        """Speech goes on: what was held back is a partial."""
        if (early := entry.early) is not None:
            entry.early = None
            self.partial(entry.id, early.text, early.who, now)

    def _tell(self, entry: Entry, text: str, who: Provider, now: float, *, shown: bool) -> None:
        fresh = entry.sealed_at is None or now - entry.sealed_at <= self._stale_after_s
        if fresh and (shown or self._fast_words):
            self._delivery.put(Partial(entry.started, entry.rev, text, who, shown))
            entry.rev += 1

    def committed(self, said: Committed, who: Provider, now: float) -> bool:
        """An utterance has its answer; False where it was given up meanwhile."""
        entry = self._backlog.get(said.utterance_id)
        if entry is None or entry.ended is None:
            return False
        if said.answer.guessed and not said.answer.text:  # the service has said nothing
            self._ends.close(entry, Outcome.NO_SPEECH)
            return False
        self._ends.tell_store(well=True)
        if not is_speech(said.answer.text):
            self._ends.close(entry, Outcome.NO_SPEECH)
            return True
        answered_at = now if entry.early is None else entry.early.at
        final = _final(entry, entry.ended, said, who, answered_at=answered_at, now=now)
        lines.answered(entry, answered_at)
        self._ends.answer(entry, final)
        return True


def _final(
    entry: Entry,
    ended: UtteranceEnded,
    said: Committed,
    who: Provider,
    *,
    answered_at: float,
    now: float,
) -> Final:
    reason = ended.reason  # a cut is one, whoever committed it
    first_partial_s = None
    if entry.first_partial_at is not None and not entry.recovered:
        first_partial_s = entry.first_partial_at - entry.opened_at
    return Final(
        entry.started,
        ended,
        entry.rev,
        said.answer,
        (reason is EndReason.COMMIT and said.final_reason) or reason.value,
        entry.attempt,
        who,
        provider_s=None if entry.handed_at is None else answered_at - entry.handed_at,
        first_partial_s=first_partial_s,
        committed_at=now,
        moments=Moments(
            entry.started.onset,
            entry.started.gate_at,
            entry.first_byte_at,
            entry.handed_at,
            answered_at,
        ),
    )
