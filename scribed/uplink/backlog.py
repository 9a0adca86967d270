"""The utterances that have no answer yet, and which of them goes out next. Pure.

Never more than one commit is unanswered: answers carry no id, and if one were missing the next
would be taken for it. The audio of the next utterance goes out meanwhile.

Rewind, don't resume: the service's protocol has no ids, so where a connection ends every utterance
that was not answered is sent again from its first sample on the next one. That costs at most 28 s
of audio and never correctness.

An utterance is *fresh* until it is `stale_after_s` old, and keeps its place before younger ones.
Then it is *old*: it goes out in the gaps of fresh speech, the oldest first, one commit at a time,
and so paced that at most `catch_up_rate` seconds of old speech go out in a second. One that was
refused twice is *deferred*: it goes behind all others; after `max_attempts` refusals it is *held*
until it is plain that they were for its own sake, and then given up.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator

from scribed.model import (
    Recovered,
    SegmentEvent,
    UtteranceAudio,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
    seconds,
)
from scribed.uplink.entry import Audio, Begin, End, Entry, Fetch, Step

MAX_STEP_BYTES = pcm_bytes(1000)
"""Audio handed on at once: the service takes chunks of at most 1 s."""
ABANDON_BYTES = pcm_bytes(1000)
"""Fresh speech that starts with more than so much of an old utterance still to send goes first."""
YIELD_S = 2.0
"""Fresh speech waits at most so long for the answer to an old utterance."""
STRIKES, STRIKES_UNPROVEN = 2, 5
"""Failures of one utterance before it goes behind the others: refusals, and connections that ended
while it was the next to be answered, which may as well be the link's fault."""
PATIENCE_S = 30.0
"""Where nothing else is answered, refusals say as much about the service as about the utterance: it
is given up so long after the first, and not sent meanwhile."""
SLOWEST = 0.25
"""Old speech is never sent slower than at so many seconds in a second."""


