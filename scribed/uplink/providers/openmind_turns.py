"""Whose a text is, and when an utterance has its last, where the service numbers nothing. Pure.

A text is of the utterance that waits longest; nothing of the next one is sent before that has its
own, or a cough that is never answered would be given the words behind it. The service cuts by its
own ear: an utterance may get its text in several finals, the last of them mostly after its end and
the silence sent behind it; or in none, where its ear heard no end. Nothing tells the last final but
that no other follows; and none does only where the ear has come to the end, which at worst hears no
faster than one can speak.
"""

from __future__ import annotations

import collections
from typing import NamedTuple

from msgspec import Struct, field

from scribed.model import Answer, UtteranceId, seconds
from scribed.text import clean

QUIET_S = 0.25
"""An utterance is answered when no text has followed a final for so long, as a partial announces
more of it. Where the route sends none, `settle_s` takes its place."""
LEAD_S = 0.5
"""Live speech is sent so far ahead of its time: the pre-roll, and what opened the gate."""
ECHO_S = 1.0
"""So soon a partial in the words of the last final is an echo of it, and said once."""
NOTICE_S = 0.05
"""A final so shortly before the end is known to have left the machine came after it: the peer had
it already."""
LONGEST_S = 30.0
"""How long partials can keep an utterance open after its end: nobody says more than 28 s."""
MAX_PARTS = 64
"""Finals for one utterance: Riva makes one at each pause of 0.4 s."""
MAX_CHARS = 20_000
"""Of one utterance, in all finals: far more than can be said in 28 s."""


class Turn(Struct):
    """An utterance that was begun on this connection and has not got its text."""

    id: UtteranceId
    attempt: int
    ended: bool = False
    sent: bool = False  # to its end
    #: when an ear that hears no faster than one can speak has come to the end of what was sent
    heard_out_at: float = float("-inf")
    departed_at: float | None = None
    parts: list[str] = field(default_factory=list)  # the finals
    open: str = ""  # the newest partial behind them
    heard_at: float = float("-inf")  # when there was something new
    told: str = ""  # what is known of it outside
    held: bytearray = field(default_factory=bytearray)  # audio that waits for its turn

    def text(self) -> str:
        return " ".join([part for part in [*self.parts, self.open] if part])

    def news(self) -> str | None:
        """Its text so far, where that is not what was told last."""
        text = clean(self.text())
        if not text or text == self.told:
            return None
        self.told = text
        return text

    def release(self, now: float) -> bytes:
        """All audio that is held, to be sent now."""
        pcm = bytes(self.held)
        self.held.clear()
        if pcm:
            self.heard_out_at = max(self.heard_out_at, now) + seconds(len(pcm))
        return pcm

    @property
    def too_much(self) -> bool:
        """Whether nobody can have said all that."""
        return len(self.parts) > MAX_PARTS or sum(map(len, self.parts)) > MAX_CHARS

    @property
    def has_closing(self) -> bool:
        """Whether a final came after its end, and nothing since."""
        if self.departed_at is None or self.open or not self.parts or self.too_much:
            return False
        return self.heard_at >= self.departed_at - NOTICE_S

    @property
    def has_last(self) -> bool:
        """Whether a final came for what was said up to its end."""
        return self.has_closing and self.heard_at >= self.heard_out_at - LEAD_S


class Taken(NamedTuple):
    """What became of an utterance: `text` is None where nothing was heard of it at all, and
    `guessed` where its end was not committed, as then."""

    turn: Turn
    text: str | None
    guessed: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the service committed all of it."""
        return not self.guessed

    def answer(self, language: str | None, warnings: list[str]) -> Answer:
        """The text with all that is known of it; `language` is the configured one."""
        return Answer(
            text=self.text or "",
            language=language,
            language_source="configured" if language else None,
            guessed=self.guessed,
            warnings=tuple(warnings) or None,
        )


class Turns:
    """The utterances of one connection that have not got their text, oldest first.

    `settle_s` and `answer_timeout_s` are those of the configuration; `partials`: the route sends
    such.
    """

    def __init__(self, *, settle_s: float, answer_timeout_s: float, partials: bool) -> None:
        self.silent_s = answer_timeout_s + settle_s  #: how long to wait where nothing is heard
        self.proven = False  #: words were heard on this connection: somebody listens
        self._quiet_s = QUIET_S if partials else settle_s
        self._settle_s = settle_s
        self._turns: collections.deque[Turn] = collections.deque()
        self._last_final: str | None = None
        self._last_type = ""
        self._final_at = float("-inf")

    def __len__(self) -> int:
        return len(self._turns)

    def first(self) -> Turn | None:
        """The utterance that waits for its text longest."""
        return self._turns[0] if self._turns else None

    def last(self) -> Turn:
        """The utterance that was begun last."""
        return self._turns[-1]

    def begin(self, id: UtteranceId, attempt: int) -> None:
        """All audio from now on belongs to this utterance."""
        self._turns.append(Turn(id, attempt))

    def departed(self, id: UtteranceId, now: float) -> None:
        """The end of this utterance has left the machine."""
        for turn in self._turns:
            if turn.id == id:
                turn.departed_at = now

    def partial(self, text: str, now: float) -> Turn | None:
        """Whose this partial is; None: nobody's, or it says nothing new.

        A service may repeat partials, and a final as a partial just after it.
        """
        key = clean(text)
        if not key or (key == self._last_final and now - self._final_at <= ECHO_S):
            return None
        self.proven = True
        turn = self.first()
        if turn is None or key == clean(turn.open):
            return None
        turn.open, turn.heard_at = text, now
        self._last_final = None
        return turn

    def final(self, text: str, type: str, now: float) -> Turn | None:
        """Whose this final is; None: nobody's, or the last one in its other spelling."""
        key = clean(text)
        again = key == self._last_final and now - self._final_at <= QUIET_S
        if again and type != self._last_type:
            return None
        self._last_final, self._last_type, self._final_at = key, type, now
        self.proven = self.proven or bool(key)
        turn = self.first()
        if turn is not None:
            turn.parts.append(text)
            turn.open, turn.heard_at = "", now
        return turn

    def unasked(self, text: str) -> None:
        """A final came while nobody waited for one."""
        self.proven = self.proven or bool(clean(text))

    def take(self, now: float) -> Taken | None:
        """The oldest utterance if no more text is to be waited for; to be called until there is
        none."""
        due = self.take_at()
        if due is None or now < due:
            return None
        return _taken(self._turns.popleft())

    def take_complete(self, *, ordinary: bool = False) -> Taken | None:
        """The same, where nothing can follow any more: the oldest if it has its last final.

        `ordinary`: the service ends it as one that has heard all it was sent.
        """
        first = self.first()
        if first is None or not (first.has_closing if ordinary else first.has_last):
            return None
        return _taken(self._turns.popleft())

    def take_at(self) -> float | None:
        """When `take()` will have something though nothing comes; None: not at all."""
        first = self.first()
        if first is None or first.departed_at is None:
            return None
        heard = max(first.departed_at, first.heard_at)
        if first.has_last:
            return max(heard + self._quiet_s, first.heard_out_at)
        if first.parts or first.open:
            due = max(heard + self._settle_s, first.heard_out_at + self._quiet_s)
            return min(due, first.departed_at + LONGEST_S)
        return max(first.departed_at, first.heard_out_at) + self.silent_s


def _taken(turn: Turn) -> Taken:
    if not turn.parts and not turn.open:
        return Taken(turn, None, guessed=True)
    return Taken(turn, turn.text(), guessed=bool(turn.open))
