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
nothing is tried before a certain time. Nothing but a committed text resets the backoff: the service
accepts an upgrade and only then says `auth_error`.
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.config import Config
from scribed.errors import Refused, Remedy, ScribedError, TransportError
from scribed.interfaces import Committed, Failed, PartialText, Ready, Request, Session
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Event,
    Final,
    Link,
    LinkState,
    Outcome,
    Partial,
    Provider,
    SegmentEvent,
    UtteranceAudio,
    UtteranceStarted,
    seconds,
)
from scribed.text import is_speech
from scribed.uplink.backlog import Backlog, Entry
from scribed.uplink.connection import Connection
from scribed.uplink.exchange import Exchange
from scribed.worker import Budget, Mailbox, Worker

logger = logging.getLogger(__name__)

RESOLVE_S = 60.0
"""getaddrinfo has no timeout; resolvers give up after at most about so long."""
REST_S = 60.0
"""How long to sleep at most where nothing is to be done."""
TRY_AT_ONCE_S = 5.0
"""Somebody speaks: a pending delay is cut short if the last attempt is so long ago."""
DOWN_FAILURES = 3
"""Failures in a row before `alert/backend_down`: one lost connection is not a page."""
REMEDIES = {
    "auth_failed": "put a valid key where the credential or provider.key_file says, and restart",
    "quota": "the account's quota is used up or its plan has ended: see the provider's dashboard",
    "backend_down": "check the network, the machine's clock and [provider]; speech waits meanwhile",
    "spool_full": "the oldest speech is given up: restore the link, or raise spool.runtime_max_mb",
}


@dataclass(frozen=True, slots=True)
class Drain:
    """Nothing more will be said: wait for what is unanswered until `deadline`, then end."""

    deadline: float


