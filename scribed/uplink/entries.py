"""The utterances that wait for an answer, in the order of their turns, and their audio. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from scribed.model import (
    Recovered,
    SegmentEvent,
    UtteranceAudio,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.uplink.entry import Entry
from scribed.uplink.strikes import Strikes, Verdict

MAX_STEP_BYTES = pcm_bytes(1000)
"""Audio handed on at once: the service takes chunks of at most 1 s."""


class Entries:
    """See `backlog`, which sends them; every `now` is of the boot clock."""

    def __init__(self, *, stale_after_s: float, max_attempts: int) -> None:
        self.nbytes = 0  #: of audio that waits, in files or here
        self.ram = 0  #: of audio that is here
        self._stale_after_s, self._strikes = stale_after_s, Strikes(max_attempts)
        self._all: dict[UtteranceId, Entry] = {}
        self._fresh: dict[UtteranceId, Entry] = {}  # insertion order is the order of speech
        self._old: dict[UtteranceId, Entry] = {}
        self._deferred: dict[UtteranceId, Entry] = {}
        self._held: dict[UtteranceId, Entry] = {}  # refused too often, and not sent any more
        self._here: dict[UtteranceId, None] = {}  # sealed, with audio in memory
        self._undelayed: dict[UtteranceId, Entry] = {}  # whose delay was not told

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

    def pause(self, id: UtteranceId) -> None:
        """The speaker pauses: what comes now is silence, until `resume()`."""
        entry = self._all.get(id)
        if entry is None or not entry.may_pause:
            return
        if entry.ended is None and entry.hold is None:
            entry.hold = len(entry.audio)

    def resume(self, id: UtteranceId) -> Entry | None:
        """Speech goes on; the utterance, where it waits here."""
        if (entry := self._all.get(id)) is not None:
            entry.hold, entry.asked = None, False
        return entry

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

    # What becomes of them

    def _take_out(self, id: UtteranceId) -> Entry | None:
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

    def strike(self, id: UtteranceId, now: float, *, refused: bool) -> bool:
        """A connection ended on account of an utterance, see `Strikes`; whether others go first
        now."""
        entry = self._all.get(id)
        if entry is None:
            return False
        verdict = self._strikes.strike(entry, now, refused=refused)
        if verdict is not Verdict.STAYS:
            for queue in (self._fresh, self._old, self._deferred):
                queue.pop(id, None)
            (self._held if verdict is Verdict.HELD else self._deferred)[id] = entry
        return verdict is not Verdict.STAYS

    def condemned(self, now: float) -> list[Entry]:
        """Those that are to be given up."""
        return self._strikes.condemned(self._held.values(), now)

    def condemned_at(self) -> float | None:
        """When `condemned()` has something at the latest."""
        return self._strikes.condemned_at(self._held.values())

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
        return oldest(self._held, self._deferred, self._old, self._fresh)


def oldest(*queues: dict[UtteranceId, Entry]) -> Entry | None:
    """The first that was spoken to its end; each queue is in order, but for what was deferred."""
    heads = (
        next((entry for entry in queue.values() if entry.ended is not None), None)
        for queue in queues
    )
    found = (entry for entry in heads if entry is not None)
    return min(found, key=lambda entry: entry.started.seq, default=None)
