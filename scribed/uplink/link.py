"""The link to the service: when it is wanted and when tried again, and what its failure means.

```
          speech, or connect = "always"          session_started
 idle ─────────────────────────────► connecting ────────────────► connected
  ▲                                      │ failed                   │ │ failed
  │  idle_s without work, or done        │                          │ │
  └──────────────────────────────────────┼──────────────────────────┘ │
        backoff (full jitter) · refused (slow, with an alert) ◄───────┘
```
A failure of any kind comes down to a `Failed` with its remedy: nothing is tried before a certain
time. A connection that grows old is replaced by `rotation`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct

from scribed import clock, kinds
from scribed.config import Config
from scribed.interfaces import Failed, Request, Session
from scribed.model import LinkState, UtteranceId
from scribed.uplink.backlog import Backlog
from scribed.uplink.connection import Connection
from scribed.uplink.exchange import Exchange
from scribed.uplink.opener import Arrived, NotOpened, Opened, Opener
from scribed.uplink.report import Reporter, Usage
from scribed.uplink.retries import Retries
from scribed.uplink.rotation import Rotation
from scribed.uplink.troubles import Troubles
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

RESOLVE_S = 60.0
"""getaddrinfo has no timeout; resolvers give up after at most about so long."""


class Retune(Struct, frozen=True):
    """Go by another configuration; with `renew` on a new connection, which the next utterance to be
    begun waits for. The callables are those of `Uplink`."""

    number: int
    config: Config
    new_session: Callable[[str], Session]
    connect: Callable[[Request], Connection]
    check: Callable[[], object]
    renew: bool


class ServiceLink:
    """Used by the uplink's thread only; it owns the connections between `open()` and `close()`.

    `new_session` and `connect` are the uplink's, as is `inbox`, where what comes of opening another
    connection arrives, to be given to `take()`; `fetch` is called with an utterance whose audio is
    wanted from the store, `beat` with the seconds that the next call may block.
    """

    def __init__(
        self,
        config: Config,
        new_session: Callable[[str], Session],
        connect: Callable[[Request], Connection],
        *,
        backlog: Backlog,
        inbox: Mailbox[Any],
        fetch: Callable[[UtteranceId], object],
        troubles: Troubles,
        reporter: Reporter,
        beat: Callable[[float], None],
    ) -> None:
        self.usage = Usage()
        self._provider, self._retry = config.provider, config.retry
        self._opener = Opener(new_session, connect)
        self._backlog, self._inbox, self._fetch, self._beat = backlog, inbox, fetch, beat
        self._troubles, self._reporter = troubles, reporter
        self._retries = self._new_retries()
        self._rotation: Rotation | None = None
        self._idle_since = 0.0  # while there is a connection

    def _new_retries(self) -> Retries:
        mints = self._provider.name == "elevenlabs" and self._provider.elevenlabs.auth == "token"
        return Retries(self._retry, mints=mints)

    # Whether there is to be one

    def is_wanted(self, *, ending: bool) -> bool:
        """Whether a connection is; `ending`: nothing more will be said."""
        always = self._provider.connect == "always" and not ending
        return (bool(self._backlog.sendable) or always) and not self._backlog.shut

    def idles(self, now: float) -> bool:
        """Note whether there is work; whether there was none for so long that the connection is to
        be closed."""
        if self._backlog.sendable:
            self._idle_since = now
        idle_s = now - self._idle_since
        return self._provider.connect == "on_speech" and idle_s >= self._provider.idle_s

    def idles_at(self) -> float:
        """When that will be so, if nothing comes."""
        if self._provider.connect == "on_speech" and not self._backlog.sendable:
            return self._idle_since + self._provider.idle_s
        return math.inf

    @property
    def not_before(self) -> float:
        """The earliest time of the next attempt."""
        return self._retries.not_before

    def hurry(self, now: float) -> None:
        """Somebody begins to speak: a delay of our own may be cut short."""
        self._retries.hurry(now)

    # One connection, and those that replace it

    def open(self) -> Rotation | Failed:
        """Make a connection; blocks. What utterances go out on until `close()`, or why not."""
        self._beat(2 * self._provider.connect_timeout_s + RESOLVE_S)  # a token, and the connection
        self._retries.tried(clock.now())
        self._reporter.link(LinkState.CONNECTING, clock.now())
        self.usage.connects += 1
        opened = self._opener.open()
        if isinstance(opened, NotOpened):
            return self.judged(opened.failed) if opened.asked else opened.failed
        self._idle_since = clock.now()
        self._retries.opened(self._idle_since)
        self._rotation = Rotation(
            self._exchange(opened),
            rotate_s=self._provider.rotate_s,
            retry=self._retry,
            inbox=self._inbox,
            open_=self._opener.open,
            judged=self.judged,
            exchange=self._exchange,
            troubles=self._troubles,
            usage=self.usage,
        )
        return self._rotation

    def _exchange(self, opened: Opened) -> Exchange:
        return Exchange(opened, self._provider.name, fetch=self._fetch, usage=self.usage)

    def judged(self, failed: Failed) -> Failed:
        """What a failure really asks of us, see `Retries`."""
        return self._retries.judged(failed)

    def take(self, arrived: Arrived) -> None:
        """What came of opening a connection beside the one there is, or was."""
        if self._rotation is None:
            arrived.close()
        else:
            self._rotation.take(arrived)

    def ready(self) -> None:
        """The service accepts audio."""
        self._retries.ready()
        self._reporter.link(LinkState.CONNECTED, clock.now())
        self._troubles.link_up(self._provider.name, clock.now())

    def answered(self, still: Collection[str], text: str, spoken_at: float | None) -> None:
        """A text was committed, of what was spoken until then: nothing is wrong any more, but for
        what is `still` so."""
        self._retries.succeeded()
        self._troubles.over(still)
        if spoken_at is not None:
            self._opener.committed(text, spoken_at)

    def close(self) -> None:
        """Close what was opened."""
        if self._rotation is not None:
            self._rotation.close()
            self._rotation = None

    # After a connection

    def rest(self, message: str | None = None) -> None:
        """There is none by our own choice; `message`: why."""
        self._reporter.link(LinkState.IDLE, clock.now(), message)

    def failed(self, failed: Failed, *, excused: bool) -> bool:
        """It failed, or could not be had: choose when to try again, and say so. False where it was
        the ordinary end of an idle link; `excused`: see `Retries`."""
        now, busy = clock.now(), self._backlog.sendable > 0
        self._reporter.failed(failed.remedy)
        state = self._retries.failed(failed, now, busy=busy, excused=excused)
        if state is LinkState.IDLE:
            self.rest()
            return False
        self._reporter.link(state, now, failed.reason)
        self._troubles.link_down(failed, state, self._retries, len(self._backlog), now)
        return True

    # Another configuration

    def retune(self, new: Retune) -> None:
        """Go by it at once, but for the connection there is."""
        self._provider, self._retry = new.config.provider, new.config.retry
        self._opener.retune(new.new_session, new.connect)
        self._retries.retune(self._retry)
        if self._rotation is not None:
            self._rotation.retune(self._provider.rotate_s, self._retry)

    def finish(self) -> bool:
        """No further utterance is to begin on the connection; False where there is none."""
        if self._rotation is None:
            return False
        words = "a new connection follows, between two utterances"
        logger.info(words, extra=kinds.LINK_RENEWED())
        self._rotation.finish()
        return True

    def renewed(self) -> None:
        """No connection is left of a former configuration: the next may be made at once."""
        self._retries = self._new_retries()
        if self._reporter.state in (LinkState.BACKOFF, LinkState.REFUSED):
            self.rest()
        self._troubles.clear("auth_failed")  # whether the key is there is looked at again
