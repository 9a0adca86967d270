"""The utterances that have no answer yet, and which of them goes out next. Pure.

Never more than one commit is unanswered: answers carry no id, and if one were missing the next
would be taken for it. The audio of the next utterance goes out meanwhile.

Rewind, don't resume: the service's protocol has no ids, so where a connection ends every utterance
that was not answered is sent again from its first sample on the next one. That costs at most 28 s
of audio and never correctness.

While the speaker pauses an utterance may be committed early. That is its only unanswered commit;
the silence that follows is held back, and goes out only if speech goes on.

An utterance is *fresh* until it is `stale_after_s` old, and keeps its place before younger ones.
Then it is *old*: it goes out in the gaps of fresh speech, the oldest first, one commit at a time,
and so paced that at most `catch_up_rate` seconds of old speech go out in a second. One that was
refused twice is *deferred*: it goes behind all others; after `max_attempts` refusals it is *held*
until it is plain that they were for its own sake, and then given up.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

from scribed.model import UtteranceId, pcm_bytes, seconds
from scribed.uplink.entries import MAX_STEP_BYTES, Entries, oldest
from scribed.uplink.entry import Audio, Begin, End, Entry, Fetch, Pause, Step
from scribed.uplink.pace import CatchUp

ABANDON_BYTES = pcm_bytes(1000)
"""Fresh speech that starts with more than so much of an old utterance still to send goes first."""
YIELD_S = 2.0
"""Fresh speech waits at most so long for the answer to an old utterance."""


class Backlog(Entries):
    """See the module; every `now` is of the boot clock. For one thread."""

    def __init__(
        self, *, stale_after_s: float = 5.0, catch_up_rate: float = 4.0, max_attempts: int = 5
    ) -> None:
        super().__init__(stale_after_s=stale_after_s, max_attempts=max_attempts)
        self.starved = False
        """A source that waits for room gets none: the oldest goes first then, whatever its age, for
        an open utterance would wait for its end for ever."""
        self.shut = False  #: no further utterance is to be begun
        self._catch_up = CatchUp(catch_up_rate)
        self._current: Entry | None = None
        self._unanswered: collections.deque[Entry] = collections.deque()  # in the order of commits
        self._early: Entry | None = None  # committed early, and that is not answered

    def retune(self, *, stale_after_s: float, catch_up_rate: float, max_attempts: int) -> None:
        """Go by other settings from now on; an utterance that is old stays so."""
        self._stale_after_s, self._strikes.max_attempts = stale_after_s, max_attempts
        self._catch_up.retune(catch_up_rate)

    @property
    def in_mid_utterance(self) -> bool:
        """Whether an utterance was begun on a connection and is not sent to its end."""
        return self._current is not None

    @property
    def under_way(self) -> bool:
        """Whether any was begun and is not answered."""
        return self._current is not None or bool(self._unanswered)

    @property
    def sends_old(self) -> bool:
        """Whether an utterance that was begun as an old one is under way."""
        current = self._current
        if current is not None and current.as_old:
            return True
        return any(entry.as_old for entry in self._unanswered)

    # What goes out

    def next(self, now: float) -> Step | None:
        """The next thing to hand to the session; None: nothing can be sent now."""
        if self._current is not None:
            return self._step(self._current, now)
        entry = self._choose(now)
        if entry is None or entry.loading:
            return None
        if entry.parked:
            entry.loading = True
            return Fetch(entry)
        entry.begun, entry.as_old = True, entry.id not in self._fresh
        entry.attempt += 1
        self._current = entry
        return Begin(entry)

    def more(self, now: float) -> Audio | None:
        """The next audio of the utterance that goes out now, where there is any."""
        entry = self._current
        return None if entry is None or entry.sent >= entry.limit else self._audio(entry, now)

    def has_next(self, now: float) -> bool:
        """Whether `next()` would give something."""
        entry = self._current
        if entry is not None:
            return entry.sent < entry.limit or self._commit(entry) is not None
        entry = self._choose(now)
        return entry is not None and not entry.loading

    def paced_until(self) -> float | None:
        """When an old utterance that waits for nothing but its turn may go; None: there is none."""
        waits = self._old or self._deferred
        return self._catch_up.until if waits and not (self._current or self._unanswered) else None

    def must_yield(self, now: float, unsent: Callable[[], int] = lambda: 0) -> bool:
        """Whether an old utterance keeps fresh speech waiting: its connection is to be given up.

        `unsent()` bytes were handed to the socket and have not left the machine.
        """
        current = self._current
        if self.shut:
            return False
        if self.starved:
            idle = current is not None and current.ended is None and not self.has_next(now)
            return idle and oldest(self._old, self._deferred, self._fresh) is not None
        if current is not None and current.as_old:
            first = next((e for e in self._fresh.values() if not e.begun), None)
            if first is None:
                return False
            left = current.nbytes - current.sent_bytes + unsent() * 3 // 4  # base64
            return left > ABANDON_BYTES or now >= first.opened_at + YIELD_S
        return (at := self.yields_at()) is not None and now >= at

    def yields_at(self) -> float | None:
        """When `must_yield()` will be true if nothing happens until then."""
        if self.starved or self.shut or not any(entry.as_old for entry in self._unanswered):
            return None
        first = min((entry.opened_at for entry in self._fresh.values()), default=None)
        return None if first is None else first + YIELD_S

    def handed_over(self, id: UtteranceId, now: float) -> None:
        """The last commit of an utterance is in the hands of the kernel."""
        if (entry := self._all.get(id)) is not None and entry.begun:
            entry.handed_at = now

    def cannot_pause(self, id: UtteranceId) -> None:
        """Its text so far cannot be asked for now: it goes on as if there were no pause."""
        if (entry := self._all.get(id)) is not None:
            entry.hold, entry.asked = None, False
        if self._early is entry:
            self._early = None

    def early(self, id: UtteranceId) -> Entry | None:
        """The text up to a pause came; the utterance, where it waits here."""
        entry = self._all.get(id)
        if entry is not None and self._early is entry:
            self._early = None
        return entry

    def forgo_pauses(self) -> UtteranceId | None:
        """A connection ended while the text up to a pause was asked for: that utterance, whose text
        is asked for at its end only from now on."""
        entry = self._early
        if entry is None:
            return None
        entry.may_pause, entry.hold = False, None
        return entry.id

    def _choose(self, now: float) -> Entry | None:
        """Which utterance is to be begun, if one may."""
        if self.shut:
            return None
        if self.starved and (first := oldest(self._old, self._deferred, self._fresh)) is not None:
            return None if self._unanswered or now < self._catch_up.until else first
        for entry in self._fresh.values():
            if not entry.end_sent:
                return entry
        if self._unanswered or now < self._catch_up.until:
            return None
        for queue in (self._old, self._deferred):
            if queue:
                return next(iter(queue.values()))
        return None

    def _step(self, entry: Entry, now: float) -> Step | None:
        if entry.sent < entry.limit:
            return self._audio(entry, now)
        step = self._commit(entry)
        if isinstance(step, Pause):
            entry.asked, self._early = True, entry
        elif isinstance(step, End):
            entry.end_sent, self._current, self._early = True, None, None
            self._unanswered.append(entry)
            if entry.as_old:
                self._catch_up.sent(seconds(entry.nbytes), now)
        return step

    def _audio(self, entry: Entry, now: float) -> Audio:
        if entry.first_byte_at is None:
            entry.first_byte_at = now
        pieces: list[bytes] = []
        size = 0
        for pcm in entry.audio[entry.sent : min(entry.limit, entry.sent + MAX_STEP_BYTES // 320)]:
            if pieces and size + len(pcm) > MAX_STEP_BYTES:
                break
            pieces.append(pcm)
            size += len(pcm)
        entry.sent += len(pieces)
        entry.sent_bytes += size
        return Audio(entry, b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def _commit(self, entry: Entry) -> Pause | End | None:
        """What is to be asked for, where all audio of the utterance went out that may."""
        if self._unanswered:
            return None  # see the module
        if entry.ended is not None and entry.asked:
            return End(entry, silent=True)
        if self._early is not None:
            return None
        if entry.ended is not None:
            return End(entry)
        return Pause(entry) if entry.hold is not None and not entry.asked else None

    # What becomes of them

    def rewind(self) -> None:
        """The connection is gone: nothing that waits here was heard."""
        begun = list(self._unanswered)
        if self._current is not None:
            begun.append(self._current)
        self._unanswered.clear()
        self._current = None
        self._early = None
        for entry in begun:
            entry.rewind()

    def answered(self, id: UtteranceId) -> Entry | None:
        """An utterance has its text: it is taken out."""
        entry = self.conclude(id)
        if entry is not None:
            self._strikes.answered()
            self._catch_up.answered()
        return entry

    def conclude(self, id: UtteranceId) -> Entry | None:
        """Take an utterance out: it has its text, or its end."""
        entry = self._take_out(id)
        if entry is None:
            return None
        if entry in self._unanswered:
            self._unanswered.remove(entry)
        if entry is self._current:
            self._current = None
        if entry is self._early:
            self._early = None
        return entry

    def suspect(self) -> UtteranceId | None:
        """Whose turn it was when the connection ended: it may be what the service cannot take."""
        if self._unanswered:
            return self._unanswered[0].id
        current = self._current
        if current is None or (current.ended is None and self._early is None):
            return None
        return current.id

    def slow_down(self) -> None:
        """The service cannot hear as fast as old speech is sent."""
        self._catch_up.slow_down()
