"""Which answer belongs to which commit, where the service answers in order and names none. Pure.

The queue of pending commits *is* the identity of an answer. An answer comes in two halves where
they were asked for: the text (C), and the text again with its details (T), in either order. They
belong together where the text is the same but for spaces and the Unicode form.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

from scribed.model import UtteranceId
from scribed.text import clean
from scribed.uplink.providers.elevenlabs_messages import Message

PAIR_S = 0.05
"""How long to wait for the second half of an answer: T follows C after about 15 ms."""
MAX_PARTS = 8
"""Answers to one utterance: its own, and those to commits that the service made itself, one in 36 s
of audio. As many halves without the other are remembered."""


@dataclass(slots=True)
class Part:
    """One answer of the service: the text, and what came with it."""

    text: str
    key: str  #: the text as it is compared
    since: float
    details: Message | None = None


@dataclass(slots=True)
class Pending:
    """An utterance that was begun on this connection, and is not answered in full."""

    id: UtteranceId
    offset_s: float  #: audio sent on this connection before it
    ended: bool = False
    answered: bool = False
    departed_at: float | None = None  #: when its commit had left the machine
    parts: list[Part] = field(default_factory=list)

    def due(self) -> float:
        """When to stop waiting for what is missing of its answer."""
        since = (part.since for part in self.parts if part.details is None)
        return max(since, default=float("-inf")) + PAIR_S

    def texts(self) -> list[str]:
        """What was said so far, without the silence."""
        return [part.text for part in self.parts if part.text]

    def details(self) -> list[Message]:
        return [part.details for part in self.parts if part.details is not None]


class Pairing:
    """The commits of one connection without their answers, and the halves without the other."""

    def __init__(self, *, in_pairs: bool) -> None:
        self._in_pairs = in_pairs
        self._pending: collections.deque[Pending] = collections.deque()
        self._early: collections.deque[str] = collections.deque(maxlen=MAX_PARTS)  # T before its C
        self._late: collections.deque[str] = collections.deque(maxlen=MAX_PARTS)  # C without its T
        self._answered_at = float("-inf")
        self._last_answer = self._last_partial = ""

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, id: UtteranceId, offset_s: float) -> None:
        """All audio from now on, at `offset_s` of the connection's, belongs to this utterance."""
        self._pending.append(Pending(id, offset_s))

    def end(self) -> None:
        """The utterance that was begun last is committed."""
        self._pending[-1].ended = True

    def departed(self, id: UtteranceId, now: float) -> None:
        """The commit of this utterance has left the machine."""
        for pending in self._pending:
            if pending.id == id and pending.ended and pending.departed_at is None:
                pending.departed_at = now

    def next(self) -> Pending | None:
        """The utterance that the next answer belongs to."""
        return next((pending for pending in self._pending if not pending.answered), None)

    def owed_since(self) -> float | None:
        """Since when the next answer can be expected; None: it is not.

        A service answers one commit after the other: a later one has its turn after the one before.
        """
        pending = self.next()
        if pending is None or pending.departed_at is None:
            return None
        return max(pending.departed_at, self._answered_at)

    def partial(self, text: str) -> Pending | None:
        """Whose the text of an open segment is; None: nobody's, or it says nothing new.

        The service repeats a partial once a second, and an answer as a partial just after it.
        """
        key = clean(text)
        if not key or key in (self._last_partial, self._last_answer):
            return None
        pending = self.next()
        if pending is not None:
            self._last_partial = key
        return pending

    def text(self, text: str, now: float) -> bool:
        """A C came; False: it is an answer too many."""
        key = clean(text)
        if key in self._early:  # its details came before it, and it was taken with them
            while self._early.popleft() != key:
                pass  # answers come in order: no text will come for these any more
            return True
        if self._is_repeat(key):
            return True
        if self.next() is None:
            self._late.append(key)  # nobody's, and so are the details that follow it
        return self._add(Part(text, key, now), now)

    def details(self, m: Message, now: float) -> bool:
        """A T came; False: it is an answer too many."""
        text = m.text or ""
        key = clean(text)
        for pending in self._pending:
            for part in pending.parts:
                if part.details is None and part.key == key:
                    part.details = m
                    return True
        if key in self._late:
            self._late.remove(key)  # the answer was given without them
            return True
        if waiting := [part for part in self._answered_parts() if part.details is None]:
            waiting[0].details = m  # in other words than its text, but nothing else is owed any
            return True
        if self._is_repeat(key):
            return True
        self._early.append(key)
        return self._add(Part(text, key, now, m), now)

    def take(self, now: float) -> Pending | None:
        """The oldest utterance if it has its answer, whole or after waiting `PAIR_S` for the rest;
        to be called until there is none."""
        if not self._pending or not self._pending[0].answered or now < self._due():
            return None
        pending = self._pending.popleft()
        self._late.extend(part.key for part in pending.parts if part.details is None)
        return pending

    def take_at(self) -> float | None:
        """When `take()` will have something though nothing comes; None: never."""
        return self._due() if self._pending and self._pending[0].answered else None

    def _answered_parts(self) -> list[Part]:
        """Of the utterance that has its answer and waits for the other half."""
        first = self._pending[0] if self._pending else None
        return first.parts if first is not None and first.answered else []

    def _is_repeat(self, key: str) -> bool:
        """Whether the last answer comes once more, while nobody has asked for the next."""
        pending = self.next()
        return pending is not None and not pending.ended and key == self._last_answer

    def _due(self) -> float:
        return self._pending[0].due() if self._in_pairs else float("-inf")

    def _add(self, part: Part, now: float) -> bool:
        """Give `part` to whom the next answer belongs; to nobody where none is owed."""
        self._last_answer, self._last_partial = part.key, ""
        pending = self.next()
        if pending is None:
            return True
        if len(pending.parts) == MAX_PARTS:
            return False
        pending.parts.append(part)
        if pending.ended:
            pending.answered, self._answered_at = True, now
        return True
