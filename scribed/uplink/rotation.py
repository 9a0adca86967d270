"""The connection that utterances go out on, and its replacement before it is too old.

Make before break: a second connection is opened beside the first, in a thread of its own for the
time that takes. When the service accepts audio on it, utterances begin there, from the first moment
that none is half sent; the old connection is closed when it owes no answer. If the new one fails
before that, the old one goes on.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Sequence
from typing import Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed, SessionEvent
from scribed.uplink.backlog import Backlog
from scribed.uplink.exchange import Exchange
from scribed.uplink.opener import Arrived, NotOpened, Opened, Opening
from scribed.uplink.report import Usage
from scribed.uplink.troubles import Troubles
from scribed.worker import Mailbox

LOOK_S = 1.0
"""How often everything is looked at while audio comes in, and nothing else."""


class Rotation:
    """Used by the uplink's thread only; it owns `first` and those that follow until `close()`.

    `open_` opens a session; `exchange` makes one of it. What `open_` comes to arrives in `inbox`,
    and is to be given to `take()`. `rotate_s` is the age at which a connection is replaced, 0:
    never.
    """

    def __init__(
        self,
        first: Exchange,
        *,
        rotate_s: float,
        retry: Retry,
        inbox: Mailbox[Any],
        open_: Callable[[], Opened | NotOpened],
        judged: Callable[[Failed], Failed],
        exchange: Callable[[Opened], Exchange],
        troubles: Troubles,
        usage: Usage,
    ) -> None:
        self._rotate_s, self._retry = rotate_s or math.inf, retry
        self._backoff = Backoff(retry.initial_s, retry.max_s)
        self._inbox, self._open, self._exchange = inbox, open_, exchange
        self._judged = judged
        self._troubles, self._usage = troubles, usage
        self._active = first
        self._going: Exchange | None = None  # it owes an answer, and gets nothing more
        self._coming: Exchange | None = None
        self._opening: Opening | None = None
        self._due_at = first.opened_at + self._rotate_s
        self._may_rotate = True
        self._finishing = False
        self._poller = select.poll()
        self._poller.register(inbox, select.POLLIN)
        self._asked: dict[int, int] = {}  # by descriptor, what the poller waits for
        self._look_at = 0.0  # what `wait()` has found holds so long, if nothing but audio comes
        first.leads = True

    def retune(self, rotate_s: float, retry: Retry) -> None:
        """Go by other settings from now on."""
        if (rotate_s or math.inf) != self._rotate_s:
            self._rotate_s = rotate_s or math.inf
            self._due_at = self._active.opened_at + self._rotate_s
        self._retry = retry
        self._backoff = Backoff(retry.initial_s, retry.max_s)

    def finish(self) -> None:
        """No further utterance is to begin on these connections, nor on one that comes."""
        self._finishing, self._active.begins = True, False
        if self._opening is not None:
            self._opening.abandon()
            self._opening = None
        if self._coming is not None:
            self._drop(self._coming)
            self._coming = None

    def turn(
        self, backlog: Backlog, *, may_rotate: bool = True
    ) -> list[tuple[Exchange, SessionEvent]]:
        """Send what can be sent, take what is here; return what it meant, and on which connection.

        After a `Failed` all connections are to be closed.
        """
        said: list[tuple[Exchange, SessionEvent]] = []
        for exchange in self._exchanges():
            for event in exchange.turn(backlog):
                if not isinstance(event, Failed) or self._counts(exchange, backlog):
                    said.append((exchange, event))
                elif exchange is self._coming:
                    self._stay(event)
        self._change_over(backlog)
        self._may_rotate = may_rotate
        if self._may_open() and clock.now() >= self._due_at:
            self._opening = Opening(self._open, self._inbox)
            self._opening.start()
            self._usage.connects += 1
        return said

    def take(self, arrived: Arrived) -> None:
        """What came of opening a connection."""
        if arrived.opening is not self._opening:
            arrived.close()
            return
        self._opening = None
        match arrived.result:
            case Opened():
                self._coming = self._exchange(arrived.result)
            case NotOpened(failed=failed):
                self._stay(failed)
            case BaseException() as exc:
                raise exc

    def wait(self, until: float, backlog: Backlog) -> bool:
        """Sleep until there is something to do, at most to `until`; whether there is mail."""
        now = clock.now()
        exchanges = self._exchanges()
        times = [until, *(exchange.wake_at(backlog, now) for exchange in exchanges)]
        if self._may_open():
            times.append(self._due_at)
        for exchange in exchanges:
            self._ask(exchange.fileno(), exchange.wanted(backlog, now))
        wake_at = min(times)
        self._look_at = min(wake_at, now + LOOK_S)
        return self._sleep(exchanges, wake_at)

    def forward(self, backlog: Backlog, now: float) -> bool:
        """Send more of the open utterance, where all else is as `wait()` has found it; whether it
        still is."""
        active, others = self._active, self._going or self._coming or self._opening
        stands = others is None and now < self._look_at
        knows = self._asked.get(active.fileno()) == select.POLLIN  # the poller, all it has to
        return stands and knows and active.forward(backlog, now)

    def wait_on(self) -> bool:
        """As `wait()`, where nothing but audio has come since, and it was sent with `forward()`."""
        return self._sleep((self._active,), self._look_at)

    def _sleep(self, exchanges: Sequence[Exchange], until: float) -> bool:
        timeout = max(0.0, until - clock.now())
        for exchange in exchanges:
            if exchange.pending():
                timeout = 0.0
        ready = dict(self._poller.poll(timeout * 1000))
        for exchange in exchanges:
            exchange.note(ready.get(exchange.fileno(), 0))
        return self._inbox.fileno() in ready

    def unsent(self) -> int:
        """Bytes that the peer's TCP has not acknowledged."""
        return self._active.unsent()

    def close(self) -> None:
        """Close all connections, also the one that is still to come."""
        if self._opening is not None:
            self._opening.abandon()
            self._opening = None
        for exchange in self._exchanges():
            exchange.close()

    def _exchanges(self) -> list[Exchange]:
        """The oldest first: what it owes was said before."""
        every = (self._going, self._active, self._coming)
        return [exchange for exchange in every if exchange is not None]

    def _counts(self, exchange: Exchange, backlog: Backlog) -> bool:
        """Whether its failure is one of the link: utterances depend on it."""
        if exchange is self._going:
            return exchange.owes(backlog)
        return exchange is self._active

    def _may_open(self) -> bool:
        alone = not (self._opening or self._coming or self._going)
        return alone and self._may_rotate and not self._finishing

    def _change_over(self, backlog: Backlog) -> None:
        """Let the new connection take the place of the old one, where it can."""
        coming = self._coming
        if coming is not None and coming.ready:
            self._active.begins = False
            if not backlog.in_mid_utterance:
                self._going, self._active, self._coming = self._active, coming, None
                self._going.leads, coming.leads = False, True
                self._due_at = coming.opened_at + self._rotate_s
                self._backoff.reset()
                self._usage.rotations += 1
        if self._going is not None and not self._going.owes(backlog):
            self._drop(self._going)
            self._going = None

    def _stay(self, failed: Failed) -> None:
        """There is no new connection: the old one goes on, and it is tried again later."""
        if self._coming is not None:
            self._drop(self._coming)
            self._coming = None
        self._active.begins = True
        delay_s = self._backoff.next_delay()
        failed = self._judged(failed)
        if failed.remedy is Remedy.REFUSED:
            delay_s = self._retry.refused_s
        elif failed.remedy is Remedy.COOL_DOWN:
            delay_s = self._retry.max_s / 2
        delay_s = max(delay_s, self._retry.initial_s, failed.retry_after_s or 0.0)
        now = clock.now()
        self._due_at = now + delay_s
        self._troubles.rotation_failed(failed, delay_s)

    def _ask(self, descriptor: int, wanted: int) -> None:
        if self._asked.get(descriptor) != wanted:
            self._asked[descriptor] = wanted
            self._poller.register(descriptor, wanted)

    def _drop(self, exchange: Exchange) -> None:
        if self._asked.pop(exchange.fileno(), None) is not None:
            self._poller.unregister(exchange.fileno())
        exchange.close()
