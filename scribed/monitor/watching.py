"""A look at the broker that outlives the connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from scribed.backoff import Backoff
from scribed.delivery.events import Heard
from scribed.delivery.watch import Watch
from scribed.errors import BrokerError

AGAIN_S, AT_MOST_S = 0.5, 10.0
"""How long it waits before it tries again (full jitter), and what that grows to."""


class Watching:
    """Hears what `connect` subscribed to; a context manager, for one thread.

    The first connection has to succeed: `BrokerError` says what is wrong with the broker's name,
    the user or the network. One that is lost later is made again, for as long as it takes.
    """

    def __init__(
        self, connect: Callable[[], Watch], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect, self._now = connect, now
        self._watch: Watch | None = connect()
        self._backoff = Backoff(AGAIN_S, AT_MOST_S)
        self._again_at = 0.0
        self.lost: str | None = None  #: why there is no connection now
        self.connections = 1

    def __enter__(self) -> Watching:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.close()

    def heard(self, within_s: float) -> list[Heard]:
        """What has come, in order, waiting for at most `within_s`; nothing while it is `lost`.

        A new connection brings all that is retained once more, and may take as long as the network
        lets it.
        """
        try:
            if self._watch is None:
                left_s = self._again_at - self._now()
                if left_s > 0:
                    time.sleep(min(left_s, within_s))
                    return []
                self._watch = self._connect()
                self.lost = None
                self.connections += 1
            heard = self._watch.heard(within_s)
        except BrokerError as exc:
            self.lost = str(exc)
            if self._watch is not None:
                self._watch.close()
                self._watch = None
            self._again_at = self._now() + self._backoff.next_delay()
            return []
        if heard:
            self._backoff.reset()
        return heard
