"""Which answer belongs to which utterance, where the service answers in order and names none. Pure.

The queue of pending utterances *is* the identity of an answer. An answer comes in two halves where
they were asked for: the text (C), and the text again with its details (T), in either order. They
belong together where the text is the same but for spaces and the Unicode form.

What we commit ourselves is answered one for one. What the service commits by itself is a part of
the utterance whose turn it is, and says nothing about whether more comes: where that is the rule
(`by_service`) an utterance has its answer when nothing more came for a while, and the times of the
words say whose a part is.
"""

from __future__ import annotations

import collections

import msgspec

from scribed.model import UtteranceId
from scribed.text import clean
from scribed.uplink.providers.elevenlabs_extras import Extra
from scribed.uplink.providers.elevenlabs_following import Following
from scribed.uplink.providers.elevenlabs_messages import Message
from scribed.uplink.providers.elevenlabs_positions import Positions
from scribed.uplink.providers.pending import Part, Pending

PAIR_S = 0.05
"""How long to wait for the second half of an answer: T follows C after about 15 ms."""
OWN_SETTLE_S = 1.0
"""How long to wait for one answer more, where the service may have committed by itself just before
us: answers take up to 0.45 s."""
MAX_PARTS, MAX_PARTS_BY_SERVICE = 8, 64
"""Answers to one utterance that nobody asked for: one in 36 s of audio, or one in each pause of
0.3 s."""
MAX_HALVES = 64
"""Halves without the other that are remembered, of a whole utterance with all its pauses."""


