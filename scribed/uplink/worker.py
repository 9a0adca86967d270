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
nothing is tried before a certain time. What is heard goes to the store first, which keeps the audio
of all that waits: here rests only what is soon to be sent.
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scribed import clock
from scribed.config import Config
from scribed.errors import Refused, Remedy, ScribedError, TransportError
from scribed.interfaces import Committed, Failed, PartialText, Ready, Request, Session
from scribed.model import (
    Event,
    Link,
    LinkState,
    Provider,
    UtteranceStarted,
)
from scribed.uplink.connection import Connection
from scribed.uplink.exchange import Exchange
from scribed.uplink.retries import Retries
from scribed.uplink.troubles import Troubles
from scribed.uplink.waiting import Mail, Tally, Waiting
from scribed.worker import Budget, Mailbox, Worker

logger = logging.getLogger(__name__)

RESOLVE_S = 60.0
"""getaddrinfo has no timeout; resolvers give up after at most about so long."""
REST_S = 60.0
"""How long to sleep at most where nothing is to be done."""
DOWN_FAILURES = 3
"""Failures in a row before `alert/backend_down`: one lost connection is not a page."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Nothing more will be said: wait for answers until `deadline`, then end.

    `everything`: also for those to old speech, which otherwise is left to the store.
    """

    deadline: float
    everything: bool = True


class UplinkReport(NamedTuple):
    """What the uplink reports: replaced whole, for the supervisor to look at."""

    link: Link
    tally: Tally = Tally()
    connects: int = 0
    abandoned: int = 0  #: connections that were given up so that fresh speech need not wait
    audio_sent_s: float = 0.0


