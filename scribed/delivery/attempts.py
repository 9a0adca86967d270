"""When to try the broker or a message again, and with which version of MQTT. Pure."""

from __future__ import annotations

import enum
from typing import Literal

from scribed.backoff import Backoff

Version = Literal["5", "3.1.1"]

INITIAL_S, MAX_S = 1.0, 30.0
STABLE_S = 30.0
"""A connection that lasted so long has proven itself: the next loss is a new story."""
TAKEN_OVER_S = 30.0
"""How long to leave the broker to whoever took our client id: two that fight help nobody."""
DEADLY_S, DEADLY_MAX_S = 60.0, 600.0
"""Each try of what ends the connection costs all others a moment: a minute at least, and up to so
much more."""
SILENT = 2
"""After so many connections closed without an answer, the other version is tried."""


class Loss(enum.Enum):
    """How a connection ended, or did not come about."""

    UNREACHABLE = "unreachable"  # no TCP or no TLS
    UNTRUSTED = "untrusted"  # a certificate, theirs or ours, is not accepted
    SILENT = "silent"  # closed, or nothing said, before the broker's answer to CONNECT
    WRONG_VERSION = "wrong version"
    REFUSED = "refused"
    LOST = "lost"  # after it had been accepted
    CLOSED = "closed"  # by the broker after it had been accepted, without a word
    GONE = "gone"  # so, and nobody is there who could have done it for another client
    TAKEN_OVER = "taken over"  # by another client with our id
    TOO_LARGE = "too large"  # a message of ours was
    QUOTA = "quota"  # of ours at the broker is used up


class Attempts:
    """Reconnects with full jitter; `protocol` is `mqtt.protocol`.

    The backoff starts anew after `STABLE_S` of connection or with `proven()`, never with a mere
    handshake. With "auto" version 5 is tried first, and the version that worked is kept.
    """

    def __init__(self, protocol: Literal["auto", "5", "3.1.1"], backoff: Backoff) -> None:
        self.version: Version = "5" if protocol == "auto" else protocol
        self.due_at = 0.0  #: not to be tried before
        self._auto = protocol == "auto"
        self._backoff = backoff
        self._connected_at: float | None = None
        self._silent = 0

    def connected(self, now: float) -> None:
        """The broker accepted the connection."""
        self._connected_at = now
        self._silent = 0

    def proven(self) -> None:
        """The broker acknowledged a final."""
        self._backoff.reset()

    def failed(self, loss: Loss, now: float) -> None:
        """The attempt failed or the connection ended: set `due_at`."""
        since, self._connected_at = self._connected_at, None
        if since is not None and now - since >= STABLE_S:
            self._backoff.reset()
        self._silent = self._silent + 1 if loss is Loss.SILENT else 0
        if self._auto and (loss is Loss.WRONG_VERSION or self._silent >= SILENT):
            self.version = "3.1.1" if self.version == "5" else "5"
            self._silent = 0
        pause_s = TAKEN_OVER_S if loss is Loss.TAKEN_OVER else self._backoff.next_delay()
        self.due_at = now + pause_s


class Pauses:
    """Seconds until the next try of a message that the broker does not take."""

    def __init__(self) -> None:
        self._kind, self._alone = Backoff(INITIAL_S, MAX_S), Backoff(INITIAL_S, MAX_S)
        self._deadly = Backoff(DEADLY_S, DEADLY_MAX_S)

    def of_a_kind(self) -> float:
        """The broker takes nothing of its kind, so that all of it waits."""
        return self._kind.next_delay()

    def alone(self) -> float:
        """The broker does not take this very one."""
        return self._alone.next_delay()

    def deadly(self) -> float:
        """The broker ends the connection when it gets this one."""
        return DEADLY_S + self._deadly.next_delay()

    def came_through(self, aside: int) -> None:
        """The broker took a final, and `aside` are left that it did not take alone."""
        self._kind.reset()
        if not aside:
            self._alone.reset()
            self._deadly.reset()
