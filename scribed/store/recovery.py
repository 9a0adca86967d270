"""What earlier runs left, put in order before the workers start.

Whatever lies in the state directory, the daemon starts: what is whole goes on, what is not is set
aside and has its end published, and all of it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from scribed.model import (
    Closed,
    EarlierBoot,
    Outcome,
    Recovered,
    SeqReserved,
    UtteranceId,
    UtteranceStarted,
)
from scribed.store.acked import Acked
from scribed.store.ballast import Ballast
from scribed.store.begun import Begun
from scribed.store.gap import as_mark, heard
from scribed.store.heard import LastFrame
from scribed.store.ledger import BOOT, SEQ_END, Ledger, LedgerError, Waiting
from scribed.store.muted import KEY, MuteFile
from scribed.store.pages import Unpublished
from scribed.store.records import bare
from scribed.store.sequence import BLOCK, Sequence
from scribed.store.utterances import Info, Scan, Utterances

T = TypeVar("T")

MAX_CRASHES = 3
"""An utterance in whose sending the daemon ended so often is set aside."""
CLEAN = "clean"
"""The fact that says that the last run ended properly."""
LAST_FRAME = "last_frame"
"""The fact that says when the last run last heard: boot id and seconds of that boot's clock."""

_OF_THE_LAST_RUN = (CLEAN, LAST_FRAME)
_OURS = (*_OF_THE_LAST_RUN, BOOT, SEQ_END)


class Recovery(Struct, frozen=True):
    """What the daemon begins with."""

    next_seq: int  #: the first number that may be used …
    reserved: SeqReserved  #: … and up to where
    skipped: int = 0  #: numbers that nobody will ever see: the last end was a crash
    clean: bool = False  #: the last run ended properly
    heard_until: float | None = None  #: when an earlier run last heard, by this boot's clock
    exact: bool = True  #: `heard_until` rests on no wall clock, or only on such as were set
    recovered: tuple[Recovered, ...] = ()  #: oldest first: owed an answer
    unpublished: Unpublished = field(default_factory=Unpublished)  #: owed nothing but publication
    published_to: int = 0  #: the highest number that the broker is known to have
    unsettled: tuple[Closed, ...] = ()  #: of those: the ledger did not take them
    facts: Mapping[str, str] = field(default_factory=dict)  #: as remembered before
    quarantined: int = 0  #: files that were set aside just now
    notes: tuple[str, ...] = ()  #: what was found wrong, a line each
    trouble: str | None = None  #: the disk takes no numbers, or no ledger; why


def recover(
    *,
    sequence: Sequence,
    ledger: Ledger,
    ballast: Ballast,
    utterances: Utterances,
    acked: Acked,
    last_frame: LastFrame,
    begun: Begun,
    this_boot: Callable[[], EarlierBoot],
    now: float,
    progress: Callable[[], None] = lambda: None,
) -> Recovery:
    """Put everything in order, and reserve the first numbers. Never raises for what it finds.

    `progress` is called at each file: there may be many, on a slow card.
    """
    recoverer = _Recoverer(sequence, ledger, ballast, utterances, acked, this_boot, progress)
    return recoverer.recover(last_frame.before, begun, now)