@dataclass(frozen=True, slots=True)
class UplinkReport:
    """What the uplink reports: replaced whole, for the supervisor to look at."""

    link: Link
    utterances: int = 0  #: that wait for an answer
    seconds: float = 0.0  #: of audio that wait
    committed: int = 0
    without_text: int = 0
    connects: int = 0
    audio_sent_s: float = 0.0
    progress_at: float = 0.0  #: the last answer, or the last time nothing was waiting for one


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
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
    ) -> None:
        super().__init__("uplink", supervisor)
        self.inbox: Mailbox[SegmentEvent | Drain] = Mailbox(limit=1_000_000)  # the budget bounds it
        self.report = UplinkReport(Link(since=clock.now()), progress_at=clock.now())
        self._provider, self._retry = config.provider, config.retry
        self._partials = config.transcript.partials
        self._stale_after_s = config.transcript.stale_after_s
        self._max_age_s = config.spool.max_age_h * 3600
        self._new_session, self._connect = new_session, connect
        self._delivery, self._budget = delivery, budget
        self._backlog = Backlog()
        self._backoff = Backoff(config.retry.initial_s, config.retry.max_s)
        self._not_before = self._tried_at = float("-inf")
        self._reconnected_at_once = False
        self._may_hurry = False  # the delay is our own, not one that the service asked for
        self._drain_by: float | None = None
        self._who = Provider(self._provider.name, "", "")
        self._alerts: set[str] = set()
        self._up: bool | None = None
        self._torn = False  # an utterance that was being sent was taken out

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
        if self._drain_by is None:
            return False
        hopeless = self._not_before >= self._drain_by  # no attempt is due before the deadline
        return not self._backlog or hopeless or clock.now() >= self._drain_by

    # Connecting

    def _may_connect(self) -> bool:
        always = self._provider.connect == "always" and self._drain_by is None
        return (bool(self._backlog) or always) and clock.now() >= self._not_before

    def _rest(self) -> None:
        """Sleep until there is mail or the next attempt is due."""
        pending = bool(self._backlog) or self._provider.connect == "always"
        until_attempt = self._not_before - clock.now() if pending else REST_S
        timeout = max(0.0, min(until_attempt, REST_S))
        if self._drain_by is not None:
            timeout = max(0.0, min(timeout, self._drain_by - clock.now()))
        self.beat(timeout)
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        poller.poll(timeout * 1000)
        self._take_mail()

    def _converse(self) -> Failed | None:
        """One connection from beginning to end; why it ended, None for our own choice."""
        self._tried_at = clock.now()
        self._set_link(LinkState.CONNECTING)
        self.report = replace(self.report, connects=self.report.connects + 1)
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
        with contextlib.closing(Exchange(connection, session, self.inbox)) as exchange:
            return self._pump(exchange)

    def _pump(self, exchange: Exchange) -> Failed | None:
        idle_since = clock.now()
        while True:
            self._take_mail()
            for event in exchange.turn(self._backlog):
                match event:
                    case Ready(session_id=session_id):
                        exchange.ready = True
                        self._on_ready(session_id)
                    case PartialText(utterance_id=id, text=text):
                        self._on_partial(id, text)
                    case Committed():
                        self._on_committed(event)
                    case Failed():
                        return event
            self._count(exchange)
            now = clock.now()
            if self._backlog:
                idle_since = now
            if self._finished() or self._torn or self._is_idle(now - idle_since):
                return None
            self.beat(REST_S)
            exchange.wait(self._wake_at(idle_since), self._backlog)

    def _is_idle(self, since_s: float) -> bool:
        return self._provider.connect == "on_speech" and since_s >= self._provider.idle_s

    def _wake_at(self, idle_since: float) -> float:
        times = [clock.now() + REST_S]
        if self._provider.connect == "on_speech" and not self._backlog:
            times.append(idle_since + self._provider.idle_s)
        if self._drain_by is not None:
            times.append(self._drain_by)
        return min(times)

    # What the session says

    def _on_ready(self, session_id: str) -> None:
        self._who = replace(self._who, session_id=session_id)
        self._set_link(LinkState.CONNECTED)
        if self._up is not True:
            self._up = True
            logger.info("link up: %s answers", self._provider.name)
            self.supervisor.put(Event("link_up", {"provider": self._provider.name}))

    def _on_partial(self, id: Any, text: str) -> None:
        entry = self._backlog.get(id)
        if entry is None:
            return
        now = clock.now()
        if entry.first_partial_at is None:
            entry.first_partial_at = now
        live = entry.ended is None or now - entry.ended.at <= self._stale_after_s
        if self._partials and live:
            self._delivery.put(Partial(entry.started, entry.rev, text, self._who))
            entry.rev += 1

    def _on_committed(self, committed: Committed) -> None:
        entry = self._backlog.get(committed.utterance_id)
        if entry is None or entry.ended is None:
            return  # it was given up meanwhile, and its end is published
        now = clock.now()
        self._backoff.reset()
        self._reconnected_at_once = False
        for code in self._alerts - {"spool_full"}:
            self._clear(code)
        if not is_speech(committed.answer.text):
            self._close(entry, Outcome.NO_SPEECH)
            return
        self._take_out(entry)
        self.report = replace(self.report, committed=self.report.committed + 1)
        self._delivery.put(
            Final(
                entry.started,
                entry.ended,
                entry.rev,
                committed.answer,
                committed.final_reason or entry.ended.reason.value,
                entry.attempt,
                self._who,
                provider_s=None if entry.departed_at is None else now - entry.departed_at,
                first_partial_s=None
                if entry.first_partial_at is None
                else entry.first_partial_at - entry.opened_at,
                committed_at=now,
            )
        )

    # After a connection

    def _recover(self, failed: Failed | None) -> None:
        """Rewind, and decide when to try again."""
        self._backlog.rewind()
        self._torn = False
        if failed is None:
            self._set_link(LinkState.IDLE)
            return
        self._charge(failed)
        now, remedy = clock.now(), failed.remedy
        self._may_hurry = remedy in (Remedy.BACK_OFF, Remedy.RECONNECT) and (
            failed.retry_after_s is None
        )
        if remedy is Remedy.RECONNECT and not self._backlog:  # an ordinary end of an idle link
            self._not_before = now + self._retry.initial_s
            self._set_link(LinkState.IDLE)
            return
        if remedy is Remedy.RECONNECT and not self._reconnected_at_once:
            self._reconnected_at_once = True
            self._not_before = now
        elif remedy is Remedy.REFUSED:
            self._not_before = now + self._retry.refused_s
        elif remedy is Remedy.COOL_DOWN:
            self._backoff.next_delay()
            self._not_before = now + max(self._retry.max_s / 2, failed.retry_after_s or 0.0)
        else:
            self._not_before = now + max(self._backoff.next_delay(), failed.retry_after_s or 0.0)
        self._tell(failed)

    def _tell(self, failed: Failed) -> None:
        wait_s = max(0.0, self._not_before - clock.now())
        refused = failed.remedy is Remedy.REFUSED
        self._set_link(LinkState.REFUSED if refused else LinkState.BACKOFF, failed.reason)
        logger.log(
            logging.ERROR if refused else logging.WARNING,
            "link down: %s; next try in %.1f s, %d utterance(s) wait",
            failed.reason,
            wait_s,
            len(self._backlog),
        )
        if self._up is not False:
            self._up = False
            self.supervisor.put(Event("link_down", {"why": failed.reason}))
        if failed.alert is not None:
            self._raise(failed.alert, failed.reason)
        elif self._backoff.failures >= DOWN_FAILURES:
            self._raise("backend_down", failed.reason)

    def _charge(self, failed: Failed) -> None:
        """Count a refusal against the utterance that is to blame; give it up after too many."""
        entry = None if failed.blamed is None else self._backlog.get(failed.blamed)
        if entry is None:
            return
        entry.refusals += 1
        if entry.refusals >= self._provider.max_attempts and entry.ended is not None:
            logger.error(
                "utterance %s given up: refused %d times (%s)",
                entry.started.id,
                entry.refusals,
                failed.reason,
                extra={"SCRIBED_UTTERANCE_ID": entry.started.id},
            )
            self._close(entry, Outcome.FAILED)

    # Mail, room, and what is told

    def _take_mail(self) -> None:
        now = clock.now()
        for item in self.inbox.drain():
            if isinstance(item, Drain):
                self._drain_by = item.deadline
                continue
            if isinstance(item, UtteranceStarted):
                self._hurry(now)
            if not self._backlog.add(item, now) and isinstance(item, UtteranceAudio):
                self._budget.refund(len(item.pcm))
        self._make_room(now)
        self._count(None)

    def _count(self, exchange: Exchange | None) -> None:
        """Bring the report up to date, where anything changed."""
        nbytes, sent_s = self._backlog.nbytes, 0.0
        if exchange is not None:
            sent_s, exchange.audio_s = exchange.audio_s, 0.0
        if self._backlog or self.report.utterances or sent_s:
            self.report = replace(
                self.report,
                utterances=len(self._backlog),
                seconds=seconds(nbytes),
                audio_sent_s=self.report.audio_sent_s + sent_s,
                progress_at=self.report.progress_at
                if self._backlog and self.report.utterances
                else clock.now(),
            )

    def _hurry(self, now: float) -> None:
        if self._may_hurry and now - self._tried_at >= TRY_AT_ONCE_S:
            self._not_before = now

    def _make_room(self, now: float) -> None:
        while (entry := self._backlog.oldest_sealed()) is not None:
            assert entry.ended is not None
            if self._budget.used > self._budget.limit:
                self._raise("spool_full", f"{self._budget.limit >> 20} MB of speech wait")
                self._close(entry, Outcome.EVICTED)
            elif now - entry.ended.at > self._max_age_s:
                self._close(entry, Outcome.EXPIRED)
            else:
                break
        if "spool_full" in self._alerts and self._budget.used < self._budget.limit / 2:
            self._clear("spool_full")

    def _close(self, entry: Entry, outcome: Outcome) -> None:
        self._torn = self._torn or (entry.begun and not entry.end_sent)
        self._take_out(entry)
        self.report = replace(self.report, without_text=self.report.without_text + 1)
        self._delivery.put(Closed(entry.started, entry.ended, outcome))

    def _take_out(self, entry: Entry) -> None:
        self._backlog.conclude(entry.started.id)
        self._budget.refund(entry.nbytes)
        self.report = replace(self.report, progress_at=clock.now())

    def _set_link(self, state: LinkState, error: str | None = None) -> None:
        link = self.report.link
        kept = error if error is not None else link.last_error
        if state is link.state and kept == link.last_error:
            return
        since = link.since if state is link.state else clock.now()
        changed = Link(state, since, None if state is LinkState.CONNECTED else kept)
        self.report = replace(self.report, link=changed)
        self.supervisor.put(changed)

    def _raise(self, code: str, message: str) -> None:
        if code not in self._alerts:
            self._alerts.add(code)
            self.supervisor.put(Alert(code, message, REMEDIES[code]))

    def _clear(self, code: str) -> None:
        self._alerts = self._alerts - {code}
        self.supervisor.put(AlertCleared(code))