class Uplink(Worker):
    """See the module.

    `new_session` makes a session with the credential as it is now, and raises `ScribedError` where
    there is none; `connect` opens a connection for its request, or raises `TransportError`.
    """

    def __init__(
        self,
        *,
        config: Config,
        new_session: Callable[[], Session],
        connect: Callable[[Request], Connection],
        store: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
        clock_synced: Callable[[], bool | None],
    ) -> None:
        super().__init__("uplink", supervisor)
        self.inbox: Mailbox[Mail | Drain] = Mailbox(limit=1_000_000)  # the budget bounds it
        self.report = UplinkReport(Link(since=clock.now()))
        self._provider = config.provider
        self._new_session, self._connect = new_session, connect
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
        self._retries = Retries(config.retry)
        self._drain: Drain | None = None
        self._who = Provider(self._provider.name, "", "")
        self._up: bool | None = None
        self._audio_sent_s = 0.0

    def work(self) -> None:
        try:
            self._new_session()
        except ScribedError as exc:  # say it now, not at the first word
            self._recover(Failed(Remedy.REFUSED, str(exc), alert="auth_failed"))
        while not self._finished():
            if self._may_connect():
                self._recover(self._converse())
            else:
                self._rest()

    def _finished(self) -> bool:
        drain = self._drain
        if drain is None:
            return False
        waiting = len(self._backlog) if drain.everything else self._backlog.fresh
        hopeless = self._retries.not_before >= drain.deadline  # no attempt is due before it
        return not waiting or hopeless or clock.now() >= drain.deadline

    # Connecting

    def _may_connect(self) -> bool:
        always = self._provider.connect == "always" and self._drain is None
        return (bool(self._backlog.sendable) or always) and clock.now() >= self._retries.not_before

    def _rest(self) -> None:
        """Sleep until there is mail or the next attempt is due."""
        times = [clock.now() + REST_S]
        if self._backlog.sendable or self._provider.connect == "always":
            times.append(self._retries.not_before)
        timeout = max(0.0, min([*times, *self._own_timers()]) - clock.now())
        self.beat(timeout)
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        poller.poll(timeout * 1000)
        self._take_mail()
        self._tell_tally()

    def _own_timers(self) -> list[float]:
        """When there is something to do that neither mail nor the socket tells."""
        times = []
        if self._drain is not None:
            times.append(self._drain.deadline)
        if (wake_at := self._waiting.wake_at()) is not None:
            times.append(wake_at)
        return times

    def _converse(self) -> Failed | None:
        """One connection from beginning to end; why it ended, None for our own choice."""
        self._retries.tried(clock.now())
        self._set_link(LinkState.CONNECTING)
        self.report = self.report._replace(connects=self.report.connects + 1)
        self.beat(self._provider.connect_timeout_s + RESOLVE_S)
        try:
            session = self._new_session()
        except ScribedError as exc:
            return Failed(Remedy.REFUSED, str(exc), alert="auth_failed")
        self._who = Provider(self._provider.name, session.model, "")
        try:
            connection = self._connect(session.request())
        except Refused as exc:
            session.refused(exc.status, exc.body, exc.retry_after_s)
            return next(event for event in session.events() if isinstance(event, Failed))
        except TransportError as exc:
            return Failed(Remedy.BACK_OFF, str(exc))
        with contextlib.closing(
            Exchange(connection, session, self.inbox, self._waiting.fetch)
        ) as exchange:
            return self._pump(exchange)

    def _pump(self, exchange: Exchange) -> Failed | None:
        idle_since = clock.now()
        has_mail = True
        while True:
            self._take_mail(has_mail=has_mail)
            for event in exchange.turn(self._backlog):
                match event:
                    case Ready(session_id=session_id):
                        exchange.ready = True
                        self._on_ready(session_id)
                    case PartialText(utterance_id=id, text=text):
                        self._waiting.partial(id, text, self._who, clock.now())
                    case Committed():
                        self._on_committed(event)
                    case Failed():
                        return event
            now = clock.now()
            self._count_sent(exchange)
            if self._backlog.sendable:
                idle_since = now
            if self._finished() or self._waiting.torn or self._is_idle(now - idle_since):
                return None
            if self._backlog.must_yield(now, exchange.unsent):
                self.report = self.report._replace(abandoned=self.report.abandoned + 1)
                logger.info("somebody speaks: old speech is sent again later")
                return None
            self.beat(REST_S)
            has_mail = exchange.wait(self._wake_at(now, idle_since), self._backlog)

    def _count_sent(self, exchange: Exchange) -> None:
        self._audio_sent_s += exchange.audio_s
        exchange.audio_s = 0.0
        self._tell_tally()

    def _is_idle(self, since_s: float) -> bool:
        return self._provider.connect == "on_speech" and since_s >= self._provider.idle_s

    def _wake_at(self, now: float, idle_since: float) -> float:
        times = [now + REST_S, *self._own_timers()]
        if self._provider.connect == "on_speech" and not self._backlog.sendable:
            times.append(idle_since + self._provider.idle_s)
        return min(times)

    # What the session says

    def _on_ready(self, session_id: str) -> None:
        self._who = replace(self._who, session_id=session_id)
        self._set_link(LinkState.CONNECTED)
        if self._up is not True:
            self._up = True
            logger.info("link up: %s answers", self._provider.name)
            self.supervisor.put(Event("link_up", {"provider": self._provider.name}))

    def _on_committed(self, said: Committed) -> None:
        if self._waiting.committed(said, self._who, clock.now()):
            self._retries.succeeded()
            self._troubles.over()

    # After a connection

    def _recover(self, failed: Failed | None) -> None:
        """Rewind, and decide when to try again."""
        now = clock.now()
        if failed is not None:
            self._waiting.charge(failed, now)
        self._backlog.rewind()
        self._waiting.torn = False
        if failed is None:
            self._set_link(LinkState.IDLE)
            return
        state = self._retries.failed(failed, now, busy=bool(self._backlog.sendable))
        if state is LinkState.IDLE:
            self._set_link(state)
            return
        self._waiting.tell_store(well=False)
        self._set_link(state, failed.reason)
        wait_s = max(0.0, self._retries.not_before - now)
        self._troubles.link_down(failed, state, wait_s, len(self._backlog), now)
        if self._up is not False:
            self._up = False
            self.supervisor.put(Event("link_down", {"why": failed.reason}))
        if failed.alert is not None:
            self._troubles.raise_(failed.alert, failed.reason)
        elif self._retries.failures >= DOWN_FAILURES:
            self._troubles.raise_("backend_down", failed.reason)

    # Mail, and what is told

    def _take_mail(self, *, has_mail: bool = True) -> None:
        now = clock.now()
        for item in self.inbox.drain() if has_mail else ():
            if isinstance(item, Drain):
                self._drain = item
                continue
            if isinstance(item, UtteranceStarted):
                self._retries.hurry(now)
            self._waiting.take(item, now)
        self._waiting.pass_time(now)

    def _tell_tally(self) -> None:
        self._waiting.count()
        if self._waiting.tally is not self.report.tally:
            sent_s = self._audio_sent_s
            self.report = self.report._replace(tally=self._waiting.tally, audio_sent_s=sent_s)

    def _set_link(self, state: LinkState, error: str | None = None) -> None:
        link = self.report.link
        kept = error if error is not None else link.last_error
        if state is link.state and kept == link.last_error:
            return
        since = link.since if state is link.state else clock.now()
        changed = Link(state, since, None if state is LinkState.CONNECTED else kept)
        self.report = self.report._replace(link=changed)
        self.supervisor.put(changed)
