"""The store thread: owns what is on disk, so that nobody else waits for a disk.

It writes the audio of every utterance as it is spoken, and notes each final and end in the ledger,
all that arrived together in one transaction. Audio is deleted only when its text is in the ledger
or with the broker. A disk that takes nothing costs durability, an alert and a try now and then.
"""

from __future__ import annotations

import itertools
import logging
import select
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from scribed import clock, config, kinds
from scribed.model import (
    Closed,
    Command,
    CommandError,
    Delivered,
    Final,
    Gone,
    LinkWell,
    Load,
    Outcome,
    Reply,
    Retuned,
    SeqReserved,
    UtteranceAudio,
    UtteranceHeld,
)
from scribed.recording import KeepRecording, Record, RecordingKept
from scribed.store.acked import Acked
from scribed.store.ballast import Ballast
from scribed.store.begun import Begun
from scribed.store.books import Books
from scribed.store.gap import as_text
from scribed.store.heard import LastFrame
from scribed.store.ledger import Ledger, LedgerError
from scribed.store.numbers import Numbers
from scribed.store.pages import PAGE, Restating
from scribed.store.pending import Remember
from scribed.store.posts import Close, Post, Reserve, Retune
from scribed.store.recordings import Recordings
from scribed.store.recovery import CLEAN, LAST_FRAME, Recovery
from scribed.store.report import Report
from scribed.store.sequence import Sequence
from scribed.store.shelf import Shelf
from scribed.store.spool import Spool
from scribed.store.troubles import Troubles
from scribed.store.utterances import Utterances
from scribed.worker import Mailbox, Stop, Worker

__all__ = ["Close", "Remember", "Report", "Reserve", "Retune", "Store"]

logger = logging.getLogger(__name__)

REST_S = 60.0
"""How long to sleep where nothing happens."""
DISK_S = 60.0
"""How long a worn SD card may take for one fsync before the thread counts as stuck."""
LOOK_S = 1.0
"""How often the limits are looked at while audio comes in."""
FEED_S = 0.1
"""How soon to go on where a peer's mailbox is full."""


