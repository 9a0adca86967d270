"""Where capture hands on what it cut out: to the store first, then to those who wait for it.

Nobody is waited for. Audio goes on as soon as it was read, in pieces of `PIECE_MS` at most, so that
what a `kill -9` can take has not been read yet. The uplink sends it in chunks, and is woken when
there is one, but at once for all else.

The store has what the gate holds back near the maximum before anybody else, as audio of the open
utterance. Where the cut gives a part of it to the next utterance, the store is given that part once
more, and takes it from the one that was cut only then: a crash in between finds it twice.

That an utterance pauses, or goes on, is for the uplink alone, in its place among the audio.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from scribed import kinds
from scribed.capture import lines
from scribed.capture.gate import GateEvent
from scribed.model import (
    UtteranceAudio,
    UtteranceCut,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.worker import Budget, Mailbox

logger = logging.getLogger(__name__)

PIECE_MS = 100
"""Audio is never handed on in more at once: what `kill -9` may take inside an utterance."""
SETTLING = 100_000
"""Places in the store's mailbox that audio leaves to finals and ends: a disk that hangs may cost
the audio of a crash that never comes, and no text."""
STUCK_FACTOR = 1.5
"""Live sound is dropped when so many times the budget waits."""
SPARE_BYTES = 1 << 20
"""A file or pipe is read on only while so much is free: what one read can post must not make the
uplink give up what waits."""


class Posting:
    """The mailboxes of those who hear what capture heard, and the room that is left for it.

    `begun` is told of each utterance before anybody else is, and costs nothing.
    The budget is charged with what the uplink is given. A mailbox that is full takes nothing: its
    reader has been stuck for many minutes, and is told so in the journal.
    """

    def __init__(
        self,
        *,
        store: Mailbox[Any],
        uplink: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        chunk_bytes: int,
        begun: Callable[[UtteranceStarted], object] = lambda _: None,
    ) -> None:
        self._store, self._uplink, self._delivery = store, uplink, delivery
        self._budget, self._begun = budget, begun
        self.retune(chunk_bytes)
        self._full: set[str] = set()
        self._unsent = 0  # bytes of audio that are no chunk yet
        self._ahead = 0  # bytes of the open utterance that only the store has
        self._holds = True  # no piece of them is missing
        self._last_seq = 0
        self._torn: UtteranceId | None = None  # of which the store did not get a piece

    def retune(self, chunk_bytes: int) -> None:
        """Hand audio on in pieces of this size from now on, or smaller ones. It is the least that
        is sent in mid-utterance."""
        self._chunk_bytes = chunk_bytes
        self._piece_bytes = min(chunk_bytes, pcm_bytes(PIECE_MS))

    def post(self, events: Sequence[GateEvent]) -> None:
        """Hand on `events`: all to the store, then what is theirs to the others, in their order.

        They are woken when all is posted, but see the module, and may then have the processor.
        """
        if not events:
            return
        if self._is_one_piece(events):  # so it is ten times a second
            self._keep(events[0])
            self._put_audio(events[0])
            self._store.wake()
            if self._has_chunk(events):
                self._uplink.wake()
            return
        self._has_chunk(events)
        items = [item for event in events for item in self._pieces(event)]
        ends: list[UtteranceCut | UtteranceEnded] = []
        for item in items:
            self._post_to_store(item, ends)
        for end in ends:
            self._keep(end)
        for item in items:
            self._post_live(item)
        for mailbox in (self._store, self._uplink, self._delivery):
            mailbox.wake()

    def has_room(self) -> bool:
        """Whether live sound may be handed on.

        The uplink evicts what is oldest at the budget's limit; only where it is stuck (DNS,
        connect) does more than that wait.
        """
        return self._budget.used < self._budget.limit * STUCK_FACTOR

    def wait_for_room(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until a file or pipe may be read on; may it?"""
        has_room = self._budget.wait_for_room(timeout, SPARE_BYTES)
        if not has_room:
            self._uplink.wake()  # to what it was not woken for
        return has_room

    def _has_chunk(self, events: Sequence[GateEvent]) -> bool:
        """Whether there is a chunk with the audio of `events`; what is less waits for the next."""
        for event in events:
            if isinstance(event, UtteranceAudio):
                self._unsent += len(event.pcm)
            elif isinstance(event, UtteranceEnded):
                self._unsent = 0
        has_chunk = self._unsent >= self._chunk_bytes
        if has_chunk:
            self._unsent = 0
        return has_chunk

    def _is_one_piece(self, events: Sequence[GateEvent]) -> TypeGuard[Sequence[UtteranceAudio]]:
        """Whether they are one piece of audio that is nobody's yet."""
        first = events[0]
        return (
            len(events) == 1
            and isinstance(first, UtteranceAudio)
            and len(first.pcm) <= self._piece_bytes
            and not self._ahead
        )

    def _pieces(self, event: GateEvent) -> Iterator[GateEvent]:
        if not isinstance(event, UtteranceAudio | UtteranceHeld):
            yield event
            return
        for start in range(0, len(event.pcm), self._piece_bytes):
            yield type(event)(event.id, event.pcm[start : start + self._piece_bytes])

    def _post_to_store(self, item: GateEvent, ends: list[UtteranceCut | UtteranceEnded]) -> None:
        """Give the store what it does not have. The end of an utterance that is cut goes to `ends`:
        it waits until the store has the next one's audio."""
        match item:
            case UtteranceHeld(pcm=pcm):
                self._holds = self._holds and self._keep(item, again=True)
                self._ahead += len(pcm) if self._holds else 0
            case UtteranceAudio(id=id, pcm=pcm):
                known = min(self._ahead, len(pcm))
                self._ahead -= known
                if known < len(pcm):
                    rest = UtteranceAudio(id, pcm[known:]) if known else item
                    self._keep(rest)
            case UtteranceEnded(id=id) if self._ahead:
                ends += [UtteranceCut(id, self._ahead), item]
                self._ahead, self._holds = 0, True
            case UtteranceStarted() | UtteranceEnded():
                if isinstance(item, UtteranceStarted):
                    self._begun(item)
                self._holds = True
                self._keep(item)
            case UtterancePaused() | UtteranceResumed():
                pass  # for the uplink alone

    def _post_live(self, item: GateEvent) -> None:
        """Give those who wait for it what is theirs."""
        match item:
            case UtteranceStarted() | UtteranceEnded():
                self._log(item)
                self._put("uplink", self._uplink, item)
                self._put("delivery", self._delivery, item)
            case UtterancePaused() | UtteranceResumed():
                self._put("uplink", self._uplink, item)
            case UtteranceAudio():
                self._put_audio(item)
            case UtteranceHeld():
                pass  # for the store alone

    def _log(self, item: UtteranceStarted | UtteranceEnded) -> None:
        if isinstance(item, UtteranceStarted):
            self._last_seq = item.seq
            lines.opened(item)
        else:
            lines.closed(item, self._last_seq)

    def _put_audio(self, item: UtteranceAudio) -> None:
        """Give the uplink a piece, and charge the budget with it."""
        self._budget.charge(len(item.pcm))
        if not self._put("uplink", self._uplink, item):
            self._budget.refund(len(item.pcm))

    def _keep(self, item: GateEvent | UtteranceCut, *, again: bool = False) -> bool:
        """Give the store what is its own. An utterance of which it lacks a piece is never sealed
        there: nobody may take it for whole. `again`: if it is not taken now, it comes once more."""
        taken = item.id != self._torn and self._put("store", self._store, item, spare=SETTLING)
        if not taken and not again:
            self._torn = item.id
        return taken

    def _put(
        self,
        reader: str,
        mailbox: Mailbox[Any],
        item: GateEvent | UtteranceCut,
        *,
        spare: int = 0,
    ) -> bool:
        if taken := mailbox.put(item, wake=False, spare=spare):
            self._full.discard(reader)
        elif reader not in self._full:
            self._full.add(reader)
            words = "the %s is stuck and takes nothing more: speech is lost to it"
            logger.error(words, reader, extra=kinds.READER_STUCK(worker=reader))
        return taken