class Backlog:
    """See the module; every `now` is of the boot clock. For one thread."""

    def __init__(
        self, *, stale_after_s: float = 5.0, catch_up_rate: float = 4.0, max_attempts: int = 5
    ) -> None:
        self.starved = False
        """A source that waits for room gets none: the oldest goes first then, whatever its age, for
        an open utterance would wait for its end for ever."""
        self.nbytes = 0  #: of audio that waits, in files or here
        self.ram = 0  #: of audio that is here
        self._stale_after_s, self._full_rate = stale_after_s, catch_up_rate
        self._rate, self._max_attempts = catch_up_rate, max_attempts
        self._all: dict[UtteranceId, Entry] = {}
        self._fresh: dict[UtteranceId, Entry] = {}  # insertion order is the order of speech
        self._old: dict[UtteranceId, Entry] = {}
        self._deferred: dict[UtteranceId, Entry] = {}
        self._held: dict[UtteranceId, Entry] = {}  # refused too often, and not sent any more
        self._here: dict[UtteranceId, None] = {}  # sealed, with audio in memory
        self._undelayed: dict[UtteranceId, Entry] = {}  # whose delay was not told
        self._current: Entry | None = None
        self._unanswered: collections.deque[Entry] = collections.deque()  # in the order of commits
        self._answers = 0
        self._paced_until = float("-inf")

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._all.values())

    @property
    def fresh(self) -> int:
        """How many are not old: those that somebody may still wait for."""
        return len(self._fresh)

    @property
    def sendable(self) -> int:
        """How many are to be sent, or to be answered."""
        return len(self._all) - len(self._held)

    def get(self, id: UtteranceId) -> Entry | None:
        return self._all.get(id)

    # What comes in

    def add(self, event: SegmentEvent, now: float) -> bool:
        """Take what capture heard; False where it belongs to no utterance that waits here."""
        if isinstance(event, UtteranceStarted):
            entry = Entry(event, now)
            self._all[event.id] = self._fresh[event.id] = entry
            return True
        entry_ = self._all.get(event.id)
        if entry_ is None:
            return False
        if isinstance(event, UtteranceAudio):
            self._put(entry_, event.pcm)
            entry_.nbytes += len(event.pcm)
            self.nbytes += len(event.pcm)
        else:
            entry_.ended, entry_.sealed_at = event, event.at
            self._undelayed[event.id] = entry_
            self._here[event.id] = None
        return True

    def recover(self, found: Recovered, sealed_at: float, now: float) -> Entry:
        """Take an utterance of an earlier run, which was over at `sealed_at`."""
        entry = Entry(found.started, sealed_at, found.ended, sealed_at)
        entry.nbytes, entry.recovered = found.nbytes, True
        entry.kept = entry.parked = True
        self.nbytes += found.nbytes
        fresh = now - sealed_at <= self._stale_after_s
        self._all[entry.id] = (self._fresh if fresh else self._old)[entry.id] = entry
        return entry

    def kept(self, id: UtteranceId, *, kept: bool = True) -> None:
        """The store has all the audio of a sealed utterance in a file, or has it no more."""
        if (entry := self._all.get(id)) is not None:
            entry.kept = kept

    def loaded(self, id: UtteranceId, pcm: bytes) -> bool:
        """The audio that was fetched; False where nobody wants it any more."""
        entry = self._all.get(id)
        if entry is None or not entry.parked:
            return False
        entry.parked = entry.loading = False
        for start in range(0, len(pcm), MAX_STEP_BYTES):
            self._put(entry, pcm[start : start + MAX_STEP_BYTES])
        self.nbytes += len(pcm) - entry.nbytes
        entry.nbytes = len(pcm)
        self._here[id] = None
        return True

    def _put(self, entry: Entry, pcm: bytes) -> None:
        entry.audio.append(pcm)
        entry.ram += len(pcm)
        self.ram += len(pcm)

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

    def has_next(self, now: float) -> bool:
        """Whether `next()` would give something."""
        entry = self._current
        if entry is not None:
            over = entry.ended is not None and not self._unanswered
            return over or entry.sent < len(entry.audio)
        entry = self._choose(now)
        return entry is not None and not entry.loading

    def paced_until(self) -> float | None:
        """When an old utterance that waits for nothing but its turn may go; None: there is none."""
        waits = self._old or self._deferred
        return self._paced_until if waits and not (self._current or self._unanswered) else None

    def must_yield(self, now: float, unsent: Callable[[], int] = lambda: 0) -> bool:
        """Whether an old utterance keeps fresh speech waiting: its connection is to be given up.

        `unsent()` bytes were handed to the socket and have not left the machine.
        """
        current = self._current
        if self.starved:
            idle = current is not None and current.ended is None and not self.has_next(now)
            return idle and _oldest(self._old, self._deferred, self._fresh) is not None
        if current is not None and current.as_old:
            first = next((e for e in self._fresh.values() if not e.begun), None)
            if first is None:
                return False
            left = current.nbytes - current.sent_bytes + unsent() * 3 // 4  # base64
            return left > ABANDON_BYTES or now >= first.opened_at + YIELD_S
        return (at := self.yields_at()) is not None and now >= at

    def yields_at(self) -> float | None:
        """When `must_yield()` will be true if nothing happens until then."""
        if self.starved or not any(entry.as_old for entry in self._unanswered):
            return None
        first = min((entry.opened_at for entry in self._fresh.values()), default=None)
        return None if first is None else first + YIELD_S

    def handed_over(self, id: UtteranceId, now: float) -> None:
        """The end of an utterance is in the hands of the kernel."""
        if (entry := self._all.get(id)) is not None and entry.end_sent:
            entry.handed_at = now

    def _choose(self, now: float) -> Entry | None:
        """Which utterance is to be begun, if one may."""
        if self.starved and (first := _oldest(self._old, self._deferred, self._fresh)) is not None:
            return None if self._unanswered or now < self._paced_until else first
        for entry in self._fresh.values():
            if not entry.end_sent:
                return entry
        if self._unanswered or now < self._paced_until:
            return None
        for queue in (self._old, self._deferred):
            if queue:
                return next(iter(queue.values()))
        return None

    def _step(self, entry: Entry, now: float) -> Step | None:
        if entry.sent < len(entry.audio):
            pieces: list[bytes] = []
            size = 0
            for pcm in entry.audio[entry.sent : entry.sent + MAX_STEP_BYTES // 320]:
                if pieces and size + len(pcm) > MAX_STEP_BYTES:
                    break
                pieces.append(pcm)
                size += len(pcm)
            entry.sent += len(pieces)
            entry.sent_bytes += size
            return Audio(entry, b"".join(pieces) if len(pieces) > 1 else pieces[0])
        if entry.ended is None or self._unanswered:
            return None  # nothing overtakes it while it is spoken; and see the module
        entry.end_sent, self._current = True, None
        self._unanswered.append(entry)
        if entry.as_old:
            self._paced_until = now + seconds(entry.nbytes) / self._rate
        return End(entry)

    # What becomes of them

    def rewind(self) -> None:
        """The connection is gone: nothing that waits here was heard."""
        begun = list(self._unanswered)
        if self._current is not None:
            begun.append(self._current)
        self._unanswered.clear()
        self._current = None
        for entry in begun:
            entry.begun = entry.as_old = entry.end_sent = False
            entry.sent = entry.sent_bytes = 0
            entry.handed_at = None

    def answered(self, id: UtteranceId) -> Entry | None:
        """An utterance has its text: it is taken out."""
        entry = self.conclude(id)
        if entry is not None:
            self._answers += 1
            self._rate = min(self._rate * 1.25, self._full_rate)
        return entry

    def conclude(self, id: UtteranceId) -> Entry | None:
        """Take an utterance out: it has its text, or its end."""
        entry = self._all.pop(id, None)
        if entry is None:
            return None
        for queue in (
            self._fresh,
            self._old,
            self._deferred,
            self._held,
            self._here,
            self._undelayed,
        ):
            queue.pop(id, None)
        if entry in self._unanswered:
            self._unanswered.remove(entry)
        if entry is self._current:
            self._current = None
        self.nbytes -= entry.nbytes
        self.ram -= entry.ram
        return entry

    def age(self, now: float) -> list[Entry]:
        """Let what is stale grow old; return those of them that were not begun."""
        grown: list[Entry] = []
        for entry in list(self._fresh.values()):
            if entry.sealed_at is None or now - entry.sealed_at <= self._stale_after_s:
                break
            del self._fresh[entry.id]
            self._old[entry.id] = entry
            if not entry.begun:
                grown.append(entry)
        return grown

    def delayed(self, now: float, after_s: float) -> list[Entry]:
        """Those that have waited for their text for `after_s` since their end, each once."""
        late = []
        for entry in list(self._undelayed.values()):
            if entry.sealed_at is None or now < entry.sealed_at + after_s:
                break
            del self._undelayed[entry.id]
            late.append(entry)
        return late

    def delayed_at(self, after_s: float) -> float | None:
        """When `delayed()` has something next."""
        first = next(iter(self._undelayed.values()), None)
        return None if first is None or first.sealed_at is None else first.sealed_at + after_s

    def strike(self, id: UtteranceId, now: float, *, refused: bool) -> None:
        """A connection ended on account of an utterance: the service has `refused` it, or has only
        left it without an answer, which counts where another was answered since its last strike."""
        entry = self._all.get(id)
        if entry is None:
            return
        entry.strikes += 1
        proven = 0 <= entry.answers_then < self._answers
        if entry.answers_then < 0:
            entry.answers_before = self._answers
        if refused or proven:
            entry.refused_at = entry.refused_at if entry.refusals else now
            entry.refusals += 1
        entry.answers_then = self._answers
        enough = proven or entry.strikes >= (STRIKES if refused else STRIKES_UNPROVEN)
        if entry.ended is None or not (enough or entry.refusals >= self._max_attempts):
            return
        for queue in (self._fresh, self._old, self._deferred):
            queue.pop(id, None)
        (self._held if entry.refusals >= self._max_attempts else self._deferred)[id] = entry

    def condemned(self, now: float) -> list[Entry]:
        """Those that were refused too often, as soon as it is plain that it is for their own sake:
        another was answered meanwhile, or nothing was for `PATIENCE_S`."""
        return [
            entry
            for entry in self._held.values()
            if self._answers > entry.answers_before or now >= entry.refused_at + PATIENCE_S
        ]

    def condemned_at(self) -> float | None:
        """When `condemned()` has something at the latest."""
        if not self._held:
            return None
        return min(entry.refused_at for entry in self._held.values()) + PATIENCE_S

    def suspect(self) -> UtteranceId | None:
        """Whose turn it was when the connection ended: it may be what the service cannot take."""
        if self._unanswered:
            return self._unanswered[0].id
        current = self._current
        return None if current is None or current.ended is None else current.id

    def slow_down(self) -> None:
        """The service cannot hear as fast as old speech is sent."""
        self._rate = max(self._rate / 2, SLOWEST)

    # Room

    def park(self, limit: int) -> int:
        """Leave audio to the store's files until at most `limit` bytes are here; return how many
        bytes were freed."""
        freed = 0
        for entry in [self._all[key] for key in self._here]:
            if self.ram <= limit:
                break
            if entry.kept and not entry.begun:
                freed += self._forget(entry)
        return freed

    def _forget(self, entry: Entry) -> int:
        del self._here[entry.id]
        freed, entry.ram = entry.ram, 0
        entry.audio, entry.parked = [], True
        self.ram -= freed
        return freed

    def oldest_sealed(self, *, here: bool = False) -> Entry | None:
        """The oldest utterance that was spoken to its end; `here`: whose audio is in memory."""
        if here:
            return next((self._all[key] for key in self._here), None)
        return _oldest(self._held, self._deferred, self._old, self._fresh)


def _oldest(*queues: dict[UtteranceId, Entry]) -> Entry | None:
    """The first that was spoken to its end; each queue is in order, but for what was deferred."""
    heads = (
        next((entry for entry in queue.values() if entry.ended is not None), None)
        for queue in queues
    )
    found = (entry for entry in heads if entry is not None)
    return min(found, key=lambda entry: entry.started.seq, default=None)
