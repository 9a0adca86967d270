"""The uplink thread: owns the connection, its session and the backlog; turns utterances into text.

```
          speech, or connect = "always"          session_started
 idle ─────────────────────────────► connecting ────────────────► connected
  ▲                                      │ failed                   │ │ failed
  │  idle_s without work, or done        │                          │ │
  └──────────────────────────────────────┼──────────────────────────┘ │
        backoff (full jitter) · refused (slow, with an alert) ◄───────┘
```
One wait for the socket and the mailbox. Everything that decides is in the pure modules beside this
one; a failure of any kind comes down to a `Failed` with its remedy: the backlog is rewound and
nothing is tried before a certain time. A connection that grows old is replaced by `rotation`; where
the day's limit of audio is reached there is none until the next day. What is heard goes to the
store first, which keeps the audio of all that waits: here rests only what is soon to be sent.
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

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
from scribed.model import Link, LinkState, Retuned, UtteranceAudio, UtteranceStarted
from scribed.uplink.connection import Connection
from scribed.uplink.exchange import Exchange, Usage
from scribed.uplink.opener import Arrived, NotOpened, Opened, Opener
from scribed.uplink.purse import Purse
from scribed.uplink.retries import Retries
from scribed.uplink.rotation import Rotation
from scribed.uplink.troubles import Troubles
from scribed.uplink.waiting import Mail, Tally, Waiting
from scribed.worker import Budget, Mailbox, Worker

logger = logging.getLogger(__name__)

RESOLVE_S = 60.0
"""getaddrinfo has no timeout; resolvers give up after at most about so long."""
REST_S = 60.0
"""How long to sleep at most where nothing is to be done."""


class Drain(Struct, frozen=True):
    """Nothing more will be said: wait for answers until `deadline`, then end.

    `everything`: also for those to old speech, which otherwise is left to the store.
    """

    deadline: float
    everything: bool = True


class Retune(Struct, frozen=True):
    """Go by another configuration; with `renew` on a new connection, which the next utterance to be
    begun waits for. The callables are those of `Uplink`."""

    number: int
    config: Config
    new_session: Callable[[str], Session]
    connect: Callable[[Request], Connection]
    check: Callable[[], object]
    renew: bool


class UplinkReport(NamedTuple):
    """What the uplink reports: replaced whole, for the supervisor to look at."""

    link: Link
    tally: Tally = Tally()
    connects: int = 0
    abandoned: int = 0  #: connections that were given up so that fresh speech need not wait
    audio_sent_s: float = 0.0
    billed_s: float = 0.0  #: audio sent on this UTC day, also by earlier runs, with all padding
    cost: float = 0.0  #: of that, by `cost.price_per_hour`
    rotations: int = 0  #: connections that took the place of another
    early_commits: int = 0
    shut: bool = False  #: the day's limit of audio is reached: nothing more is sent
    ignored: int = 0  #: messages of the service that changed nothing
    reconnects: Mapping[str, int] = MappingProxyType({})  #: failures by what they asked of us


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
        self.inbox: Mailbox[Mail | Drain | Arrived | Retune] = Mailbox(
            1_000_000
        )  # bounded by the budget
        self.report = UplinkReport(Link(since=clock.now()))
        self._provider = config.provider
        self._retry, self._check = config.retry, check
        self._opener = Opener(new_session, connect)
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
        self._retries = self._new_retries()
        self._purse = Purse(config.cost, spent, remember, clock_synced, self._troubles)
        self._usage = Usage()
        self._rotation: Rotation | None = None
        self._drain: Drain | None = None
        self._renewing: int | None = (
            None  # a connection is to end for the configuration so numbered
        )

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

    def _new_retries(self) -> Retries:
        mints = self._provider.name == "elevenlabs" and self._provider.elevenlabs.auth == "token"
        return Retries(self._retry, mints=mints)

    def _finished(self) -> bool:
        drain = self._drain
        if drain is None:
            return False
        waiting = len(self._backlog) if drain.everything else self._backlog.fresh
        spent = self._backlog.shut and not self._backlog.under_way
        late = self._retries.not_before >= drain.deadline  # no attempt is due before it
        return not waiting or spent or late or clock.now() >= drain.deadline

    # Connecting

    def _wants_link(self) -> bool:
        always = self._provider.connect == "always" and self._drain is None
        return (bool(self._backlog.sendable) or always) and not self._backlog.shut

    def _may_connect(self) -> bool:
        return self._wants_link() and clock.now() >= self._retries.not_before

    def _rest(self) -> None:
        """Sleep until there is mail or the next attempt is due."""
        times = [clock.now() + REST_S]
        if self._wants_link():
            times.append(self._retries.not_before)
        timeout = max(0.0, min([*times, *self._own_timers()]) - clock.now())
        self.beat(timeout)
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        poller.poll(timeout * 1000)
        self._take_mail()
        self._waiting.pass_time(clock.now())
        self._count()

    def _own_timers(self) -> list[float]:
        """When there is something to do that neither mail nor the socket tells."""
        times = [] if self._drain is None else [self._drain.deadline]
        if (wake_at := self._waiting.wake_at()) is not None:
            times.append(wake_at)
        return times

    def _exchange(self, opened: Opened) -> Exchange:
        return Exchange(opened, self._provider.name, fetch=self._waiting.fetch, usage=self._usage)

    def _converse(self) -> Failed | None:
        """One connection, and those that replace it; why it ended, None for our own choice."""
        self._retries.tried(clock.now())
        self._set_link(LinkState.CONNECTING)
        self._usage.connects += 1
        self.beat(2 * self._provider.connect_timeout_s + RESOLVE_S)  # a token, and the connection
        opened = self._opener.open()
        if isinstance(opened, NotOpened):
            return self._retries.judged(opened.failed) if opened.asked else opened.failed
        self._retries.opened(clock.now())
        self._rotation = Rotation(
            self._exchange(opened),
            rotate_s=self._provider.rotate_s,
            retry=self._retry,
            inbox=self.inbox,
            open_=self._opener.open,
            judged=self._retries.judged,
            exchange=self._exchange,
            troubles=self._troubles,
            usage=self._usage,
        )
        with contextlib.closing(self._rotation) as rotation:
            failed = self._pump(rotation)
        self._rotation = None
        return None if failed is None else self._retries.judged(failed)

    def _pump(self, rotation: Rotation) -> Failed | None:
        idle_since = clock.now()
        has_mail = True
        while True:
            audio_alone = has_mail and self._take_mail()
            audio_alone = audio_alone and rotation.stands and self._is_at_ease()
            if not audio_alone:
                self._waiting.pass_time(clock.now())
            may_rotate = self._drain is None and not self._backlog.shut
            for exchange, event in rotation.turn(self._backlog, may_rotate=may_rotate):
                if isinstance(event, Failed):
                    return event
                self._hear(exchange, event)
                audio_alone = False
            if audio_alone and rotation.has_sent(self._backlog):
                has_mail = rotation.wait_on()  # so it is ten times a second
                continue
            now = clock.now()
            self._count()
            self._troubles.link_stands(now)
            if self._backlog.sendable:
                idle_since = now
            if self._is_over(now - idle_since):
                return None
            if self._backlog.must_yield(now, rotation.unsent):
                self.report = self.report._replace(abandoned=self.report.abandoned + 1)
                words = "somebody speaks: old speech is sent again later"
                logger.info(words, extra=kinds.OLD_SPEECH_YIELDS())
                return None
            self.beat(REST_S)
            has_mail = rotation.wait(self._wake_at(now, idle_since), self._backlog)

    def _is_at_ease(self) -> bool:
        """Whether more audio of fresh speech changes nothing but that it is to be sent."""
        return not self._backlog.sends_old and not self._purse.has_limit and self._waiting.has_room

    def _is_over(self, idle_s: float) -> bool:
        """Whether the connection is to be closed by our own choice."""
        spent = self._backlog.shut or self._renewing is not None
        spent = spent and not self._backlog.under_way
        idle = self._provider.connect == "on_speech" and idle_s >= self._provider.idle_s
        return self._finished() or self._waiting.torn or spent or idle

    def _wake_at(self, now: float, idle_since: float) -> float:
        times = [now + REST_S, *self._own_timers()]
        if self._provider.connect == "on_speech" and not self._backlog.sendable:
            times.append(idle_since + self._provider.idle_s)
        return min(times)

    # What the session says

    def _hear(
        self, exchange: Exchange, event: Ready | PartialText | EarlyText | Committed | Warned
    ) -> None:
        match event:
            case Ready():
                self._on_ready()
            case PartialText(utterance_id=id, text=text):
                self._waiting.partial(id, text, exchange.who, clock.now())
            case EarlyText():
                self._waiting.early(event, exchange.who, clock.now())
            case Committed():
                self._on_committed(exchange, event)
            case Warned():
                self._troubles.warned(event)

    def _on_ready(self) -> None:
        self._retries.ready()
        self._set_link(LinkState.CONNECTED)
        self._troubles.link_up(self._provider.name, clock.now())

    def _on_committed(self, exchange: Exchange, said: Committed) -> None:
        entry = self._backlog.get(said.utterance_id)
        if self._waiting.committed(said, exchange.who, clock.now()):
            self._retries.succeeded()
            self._troubles.over(exchange.alerts)
            if entry is not None and entry.sealed_at is not None:
                self._opener.committed(said.answer.text, entry.sealed_at)

    # After a connection

    def _recover(self, failed: Failed | None) -> None:
        """Rewind, and decide when to try again."""
        now = clock.now()
        excused = failed is not None and self._waiting.charge(failed, now)
        self._backlog.rewind()
        self._waiting.torn = False
        if failed is None:
            self._set_link(LinkState.IDLE)
            return
        asked = failed.remedy.value
        counts = {**self.report.reconnects, asked: self.report.reconnects.get(asked, 0) + 1}
        self.report = self.report._replace(reconnects=MappingProxyType(counts))
        state = self._retries.failed(
            failed, now, busy=bool(self._backlog.sendable), excused=excused
        )
        if state is LinkState.IDLE:
            self._set_link(state)
            return
        self._waiting.tell_store(well=False)
        self._set_link(state, failed.reason)
        self._troubles.link_down(failed, state, self._retries, len(self._backlog), now)

    # Mail, and what is told

    def _take_mail(self) -> bool:
        """Take what has come; whether that was audio, and nothing else."""
        now, audio_alone = clock.now(), True
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
                case Arrived() if self._rotation is not None:
                    self._rotation.take(item)
                case Arrived():
                    item.close()
                case _:
                    if isinstance(item, UtteranceStarted):
                        self._retries.hurry(now)
                    self._waiting.take(item, now)
        return audio_alone

    def _retune(self, new: Retune) -> None:
        """Go by another configuration: at once, but for a connection that has to end for it."""
        self._provider, self._retry, self._check = new.config.provider, new.config.retry, new.check
        self._opener.retune(new.new_session, new.connect)
        self._waiting.retune(new.config)
        self._purse.retune(new.config.cost)
        self._retries.retune(self._retry)
        if self._rotation is not None:
            self._rotation.retune(self._provider.rotate_s, self._retry)
        if not new.renew and self._renewing is None:
            self.supervisor.put(Retuned(self.name, new.number))
            return
        self._renewing = new.number
        if self._rotation is None:
            self._renewed()
        else:
            words = "a new connection follows, between two utterances"
            logger.info(words, extra=kinds.LINK_RENEWED())
            self._rotation.finish()

    def _renewed(self) -> None:
        """No connection is left of a former configuration: the next may be made at once."""
        if self._renewing is None:
            return
        self.supervisor.put(Retuned(self.name, self._renewing))
        self._renewing, self._retries = None, self._new_retries()
        if self.report.link.state in (LinkState.BACKOFF, LinkState.REFUSED):
            self._set_link(LinkState.IDLE)
        self._troubles.clear("auth_failed")  # whether the key is there is looked at again
        self._look_for_a_key()

    def _count(self, *, last: bool = False) -> None:
        """Bring what is reported up to date, and what audio may yet be sent on this day."""
        spending = self._purse.spend(self._usage.take_billed_s(), last=last)
        self._backlog.shut, self._waiting.gives_up = spending.shut, spending.gives_up
        if spending.shut and self.report.link.state is LinkState.IDLE:
            self._set_link(LinkState.IDLE, spending.message())
        self._waiting.count()
        report, usage = self.report, self._usage
        before = report.tally, report.billed_s, report.connects, report.rotations, report.shut
        after = self._waiting.tally, spending.seconds, usage.connects, usage.rotations
        if before != (*after, spending.shut):
            self.report = report._replace(
                tally=self._waiting.tally,
                shut=spending.shut,
                connects=usage.connects,
                audio_sent_s=usage.audio_s,
                billed_s=spending.seconds,
                cost=spending.cost(),
                rotations=usage.rotations,
                early_commits=usage.early_commits,
                ignored=usage.ignored,
            )

    def _set_link(self, state: LinkState, error: str | None = None) -> None:
        link = self.report.link
        kept = error if error is not None else link.last_error
        if state is link.state and kept == link.last_error:
            return
        since = link.since if state is link.state else clock.now()
        changed = Link(state, since, None if state is LinkState.CONNECTED else kept)
        self.report = self.report._replace(link=changed)
        self.supervisor.put(changed)