class Pairing:
    """The utterances of one connection without their answers, and the halves without the other.

    `extras` are the types of message to wait for beside the text.
    """

    def __init__(
        self,
        *,
        in_pairs: bool,
        by_service: bool = False,
        extras: frozenset[str] = frozenset(),
    ) -> None:
        self.early: Pending | None = None  #: whose pause has its answer; the caller takes it away
        self.unasked = False  #: the service has committed by itself; the caller takes it away
        self._in_pairs, self._by_service = in_pairs, by_service
        self._following = Following(extras)
        self._positions = Positions()
        self._pending: collections.deque[Pending] = collections.deque()
        # Hashes of texts, which may be long: T before its C, and C without its T.
        self._early: collections.deque[int] = collections.deque(maxlen=MAX_HALVES)
        self._late: collections.deque[int] = collections.deque(maxlen=MAX_HALVES)
        self._dropped = 0
        self._answered_at = float("-inf")
        self._last_answer = self._last_partial = ""

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def late(self) -> int:
        """Texts and extras that came when nobody waited for them any more, and were dropped."""
        return self._dropped + self._following.late

    # What we ask

    def begin(self, id: UtteranceId, offset_s: float, now: float) -> None:
        """All audio from now on, at `offset_s` of the connection's, belongs to this utterance."""
        self._pending.append(Pending(id, offset_s, now, self._by_service))

    def last(self) -> Pending | None:
        """The utterance that was begun last, if it is not answered."""
        return self._pending[-1] if self._pending else None

    def ask(self, pending: Pending, own: int = 0, *, pause: bool = False) -> None:
        """What there is of an utterance is committed; the service may have made `own` commits of
        its own in it."""
        pending.owed += 1
        pending.own = own
        pending.paused, pending.was_paused = pending.paused or pause, pause
        pending.departed_at = None

    def end(self, now: float) -> None:
        """The utterance that was begun last is over: all of it was committed, or is left to the
        service to commit."""
        pending = self._pending[-1]
        pending.ended = True
        if self._by_service:
            pending.departed_at = None
        elif not pending.owed:
            self._answered(pending, now)  # with its last pause

    def departed(self, id: UtteranceId, now: float) -> None:
        """What was asked for of this utterance has left the machine."""
        for pending in self._pending:
            asked = pending.ended or pending.owed
            if pending.id == id and asked and pending.departed_at is None:
                pending.departed_at = max(now, pending.heard_at)

    # What is owed

    def next(self) -> Pending | None:
        """The utterance that the next answer belongs to."""
        for pending in self._pending:  # each wait asks for it: no generator
            if not pending.answered:
                return pending
        return None

    def any_owed(self) -> bool:
        """Whether an utterance has ended, or has paused, without its answer."""
        return any((each.ended or each.owed) and not each.answered for each in self._pending)

    def owed_since(self) -> float | None:
        """Since when the next answer can be expected; None: it is not.

        A service answers one commit after the other: a later one has its turn after the one before.
        """
        pending = self.next()
        if pending is None or not pending.owed or pending.departed_at is None:
            return None
        return max(pending.departed_at, self._answered_at)

    def uncommitted(self) -> Pending | None:
        """The utterance that has departed, and that the service is to commit and has not."""
        pending = self.next()
        if pending is None or not pending.ended or pending.owed or pending.departed_at is None:
            return None
        return pending if pending.settles_at() is None else None

    # What comes

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
            pending.open = True
        return pending

    def text(self, text: str, now: float) -> bool:
        """A C came; False: it is an answer too many."""
        key = clean(text)
        if hash(key) in self._early:  # its details came before it, and it was taken with them
            while self._early.popleft() != hash(key):
                pass  # answers come in order: no text will come for these any more
            return True
        if self._is_repeat(key):
            return True
        if self.next() is None:
            self._late.append(hash(key))  # nobody's, and so are the details that follow it
        return self._add(Part(text, key, now), now)

    def details(self, m: Message, now: float) -> bool:
        """A T came; False: it is an answer too many."""
        text = m.text or ""
        key = clean(text)
        for pending in self._pending:
            for part in pending.parts:
                if part.details is None and part.key == key:
                    part.details = m
                    self._place(pending, part)
                    return True
        if hash(key) in self._late:
            self._late.remove(hash(key))  # the answer was given without them
            return True
        if waiting := [part for part in self._answered_parts() if part.details is None]:
            waiting[0].details = m  # in other words than its text, but nothing else is owed any
            return True
        if self._is_repeat(key):
            return True
        self._early.append(hash(key))
        return self._add(Part(text, key, now, m), now)

    def follow(self, kind: str, extra: Extra) -> None:
        """What follows a text came."""
        parts = (part for pending in self._pending for part in pending.parts)
        self._following.came(kind, extra, parts)

    # What has its answer

    def take(self, now: float) -> Pending | None:
        """The oldest utterance if it has its answer, whole or after waiting for the rest; to be
        called until there is none."""
        self._settle(now)
        if not self._pending or not self._pending[0].answered or now < self._due():
            return None
        pending = self._pending.popleft()
        self._late.extend(hash(part.key) for part in pending.parts if part.details is None)
        for part in pending.parts:
            self._following.left(part)
        return pending

    def take_at(self) -> float | None:
        """When `take()` will have something though nothing comes; None: never."""
        if self._pending and self._pending[0].answered:
            return self._due()
        pending = self.next()
        return None if pending is None else pending.settles_at()

    def _settle(self, now: float) -> None:
        """What came counts as the answer where nothing more has come for long enough."""
        while (pending := self.next()) is not None:
            at = pending.settles_at()
            if at is None or now < at:
                return
            pending.counts_at, pending.owed, pending.own = None, 0, 0
            if not pending.ended:
                self._tell_early(pending)
                return
            self._answered(pending, now)

    def _due(self) -> float:
        """When the oldest has all that was asked for, or has waited long enough for it."""
        due = float("-inf")
        for part in self._pending[0].parts:
            if self._in_pairs and part.details is None:
                due = max(due, part.since + PAIR_S)
            due = max(due, self._following.due(part))
        return due

    def _answered_parts(self) -> list[Part]:
        """Of the utterance that has its answer and waits for the other half."""
        first = self._pending[0] if self._pending else None
        return first.parts if first is not None and first.answered else []

    def _is_repeat(self, key: str) -> bool:
        """Whether the last answer comes once more, while nobody has asked for the next."""
        pending = self.next()
        if self._by_service or pending is None or pending.ended or pending.owed:
            return False
        return key == self._last_answer

    def _add(self, part: Part, now: float) -> bool:
        """Give `part` to whom the next answer belongs; to nobody where none is owed. False: there
        are too many."""
        self._last_answer, self._last_partial = part.key, ""
        self._following.join(part)
        pending = self.next()
        if pending is None:
            self._dropped += 1
            return True
        if not pending.owed:
            if not self._has_room(pending):
                return False
            self.unasked = True
        pending.parts.append(part)
        pending.open = False
        if pending.owed and pending.own:
            pending.own -= 1
            pending.counts_at = now + OWN_SETTLE_S
        elif pending.owed:
            self._settle_owed(pending, part, now)
        self._place(pending, part)
        return True

    def _settle_owed(self, pending: Pending, part: Part, now: float) -> None:
        """`part` answers a commit of ours."""
        part.asked = True
        pending.owed -= 1
        pending.counts_at = None
        if pending.ended and not pending.owed and not self._by_service:
            self._answered(pending, now)
        else:
            self._tell_early(pending)

    def _place(self, holder: Pending, part: Part) -> None:
        """Give the words of `part` to those in whose audio they lie."""
        details = part.details
        if not self._by_service or details is None or not details.words:
            return
        shares = self._positions.shares(details.words, [each.offset_s for each in self._pending])
        owners = [(self._pending[index] if index >= 0 else None, rest) for index, rest in shares]
        if all(owner is holder for owner, _ in owners):
            return
        whole = part.text
        part.text, part.details = "", Message(details.message_type)
        for owner, tokens in owners:
            text = whole if len(owners) == 1 else "".join(token.text for token in tokens).strip()
            words = msgspec.structs.replace(details, words=tokens)
            if owner is holder:
                part.text, part.details = text, words
            elif owner is not None and self._has_room(owner):
                owner.parts.append(Part(text, clean(text), part.since, words))
            else:
                self._dropped += 1
        if not part.text and not part.asked:
            holder.parts.remove(part)

    def _has_room(self, pending: Pending) -> bool:
        limit = MAX_PARTS_BY_SERVICE if self._by_service else MAX_PARTS
        return pending.unasked() < limit

    def _tell_early(self, pending: Pending) -> None:
        if pending.paused:
            pending.paused = False
            self.early = pending

    def _answered(self, pending: Pending, now: float) -> None:
        pending.answered, self._answered_at = True, now
