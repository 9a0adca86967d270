"""The audio files as the store's thread keeps them: what the uplink and the ledger are told."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scribed import kinds
from scribed.model import (
    Gone,
    Kept,
    Loaded,
    Outcome,
    SegmentEvent,
    UtteranceAudio,
    UtteranceCut,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtteranceStarted,
)
from scribed.store.begun import Begun
from scribed.store.books import RETRY_S, Books
from scribed.store.ledger import Waiting
from scribed.store.troubles import Troubles
from scribed.store.utterances import Utterances

logger = logging.getLogger(__name__)


class Shelf:
    """Owns `utterances`; `tell` hands something to the uplink."""

    def __init__(
        self,
        utterances: Utterances,
        begun: Begun,
        books: Books,
        troubles: Troubles,
        tell: Callable[[Kept | Loaded | Gone], object],
    ) -> None:
        self.utterances = utterances
        self.evicted = 0  #: utterances that had to go for want of room
        self.quarantined = 0  #: files set aside since the start
        self._begun, self._books, self._troubles, self._tell = begun, books, troubles, tell
        self._look_at = 0.0

    def take(self, event: SegmentEvent | UtteranceHeld | UtteranceCut, now: float) -> None:
        """Write what capture heard."""
        match event:
            case UtteranceAudio() | UtteranceHeld():
                self.utterances.append(event.id, event.pcm)
            case UtteranceStarted():
                self.utterances.begin(event)
                if self.utterances.get(event.id) is not None:
                    self._begun.keep(event.seq)
            case UtteranceCut():
                self.utterances.cut(event.id, event.nbytes)
            case UtteranceEnded():
                if self.utterances.seal(event):
                    self._tell(Kept(event.id))
                self.note(event.id, now)

    def answered(self, started: UtteranceStarted) -> None:
        """It has its text or its end."""
        self.utterances.mark_answered(started.id)
        self._begun.keep(started.seq)

    def load(self, id: UtteranceId) -> None:
        """Give the uplink the audio that it is about to send."""
        self.utterances.mark_sending(id, sending=True)
        try:
            pcm = self.utterances.load(id)
        except OSError as exc:
            why = exc.strerror or str(exc)
            extra = kinds.AUDIO_UNREADABLE(utterance_id=id, error=why)
            words = "utterance %s cannot be read: %s"
            logger.error(words, id, why, extra=extra)  # noqa: TRY400 -- no bug: the line says all
            if self.utterances.quarantine(id, why) is not None:
                self.quarantined += 1
            self._tell(Gone(id, Outcome.FAILED))
        else:
            self._tell(Loaded(id, pcm))

    def link(self, now: float, *, well: bool) -> None:
        """While answers do not come in time, audio is kept where a reboot spares it."""
        self.utterances.well = well
        if not well:
            self.secure(now)

    def secure(self, now: float) -> None:
        """Move all audio there, and let the ledger know of it."""
        self.utterances.secure()
        for info in self.utterances.list():
            self.note(info.id, now)

    def note(self, id: UtteranceId, now: float) -> None:
        """Let the ledger know of a file that a reboot spares: it would be missed."""
        info = self.utterances.get(id)
        if info is not None and info.durable:
            self._books.wait(Waiting(info.started, info.ended), now)

    def look_after(self, now: float) -> None:
        """Hold the limits, and try a disk again that took nothing."""
        was_ill = self.utterances.trouble is not None
        self.utterances.sync(now)
        for id_ in self.utterances.make_room():
            if not self._books.holds(id_):  # else its text is known
                self.evicted += 1
                self._troubles.evicted(self.utterances.nbytes, now)
                self._tell(Gone(id_, Outcome.EVICTED))
        self._troubles.audio = self.utterances.trouble
        self._troubles.room(self.utterances.nbytes, now)
        if self._troubles.audio is not None:
            self._look_at = now + RETRY_S
        elif was_ill and not self.utterances.well:
            self.secure(now)

    def due_at(self) -> float | None:
        """When `look_after()` is to be called though nothing happens."""
        if self.utterances.trouble is not None:
            return self._look_at
        due = (self._troubles.room_at(self.utterances.nbytes), self.utterances.sync_at())
        return min((at for at in due if at is not None), default=None)
