"""The utterances that have no answer yet, in the order they were spoken. Pure.

Rewind, don't resume: the service's protocol has no ids, so where a connection ends every utterance
that was not answered is sent again from its first sample on the next one. That costs at most 28 s
of audio and never correctness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from scribed.model import (
    SegmentEvent,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)

MAX_STEP_BYTES = pcm_bytes(1000)
"""Audio handed on at once: the service takes chunks of at most 1 s."""
MAX_UNANSWERED = 4
"""Commits without an answer on one connection: more speech than that waits its turn."""


@dataclass(slots=True)
class Entry:
    """One utterance on its way to its text."""

    started: UtteranceStarted
    ended: UtteranceEnded | None = None
    audio: list[bytes] = field(default_factory=list, repr=False)
    nbytes: int = 0
    attempt: int = 0  #: connections on which it was begun
    refusals: int = 0  #: times it was refused for its own sake
    rev: int = 0
    first_partial_at: float | None = None
    opened_at: float = 0.0  #: when the gate opened
    begun: bool = False
    sent: int = 0  #: pieces of audio handed on, on this connection
    end_sent: bool = False
    departed_at: float | None = None  #: when its end had left the machine


@dataclass(frozen=True, slots=True)
class Begin:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Audio:
    entry: Entry
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class End:
    entry: Entry


Step = Begin | Audio | End


class Backlog:
    """A queue that can be rewound to the first utterance that was not answered."""

    def __init__(self) -> None:
        self._entries: dict[UtteranceId, Entry] = {}  # insertion order is the order of speech

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    @property
    def nbytes(self) -> int:
        """Bytes of audio that wait."""
        return sum(entry.nbytes for entry in self)

    def get(self, id: UtteranceId) -> Entry | None:
        return self._entries.get(id)

    def add(self, event: SegmentEvent, now: float) -> bool:
        """Take what capture heard; False where it belongs to no utterance that waits here."""
        if isinstance(event, UtteranceStarted):
            self._entries[event.id] = Entry(event, opened_at=now)
            return True
        entry = self._entries.get(event.id)
        if entry is None:
            return False
        if isinstance(event, UtteranceAudio):
            entry.audio.append(event.pcm)
            entry.nbytes += len(event.pcm)
        else:
            entry.ended = event
        return True

    def next(self) -> Step | None:
        """The next thing to hand to the session; None: nothing can be sent now."""
        unanswered = 0
        for entry in self:
            if entry.end_sent:
                unanswered += 1
                continue
            return self._step(entry) if unanswered < MAX_UNANSWERED else None
        return None

    def has_next(self) -> bool:
        """Whether `next()` would give something."""
        for unanswered, entry in enumerate(self):
            if not entry.end_sent:
                more = not entry.begun or entry.sent < len(entry.audio) or entry.ended is not None
                return more and unanswered < MAX_UNANSWERED
        return False

    def departed(self, now: float) -> None:
        """Everything that was handed on has left the machine."""
        for entry in self:
            if entry.end_sent and entry.departed_at is None:
                entry.departed_at = now

    def _step(self, entry: Entry) -> Step | None:
        if not entry.begun:
            entry.begun = True
            entry.attempt += 1
            return Begin(entry)
        if entry.sent < len(entry.audio):
            pieces: list[bytes] = []
            size = 0
            for pcm in entry.audio[entry.sent :]:
                if pieces and size + len(pcm) > MAX_STEP_BYTES:
                    break
                pieces.append(pcm)
                size += len(pcm)
            entry.sent += len(pieces)
            return Audio(entry, b"".join(pieces) if len(pieces) > 1 else pieces[0])
        if entry.ended is not None:
            entry.end_sent = True
            return End(entry)
        return None  # it is still being spoken; nothing overtakes it

    def rewind(self) -> None:
        """The connection is gone: nothing that waits here was heard."""
        for entry in self:
            entry.begun = entry.end_sent = False
            entry.sent, entry.departed_at = 0, None

    def conclude(self, id: UtteranceId) -> Entry | None:
        """Take an utterance out: it has its answer, or its end."""
        return self._entries.pop(id, None)

    def oldest_sealed(self) -> Entry | None:
        """The oldest utterance that was spoken to its end."""
        return next((entry for entry in self if entry.ended is not None), None)