class Store(Worker):
    """See the module. `recovery` is what `recover()` found, and is handed on when it starts.

    `capture` gets a `SeqReserved` for each `Reserve`; `uplink` the utterances recovered, and
    `Kept`, `Loaded` and `Gone`; `delivery` the same utterances, what earlier runs did not publish,
    and `Restated` in pages. `capture` is also asked to record where an utterance ended without
    text, and told of each recording that it is written.
    """

    def __init__(
        self,
        *,
        sequence: Sequence,
        ledger: Ledger,
        ballast: Ballast,
        utterances: Utterances,
        acked: Acked,
        last_frame: LastFrame,
        begun: Begun,
        recovery: Recovery,
        spool: Spool,
        config: config.Spool,
        inbox: Mailbox[Any],
        capture: Mailbox[Any],
        uplink: Mailbox[Any],
        delivery: Mailbox[Any],
        supervisor: Mailbox[Any],
        recordings: Recordings,
        now: Callable[[], float] = clock.now,
    ) -> None:
        super().__init__("store", supervisor)
        self.inbox: Mailbox[Post] = inbox  # made by who makes those that post to it
        self._books = Books(ledger, acked, ballast, config.keep_published_min * 60)
        self._spool, self._last_frame = spool, last_frame
        self._capture, self._uplink, self._delivery, self._now = capture, uplink, delivery, now
        self._recordings = recordings
        self._troubles = Troubles()
        self._shelf = Shelf(
            utterances, begun, self._books, self._troubles, lambda item: self._post(uplink, item)
        )
        self._numbers = Numbers(
            sequence,
            self._books,
            self._troubles,
            unreserved=None if recovery.trouble is None else recovery.next_seq,
        )
        # What earlier runs left, for whoever has room for it: delivery first, then the uplink.
        # What waits for nothing but publication follows in pages.
        self._feed: deque[tuple[Mailbox[Any], object]] = deque()
        self._restating = Restating(ledger)
        self._looked_at = self._due_at = 0.0
        self._has_more = True  # in `_unpublished`
        self._last: Stop | None = None
        self._take_over(recovery)

    def _take_over(self, recovery: Recovery) -> None:
        self._unpublished = iter(recovery.unpublished)
        for recovered in recovery.recovered:
            self._feed.append((self._delivery, recovered))
            self._feed.append((self._uplink, recovered))
            self._shelf.note(recovered.started.id, self._now())
        for closed in recovery.unsettled:
            self._books.settle(closed)
        if recovery.trouble is not None:
            self._troubles.numbers = recovery.trouble
        self._quarantined = recovery.quarantined
        self.report = Report(recovered=len(recovery.recovered) + len(recovery.unpublished))
        self._tell_report()

    def work(self) -> None:
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        self._look_around()
        while self._last is None:
            patience_s = max(0.0, self._due_at - self._now())
            self.beat(patience_s)
            poller.poll(patience_s * 1000)
            self.beat(DISK_S)
            self._turn(self.inbox.drain())
        self._close(self._last)

    def _due(self) -> float:
        """Until when there is nothing to do but to wait for mail."""
        now = self._now()
        until = [
            now + REST_S,
            now + FEED_S if self._feed else None,
            now if self._has_more and not self._feed else None,
            self._restating.due_at() if not self._feed else None,
            self._books.due_at(),
            self._shelf.due_at(),
            self._numbers.due_at(),
            self._recordings.due_at,
        ]
        return min(at for at in until if at is not None)

    def _turn(self, items: list[Post]) -> None:
        """Do as was posted; audio alone is written, and nothing else is looked at for `LOOK_S`."""
        quiet = bool(items)
        for item in items:
            if isinstance(item, (UtteranceAudio, UtteranceHeld)):
                self._shelf.take(item, self._now())
            else:
                quiet = False
                self._take(item)
        if not quiet or self._now() >= min(self._looked_at + LOOK_S, self._due_at):
            self._look_around()

    def _look_around(self) -> None:
        """See to everything that is due."""
        now = self._looked_at = self._now()
        self._shelf.look_after(now)
        self._numbers.look_after(now)
        if self._recordings.look_after():
            self._post(self._capture, RecordingKept())
        due_at = self._books.due_at()
        if due_at is not None and now >= due_at:
            self._commit()
        self._books.tidy(now)
        if not self._feed and self._has_more:
            page = list(itertools.islice(self._unpublished, PAGE))
            self._feed.extend((self._delivery, item) for item in page)
            self._has_more = bool(page)
        while self._feed and self._feed[0][0].put(self._feed[0][1]):
            self._feed.popleft()
        if not self._feed and (restated := self._restating.next(now)) is not None:
            self._post(self._delivery, restated)
        self._troubles.ledger = self._books.trouble
        for news in self._troubles.news():
            self.supervisor.put(news)
        self._tell_report()
        self._due_at = self._due()

    def _take(self, item: Post) -> None:
        match item:
            case Final() | Closed():
                self._settle(item)
            case Delivered():
                self._delivered(item)
            case Load() | LinkWell():
                self._shelve(item)
            case Reserve():
                self._capture.put(SeqReserved(self._numbers.reserve(item.next_seq, self._now())))
            case Remember():
                self._books.remember(item)
            case Command():
                self._obey(item)
            case Retune():
                self._retune(item)
            case KeepRecording():
                self._recordings.begin(item)
            case Stop():
                self._last = item
            case _:
                self._shelf.take(item, self._now())

    def _shelve(self, item: Load | LinkWell) -> None:
        if isinstance(item, Load):
            self._shelf.load(item.id)
        else:
            self._shelf.link(self._now(), well=item.well)

    def _retune(self, item: Retune) -> None:
        self._books.keep_s = item.spool.keep_published_min * 60
        self._shelf.utterances.retune(item.spool)
        self.supervisor.put(Retuned(self.name, item.number))

    def _settle(self, item: Final | Closed) -> None:
        self._shelf.answered(item.started)
        self._books.settle(item)
        false = isinstance(item, Closed) and item.outcome is Outcome.NO_SPEECH
        if false and item.started.boot is None:
            about, since = str(item.started.seq), item.started.at
            self._capture.put(Record("false_opening", about, since=since))

    def _delivered(self, item: Delivered) -> None:
        self._books.delivered(item, self._now())
        # One that a reboot spares goes when the ledger knows: till then it would be missed.
        info = self._shelf.utterances.get(item.id)
        if info is None or not (info.durable and self._books.holds(item.id)):
            self._shelf.utterances.discard(item.id)

    def _post(self, mailbox: Mailbox[Any], item: object) -> None:
        if not mailbox.put(item):
            self._feed.append((mailbox, item))

    def _commit(self, **facts: str | None) -> bool:
        settled = self._books.commit(self._now(), **facts)
        for id_ in settled or ():
            self._shelf.utterances.discard(id_)
        if settled is not None:
            self._books.told()
        return settled is not None

    # Commands

    def _obey(self, command: Command) -> None:
        if self._books.due_at() is not None:
            self._commit()
        match command.name:
            case "restate":
                reply = self._restate(command)
            case "spool":
                reply = self._inspect(command)
            case _:
                error = CommandError("unknown", f"the store knows no {command.name!r}")
                reply = Reply(command.token, error=error)
        command.answer.put(reply)

    def _restate(self, command: Command) -> Reply:
        since = command.args.get("since_seq", 0)
        if not isinstance(since, int) or not 0 <= since < 1 << 53:
            error = CommandError("malformed", "since_seq is a number from 0")
            return Reply(command.token, error=error)
        try:
            numbers = self._books.ledger.numbers_since(since)
        except LedgerError as exc:
            return Reply(command.token, error=CommandError("failed", str(exc)))
        self._restating.begin(command.token, numbers)
        return Reply(command.token, {"items": len(numbers)})

    def _inspect(self, command: Command) -> Reply:
        """The verbs of `scribed spool`. What was purged has its end, which the uplink posts."""
        utterances = self._shelf.utterances
        before = utterances.list()
        answer = self._spool.answer(command.args)
        for info in before:
            if utterances.get(info.id) is None:
                self._post(self._uplink, Gone(info.id, Outcome.EVICTED))
        if isinstance(answer, CommandError):
            return Reply(command.token, error=answer)
        return Reply(command.token, answer)

    # The end

    def _close(self, stop: Stop) -> None:
        """Everything to where a reboot spares it; the next start finds it in order."""
        self.beat(DISK_S)
        self._shelf.secure(self._now())
        self._recordings.close()
        facts: dict[str, str | None] = {CLEAN: "1"}
        if (last := self._last_frame.last) is not None:
            facts[LAST_FRAME] = as_text(last)
        next_seq = stop.next_seq if isinstance(stop, Close) else None
        if next_seq is not None:
            self._numbers.release(next_seq)
        if not self._commit(**facts) and self._books.unsettled:
            left, why = self._books.unsettled, self._books.trouble or "it takes nothing"
            extra = kinds.FINALS_LOST(finals=left, error=why)
            logger.error("%d final(s) are not in the ledger", left, extra=extra)
        self._tell_report()
        self._shelf.utterances.close()
        self._books.close()

    def _tell_report(self) -> None:
        books, shelf = self._books, self._shelf
        runtime_files, runtime_bytes = shelf.utterances.held(durable=False)
        state_files, state_bytes = shelf.utterances.held(durable=True)
        self.report = replace(
            self.report,
            runtime_files=runtime_files,
            runtime_bytes=runtime_bytes,
            state_files=state_files,
            state_bytes=state_bytes,
            quarantined=self._quarantined + shelf.quarantined,
            evicted=shelf.evicted,
            undelivered=books.undelivered,
            unsettled=books.unsettled,
            dropped=books.dropped,
            unrestatable=books.unrestatable,
            unwritten_bytes=shelf.utterances.unwritten_bytes,
            writes=books.writes,
            ledger_trouble=books.trouble,
        )
