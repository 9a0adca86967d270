"""The utterances that wait for an answer: what comes in of them, and what time and room do to them.

What is heard is in the store's files as well; here rests only the audio that is soon to be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from scribed import clock
from scribed.config import Config
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import (
    Command,
    EndReason,
    Event,
    Gone,
    Kept,
    Load,
    Loaded,
    Outcome,
    Recovered,
    Reply,
    SegmentEvent,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
)
from scribed.uplink import lines
from scribed.uplink.backlog import Backlog
from scribed.uplink.ends import Ends
from scribed.uplink.texts import Texts
from scribed.uplink.troubles import Troubles
from scribed.worker import Budget, Mailbox

SPARE_BYTES = 1 << 20
"""With less room than that a file or pipe is not read on."""
EXPIRE_S = 1.0
"""How often ages are looked at."""
RAM_BYTES = 4 << 20
"""Audio that is kept here, two minutes of it; what the store has in files may leave."""


class Purge(Struct, frozen=True):
    """Drop what was spoken to its end and has no answer: `ids` (utterances or numbers), or all."""

    ids: frozenset[str] | None
    outcome: Outcome
    command: Command | None = None  #: to be answered with how many there were


Mail = SegmentEvent | UtterancePaused | UtteranceResumed | Recovered | Kept | Loaded | Gone | Purge


class Waiting:
    """See the module. Used by the uplink's thread only; `supervisor` hears of delays."""

    def __init__(
        self,
        config: Config,
        *,
        store: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
        troubles: Troubles,
        clock_synced: Callable[[], bool | None],
    ) -> None:
        self.backlog = Backlog()
        self.ends = Ends(self.backlog, store=store, delivery=delivery, budget=budget)
        self.texts = Texts(config.transcript, self.backlog, self.ends, delivery)
        self.gives_up = False  #: what is said now is not to be transcribed
        self._waits_for_room = config.audio.source != "alsa"  # a file or pipe is read as room is
        self._store, self._budget = store, budget
        self._supervisor, self._troubles = supervisor, troubles
        self._clock_synced = clock_synced
        self._expire_at = 0.0
        self.retune(config)

    def retune(self, config: Config) -> None:
        """Go by another configuration from now on."""
        self._stale_after_s = config.transcript.stale_after_s
        self._drops_late = config.transcript.late == "drop"
        self._delayed_after_s = config.provider.answer_timeout_s
        self._max_age_s = config.spool.max_age_h * 3600
        self.texts.retune(config.transcript)
        self.backlog.retune(
            stale_after_s=config.transcript.stale_after_s,
            catch_up_rate=config.spool.catch_up_rate,
            max_attempts=config.provider.max_attempts,
        )

    # What comes in

    def take(self, item: Mail, now: float) -> None:
        """What capture heard, or what the store says."""
        match item:
            case UtteranceAudio():
                self._hear(item, now)
            case UtterancePaused(id=id):
                self.backlog.pause(id)
            case UtteranceResumed(id=id):
                self._resume(id, now)
            case Recovered():
                self._recover(item, now)
            case Kept(id=id):
                self.backlog.kept(id)
            case Loaded(id=id, pcm=pcm):
                if self.backlog.loaded(id, pcm):
                    self._budget.charge(len(pcm))
            case Gone(id=id, outcome=outcome):
                self._gone(id, outcome)
            case Purge():
                self._purge(item)
            case _:
                self._hear(item, now)

    def fetch(self, id: UtteranceId) -> None:
        """Ask the store for its audio."""
        self._store.put(Load(id))

    def _hear(self, event: SegmentEvent, now: float) -> None:
        taken = self.backlog.add(event, now)
        if not taken and isinstance(event, UtteranceAudio):
            self._budget.refund(len(event.pcm))
        muted = isinstance(event, UtteranceEnded) and event.reason is EndReason.MUTED
        if muted and (entry := self.backlog.get(event.id)) is not None:
            self.ends.close(entry, Outcome.MUTED)  # nobody may hear it

    def _resume(self, id: UtteranceId, now: float) -> None:
        if (entry := self.backlog.resume(id)) is not None:
            self.texts.resumed(entry, now)

    def _recover(self, found: Recovered, now: float) -> None:
        over_at = self._over_at(found, now)
        entry = self.backlog.recover(found, over_at, now)
        if self._drops_late and now - over_at > self._stale_after_s:
            self.ends.close(entry, Outcome.EXPIRED)

    def _over_at(self, found: Recovered, now: float) -> float:
        """When a recovered utterance was over, by the clock of this boot."""
        boot = found.started.boot
        if boot is None:
            return found.ended.at
        told = boot.clock_synced and self._clock_synced()  # else a wrong clock would end it
        age_s = clock.wall() - (found.ended.at + boot.unix_offset) if told else 0.0
        return now - max(age_s, self._stale_after_s + 1.0)  # of an earlier boot: stale for sure

    def _gone(self, id: UtteranceId, outcome: Outcome) -> None:
        """The store has the audio no more; what is here still, and under way, goes on."""
        entry = self.backlog.get(id)
        if entry is None:
            return
        self.backlog.kept(id, kept=False)
        if entry.parked or not entry.begun:
            self.ends.close(entry, outcome)

    def _purge(self, asked: Purge) -> None:
        chosen = [
            entry
            for entry in self.backlog
            if entry.ended is not None
            and (asked.ids is None or {entry.id, str(entry.started.seq)} & asked.ids)
        ]
        for entry in chosen:
            self.ends.close(entry, asked.outcome)
        if asked.command is not None:
            asked.command.answer.put(Reply(asked.command.token, {"purged": len(chosen)}))

    # What time does to them

    def pass_time(self, now: float) -> None:
        """Let them grow old, tell of delays, make room."""
        grown = self.backlog.age(now)
        if self.gives_up:
            grown = [entry for entry in self.backlog if entry.ended and not entry.begun]
        for entry in grown if self._drops_late or self.gives_up else ():
            self.ends.close(entry, Outcome.EXPIRED)
        for entry in self.backlog.delayed(now, self._delayed_after_s):
            self.ends.tell_store(well=False)
            detail: dict[str, object] = {"utterance_id": entry.id, "seq": entry.started.seq}
            self._supervisor.put(Event("utterance_delayed", detail))
            lines.late(entry)
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_S
            self._expire(now)
        for entry in self.backlog.condemned(now):
            lines.given_up(entry)
            self.ends.close(entry, Outcome.FAILED)
        self._make_room()

    def _expire(self, now: float) -> None:
        while (oldest := self.backlog.oldest_sealed()) is not None:
            if oldest.sealed_at is None or now - oldest.sealed_at <= self._max_age_s:
                break
            self.ends.close(oldest, Outcome.EXPIRED)

    def wake_at(self) -> float | None:
        """When `pass_time()` has something to tell or to do."""
        times = (self.backlog.delayed_at(self._delayed_after_s), self.backlog.condemned_at())
        return min((at for at in times if at is not None), default=None)

    @property
    def has_room(self) -> bool:
        """Whether there is so much that a second of audio more need not be looked at."""
        backlog, used, limit = self.backlog, self._budget.used, self._budget.limit
        fits = backlog.ram < min(RAM_BYTES, limit // 2) and used + SPARE_BYTES < limit
        return fits and 2 * used < limit and not (backlog.starved or self.gives_up)

    def _make_room(self) -> None:
        limit, here = self._budget.limit, min(RAM_BYTES, self._budget.limit // 2)
        if self.backlog.ram > here:
            self._budget.refund(self.backlog.park(here))
        while self._budget.used > limit:
            entry = self.backlog.oldest_sealed(here=True)
            if entry is None:
                break
            self._troubles.raise_("spool_full", f"{limit >> 20} MB of speech wait in memory")
            self.ends.close(entry, Outcome.EVICTED)
        self.backlog.starved = self._waits_for_room and self._budget.used > limit - SPARE_BYTES
        if self._budget.used < limit / 2:
            self._troubles.clear("spool_full")

    # What a connection's end does to them

    def charge(self, failed: Failed, now: float) -> bool:
        """Count a failure against the utterance on whose account it was, or may have been; whether
        others go first now.

        To be called before the backlog is rewound. What concerns account or service, and not what
        was said, is charged to nobody, nor is what came of asking too early.
        """
        if failed.overloaded:
            self.backlog.slow_down()
        guilty = failed.blamed
        if failed.remedy in (Remedy.RECONNECT, Remedy.BACK_OFF) and not failed.overloaded:
            guilty = guilty or self.backlog.suspect()
        if guilty is None or guilty == self.backlog.forgo_pauses():
            return False
        if (entry := self.backlog.get(guilty)) is not None:
            lines.refused(entry, failed)
        behind = self.backlog.strike(guilty, now, refused=failed.blamed is not None)
        return behind and self.backlog.sendable > 1

    def rewind(self) -> None:
        """The connection is gone: nothing that waits was heard."""
        self.backlog.rewind()
        self.ends.torn = False