class _Recoverer(Struct):
    """One recovery; what is found gathers in its attributes."""

    _sequence: Sequence
    _ledger: Ledger
    _ballast: Ballast
    _utterances: Utterances
    _acked: Acked
    _this_boot: Callable[[], EarlierBoot]
    _progress: Callable[[], None]
    _facts: dict[str, str] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _trouble: str | None = None
    _ledger_answers: bool = True  # once it does not, no more is asked of it,
    _ledger_takes: bool = True  # or no more written

    def recover(self, last_frame: tuple[str, float] | None, begun: Begun, now: float) -> Recovery:
        told = self._write(lambda: self._ledger.commit(delivered=self._acked.before, now=now))
        self._facts = self._ask(self._ledger.facts) or {}
        self._keep_mute()
        clean = CLEAN in self._facts
        marks = [last_frame, as_mark(self._facts.get(LAST_FRAME, ""))]
        heard_until, exact = heard(
            [mark for mark in marks if mark is not None],
            boot_of=lambda boot_id: self._ask(partial(self._ledger.boot, boot_id)),
            here=self._this_boot(),
            now=now,
        )
        scan = self._utterances.scan(self._progress)
        found = self._unanswered(scan)
        if told:
            self._acked.clear()  # only now that their files are gone
        reserved = self._number(found)
        poisoned = self._poisoned(found, clean=clean)
        closings = [*poisoned, *self._damaged(scan), *self._vanished(scan)]
        closings += self._never_kept(begun, scan, {closed.started.id for closed in closings})
        unsettled, unpublished = self._settle(closings)
        if not scan.problems:
            begun.forget()
        gone = {closed.started.id for closed in closings}
        self._say(scan)
        return Recovery(
            next_seq=self._sequence.next,
            reserved=reserved,
            skipped=self._sequence.skipped,
            clean=clean,
            heard_until=heard_until,
            exact=exact,
            recovered=tuple(
                Recovered(info.started, info.ended, info.nbytes)
                for info in found
                if info.ended is not None and info.id not in gone
            ),
            unpublished=unpublished,
            published_to=max(
                self._ask(self._ledger.highest_delivered) or 0, *self._acked.before, 0, 0
            ),
            unsettled=tuple(unsettled),
            facts={key: value for key, value in self._facts.items() if key not in _OURS},
            quarantined=len(scan.damaged) + len(poisoned),
            notes=(*self._ledger.news, *self._notes),
            trouble=self._trouble or self._sequence.trouble,
        )

    def _ask(self, question: Callable[[], T]) -> T | None:
        """What the ledger says; None: it cannot be asked."""
        if not self._ledger_answers:
            return None
        try:
            return question()
        except LedgerError as exc:
            self._ledger_answers, self._trouble = False, str(exc)
            return None

    def _write(self, change: Callable[[], object]) -> bool:
        """Let the ledger take something; False: it does not. On a full disk it still answers."""
        if self._ledger_takes:
            try:
                change()
            except LedgerError as exc:
                self._ledger_takes, self._trouble = False, str(exc)
        return self._ledger_takes

    def _keep_mute(self) -> None:
        """The microphone stays closed where the ledger or the file says so; then both do."""
        fact = self._facts.get(KEY)
        said = MuteFile(self._ledger.path.parent).restore(fact)
        if said is not None and said != fact:
            self._facts[KEY] = said
            self._write(lambda: self._ledger.set_fact(KEY, said))

    # The files

    def _unanswered(self, scan: Scan) -> list[Info]:
        """Those that have no answer yet; the others' are deleted."""
        found = []
        for info in scan.found:
            self._progress()
            if info.started.seq in self._acked.before or self._is_answered(info.id):
                self._utterances.discard(info.id)
                continue
            offered = info.started.seq in self._acked.offered  # and may have been published
            if offered:
                self._utterances.mark_answered(info.id)
            sending = info.sending and not offered
            found.append(replace(info, started=self._dated(info.started), sending=sending))
        return found

    def _is_answered(self, id: UtteranceId) -> bool:
        return self._ask(lambda: self._ledger.has(id)) or False

    def _dated(self, started: UtteranceStarted) -> UtteranceStarted:
        """With its boot's clock as the ledger last knew it: it may have been set after that."""
        if (boot := started.boot) is None:
            return started
        return replace(started, boot=self._ask(lambda: self._ledger.boot(boot.id)) or boot)

    def _poisoned(self, found: list[Info], *, clean: bool) -> list[Closed]:
        """The ends of those utterances in whose sending the daemon crashed too often."""
        poisoned = []
        for info in found:
            if not info.sending or info.ended is None:
                continue
            crashes = 0 if clean else self._count_crash(info)
            if crashes is None:
                continue  # it is counted at the next start
            if crashes >= MAX_CRASHES:
                why = f"scribed ended {MAX_CRASHES} times while it was sent"
                self._utterances.quarantine(info.id, why)
                self._notes.append(f"utterance {info.started.seq} is set aside: {why}")
                poisoned.append(Closed(info.started, info.ended, Outcome.QUARANTINED))
            else:
                self._utterances.mark_sending(info.id, sending=False)
        return poisoned

    def _count_crash(self, info: Info) -> int | None:
        """Note one more; how many that makes. None: the ledger does not take it."""
        waiting = Waiting(info.started, info.ended)
        if not self._write(lambda: self._ledger.commit(waiting=[waiting], crashes=[info.id])):
            return None
        return self._ask(lambda: self._ledger.crashes(info.id))

    def _damaged(self, scan: Scan) -> list[Closed]:
        """The ends of utterances whose files cannot be used."""
        ends = []
        for aside in scan.damaged:
            self._notes.append(f"utterance {aside.seq} is set aside: {aside.why}")
            known = aside.seq < self._sequence.next and aside.seq not in self._acked.before
            if known and not self._is_answered(aside.id):
                ends.append(Closed(bare(aside.id, aside.seq), None, Outcome.QUARANTINED))
        return ends

    def _vanished(self, scan: Scan) -> list[Closed]:
        """The ends of utterances that should be in files, and are not."""
        if scan.problems:
            return []  # they may be where nothing can be read just now
        there = {info.id for info in scan.found} | {aside.id for aside in scan.damaged}
        ends = []
        for waiting in self._ask(self._ledger.waiting) or []:
            seq = waiting.started.seq
            if waiting.started.id not in there and seq not in self._acked.before:
                self._notes.append(f"utterance {seq} has failed: its file is gone")
                ends.append(Closed(waiting.started, waiting.ended, Outcome.FAILED))
        return ends

    def _never_kept(self, begun: Begun, scan: Scan, closed: set[UtteranceId]) -> Iterator[Closed]:
        """The ends of utterances of which it was told that they began, and nothing else is left."""
        if scan.problems:
            return  # they may be where nothing can be read just now
        there = closed | {info.id for info in scan.found}
        for id_, seq in begun.before:
            known = seq < self._sequence.next and seq not in self._acked.before
            if known and id_ not in there and not self._is_answered(id_):
                self._notes.append(f"utterance {seq} has failed: it had just begun")
                yield Closed(bare(id_, seq), None, Outcome.FAILED)

    # The ledger

    def _settle(self, closings: list[Closed]) -> tuple[list[Closed], Unpublished]:
        """Those closings that the ledger did not take; all that is to be published."""
        ends = dict.fromkeys(_OF_THE_LAST_RUN)
        taken = self._write(lambda: self._ledger.commit(items=closings, facts=ends))
        kept = self._ask(self._ledger.undelivered_numbers) or []
        kept = [seq for seq in kept if seq not in self._acked.before]  # it may not know yet
        unsettled = [] if taken else closings
        return unsettled, Unpublished(self._ledger, kept, unsettled)

    def _number(self, found: list[Info]) -> SeqReserved:
        """Begin above all numbers that were used, and reserve the first."""
        known = self._ask(self._ledger.reserved)
        if known is None and (highest := self._ask(self._ledger.highest)):
            known = highest + 1
        self._sequence.resume(known, max((info.started.seq for info in found), default=0))
        first = self._sequence.next
        try:
            try:
                self._sequence.reserve(first)
            except OSError:
                if not self._ballast.give_up():
                    raise
                self._sequence.reserve(first)
        except OSError as exc:
            self._trouble = f"the state directory cannot be written: {exc.strerror}"
        self._write(lambda: self._ledger.note_reserved(first + BLOCK))
        self._ballast.restore()
        return SeqReserved(first + BLOCK)

    def _say(self, scan: Scan) -> None:
        self._notes += scan.problems
        if scan.mismatched:
            self._notes.append(f"{len(scan.mismatched)} utterance(s) are not as they were sealed")
        if scan.foreign:
            self._notes.append(f"{scan.foreign} file(s) that are not of this version: left alone")
