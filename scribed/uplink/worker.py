"""The uplink thread: utterances to text, while a connection is wanted and may be.

One wait for the socket and the mailbox. Everything that decides is in the modules beside this one:
`link` says what a failure means, and when the next connection may be made; where the day's limit of
audio is reached there is none until the next day. What is heard goes to the store first, which
keeps the audio of all that waits: here rests only what is soon to be sent.
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from scribed import clock, kinds
from scribed.config import Config
from scribed.errors import Remedy, ScribedError
from scribed.interfaces import (
    Committed,
    EarlyText,
    Failed,
    PartialText,
    Ready,
    Request,
    Session,
    Warned,
)
from scribed.model import LinkState, Retuned, UtteranceAudio, UtteranceStarted
from scribed.uplink.connection import Connection
from scribed.uplink.exchange import Exchange
from scribed.uplink.link import Retune, ServiceLink
from scribed.uplink.opener import Arrived
from scribed.uplink.purse import Purse
from scribed.uplink.report import Reporter, UplinkReport
from scribed.uplink.rotation import Rotation
from scribed.uplink.troubles import Troubles
from scribed.uplink.waiting import Mail, Waiting
from scribed.worker import Budget, Mailbox, Worker

logger = logging.getLogger(__name__)

REST_S = 60.0
"""How long to sleep at most where nothing is to be done."""


class Drain(Struct, frozen=True):
    """Nothing more will be said: wait for answers until `deadline`, then end.

    `everything`: also for those to old speech, which otherwise is left to the store.
    """

    deadline: float
    everything: bool = True


class Uplink(Worker):
    """See the module.

    `new_session` makes a session with the credential as it is now; its argument is the last text if
    that is context for the next, else "". It and `check` raise `ScribedError` where there is no
    credential; it raises `TransportError` or `Refused` where a token cannot be had. `connect` opens
    a connection for its request, or raises `TransportError`; it and `new_session` are called in
    this thread and in "uplink-rotate". `spent` is the UTC day and the seconds of audio billed on
    it, as last given to `remember`.
    """

    def __init__(
        self,
        *,
        config: Config,
        new_session: Callable[[str], Session],
        connect: Callable[[Request], Connection],
        store: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
        clock_synced: Callable[[], bool | None],
        check: Callable[[], object] = lambda: None,
        remember: Callable[[str, float], object] = lambda _day, _seconds: None,
        spent: tuple[str, float] = ("", 0.0),
    ) -> None:
        super().__init__("uplink", supervisor)
        # The budget is its bound.
        self.inbox: Mailbox[Mail | Drain | Arrived | Retune] = Mailbox(1_000_000)
        self._check = check
        self._reporter = Reporter(supervisor, clock.now())
        self._troubles = Troubles(supervisor)
        self._waiting = Waiting(
            config,
            store=store,
            delivery=delivery,
            budget=budget,
            supervisor=supervisor,
            troubles=self._troubles,
            clock_synced=clock_synced,
        )
        self._backlog = self._waiting.backlog
        self._ends, self._texts = self._waiting.ends, self._waiting.texts
        self._link = ServiceLink(
            config,
            new_session,
            connect,
            backlog=self._backlog,
            inbox=self.inbox,
            fetch=self._waiting.fetch,
            troubles=self._troubles,
            reporter=self._reporter,
            beat=self.beat,
        )
        self._purse = Purse(config.cost, spent, remember, clock_synced, self._troubles)
        self._drain: Drain | None = None
        self._renewing: int | None = None  # for this configuration a connection is to end

    @property
    def report(self) -> UplinkReport:
        """How the uplink stands; for the supervisor to look at."""
        return self._reporter.latest

    def work(self) -> None:
        self._look_for_a_key()
        self._count()
        while not self._finished():
            if self._may_connect():
                self._recover(self._converse())
                self._renewed()
            else:
                self._rest()
        self._count(last=True)
        for item in self.inbox.drain():
            if isinstance(item, Arrived):
                item.close()

    def _look_for_a_key(self) -> None:
        """Say now that there is none, not at the first word."""
        try:
            self._check()
        except ScribedError as exc:
            self._recover(Failed(Remedy.REFUSED, str(exc), alert="auth_failed"))

    def _finished(self) -> bool:
        drain = self._drain
        if drain is None:
            return False
        waiting = len(self._backlog) if drain.everything else self._backlog.fresh
        spent = self._backlog.shut and not self._backlog.under_way
        late = self._link.not_before >= drain.deadline  # no attempt is due before it
        return not waiting or spent or late or clock.now() >= drain.deadline

    # Connecting

    def _wants_link(self) -> bool:
        return self._link.is_wanted(ending=self._drain is not None)

    def _may_connect(self) -> bool:
        return self._wants_link() and clock.now() >= self._link.not_before

    def _rest(self) -> None:
        """Sleep until there is mail or the next attempt is due."""
        times = [clock.now() + REST_S]
        if self._wants_link():
            times.append(self._link.not_before)
        timeout = max(0.0, min([*times, *self._own_timers()]) - clock.now())
        self.beat(timeout)
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        poller.poll(timeout * 1000)
        self._take_mail(clock.now())
        self._waiting.pass_time(clock.now())
        self._count()

    def _own_timers(self) -> list[float]:
        """When there is something to do that neither mail nor the socket tells."""
        times = [] if self._drain is None else [self._drain.deadline]
        if (wake_at := self._waiting.wake_at()) is not None:
            times.append(wake_at)
        return times

    def _converse(self) -> Failed | None:
        """One connection, and those that replace it; why it ended, None for our own choice."""
        with contextlib.closing(self._link) as link:
            opened = link.open()
            if isinstance(opened, Failed):
                return opened
            failed = self._pump(opened)
        return None if failed is None else self._link.judged(failed)

    def _pump(self, rotation: Rotation) -> Failed | None:
        has_mail = True
        while True:
            now = clock.now()
            audio_alone = has_mail and self._take_mail(now)
            if audio_alone and self._is_at_ease() and rotation.forward(self._backlog, now):
                has_mail = rotation.wait_on()  # so it is for each chunk
                continue
            self._waiting.pass_time(now)
            may_rotate = self._drain is None and not self._backlog.shut
            for exchange, event in rotation.turn(self._backlog, may_rotate=may_rotate):
                if isinstance(event, Failed):
                    return event
                self._hear(exchange, event)
            now = clock.now()
            self._count()
            self._troubles.link_stands(now)
            if self._is_over(now):
                return None
            if self._backlog.must_yield(now, rotation.unsent):
                self._reporter.abandoned()
                words = "somebody speaks: old speech is sent again later"
                logger.info(words, extra=kinds.OLD_SPEECH_YIELDS())
                return None
            self.beat(REST_S)
            wake_at = min(now + REST_S, self._link.idles_at(), *self._own_timers())
            has_mail = rotation.wait(wake_at, self._backlog)

    def _is_at_ease(self) -> bool:
        """Whether more audio of fresh speech changes nothing but that it is to be sent."""
        return not self._backlog.sends_old and not self._purse.has_limit and self._waiting.has_room

    def _is_over(self, now: float) -> bool:
        """Whether the connection is to be closed by our own choice."""
        spent = self._backlog.shut or self._renewing is not None
        spent = spent and not self._backlog.under_way
        return self._link.idles(now) or self._finished() or self._ends.torn or spent

    # What the session says

    def _hear(
        self, exchange: Exchange, event: Ready | PartialText | EarlyText | Committed | Warned
    ) -> None:
        match event:
            case Ready():
                self._link.ready()
            case PartialText(utterance_id=id, text=text):
                self._texts.partial(id, text, exchange.who, clock.now())
            case EarlyText():
                self._texts.early(event, exchange.who, clock.now())
            case Committed():
                self._on_committed(exchange, event)
            case Warned():
                self._troubles.warned(event)

    def _on_committed(self, exchange: Exchange, said: Committed) -> None:
        entry = self._backlog.get(said.utterance_id)
        if self._texts.committed(said, exchange.who, clock.now()):
            spoken_at = None if entry is None else entry.sealed_at
            self._link.answered(exchange.alerts, said.answer.text, spoken_at)

    # After a connection

    def _recover(self, failed: Failed | None) -> None:
        """Rewind, and decide when to try again."""
        excused = failed is not None and self._waiting.charge(failed, clock.now())
        self._waiting.rewind()
        if failed is None:
            self._link.rest()
        elif self._link.failed(failed, excused=excused):
            self._ends.tell_store(well=False)

    # Mail, and what is told

    def _take_mail(self, now: float) -> bool:
        """Take what has come; whether that was audio, and nothing else."""
        audio_alone = True
        for item in self.inbox.drain():
            if isinstance(item, UtteranceAudio):
                self._waiting.take(item, now)
                continue
            audio_alone = False
            match item:
                case Drain():
                    self._drain = item
                case Retune():
                    self._retune(item)
                case Arrived():
                    self._link.take(item)
                case _:
                    if isinstance(item, UtteranceStarted):
                        self._link.hurry(now)
                    self._waiting.take(item, now)
        return audio_alone

    def _retune(self, new: Retune) -> None:
        """Go by another configuration: at once, but for a connection that has to end for it."""
        self._check = new.check
        self._link.retune(new)
        self._waiting.retune(new.config)
        self._purse.retune(new.config.cost)
        if not new.renew and self._renewing is None:
            self.supervisor.put(Retuned(self.name, new.number))
            return
        self._renewing = new.number
        if not self._link.finish():
            self._renewed()

    def _renewed(self) -> None:
        """No connection is left of a former configuration, where one had to end for another."""
        if self._renewing is None:
            return
        self.supervisor.put(Retuned(self.name, self._renewing))
        self._renewing = None
        self._link.renewed()
        self._look_for_a_key()

    def _count(self, *, last: bool = False) -> None:
        """Bring what is reported up to date, and what audio may yet be sent on this day."""
        spending = self._purse.spend(self._link.usage.take_billed_s(), last=last)
        self._backlog.shut, self._waiting.gives_up = spending.shut, spending.gives_up
        if spending.shut and self._reporter.state is LinkState.IDLE:
            self._link.rest(spending.message())
        self._ends.count()
        self._reporter.count(self._ends.tally, self._link.usage, spending)
