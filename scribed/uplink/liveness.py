"""Is the peer still there? Judged by progress: a slow link is not taken for a dead one. Pure."""

from __future__ import annotations

PROGRESS_TIMEOUT_S = 10.0
"""How long something may be owed to us without any sign of the peer: Wi-Fi power save holds packets
back for up to 2 s, a roam takes a few."""
RETRIES, MAX_TIMEOUT_S = 4.0, 60.0
"""The same where TCP itself waits for long before it sends again, in such times, and at most: on a
narrow link whose queue is full the second or third try is the first that gets through."""
PING_BUSY_S, PING_IDLE_S = 5.0, 20.0
"""How often to ask, while somebody waits for an answer and while nobody does."""


class Liveness:
    """Watches one connection.

    Signs of life: a received frame, our bytes acknowledged by TCP, and what else it answers to our
    segments: on a narrow link they wait so long that they are sent again, and for a while none that
    arrives is new to the peer.
    """

    def __init__(self, now: float) -> None:
        self._progress_at = self._pinged_at = now
        self._ping_open = False
        self._unacknowledged = self._acknowledged = 0
        self._timeout_s = PROGRESS_TIMEOUT_S

    def received(self, now: float) -> None:
        """Something came from the peer."""
        self._progress_at, self._ping_open = now, False

    def unacknowledged(self, amount: int, now: float) -> None:
        """So many bytes have left, or wait to, and are not acknowledged."""
        if amount < self._unacknowledged or (self._unacknowledged == 0 and not self._ping_open):
            self._progress_at = now
        self._unacknowledged = amount

    def acknowledged(self, total: int, now: float) -> None:
        """The peer has acknowledged so many bytes since the connection was begun: on a narrow link
        as much is sent as is acknowledged, and the amount on its way stays the same."""
        if total > self._acknowledged:
            self._progress_at = now
        self._acknowledged = total

    def answered(self, ago_s: float | None, now: float) -> None:
        """Its TCP said something so long ago, while a segment was on its way; None: none is."""
        if ago_s is not None:
            self._progress_at = max(self._progress_at, now - ago_s)

    def allow(self, retry_s: float) -> None:
        """TCP waits so long for an answer before it sends again."""
        self._timeout_s = min(max(PROGRESS_TIMEOUT_S, RETRIES * retry_s), MAX_TIMEOUT_S)

    def wants_ping(self, now: float, *, busy: bool) -> bool:
        """Whether it is time for a ping; the caller sends it."""
        if self._ping_open or now - self._pinged_at < (PING_BUSY_S if busy else PING_IDLE_S):
            return False
        if self._unacknowledged == 0:
            self._progress_at = now
        self._pinged_at, self._ping_open = now, True
        return True

    def is_dead(self, now: float) -> bool:
        """Whether something was owed for too long without any progress."""
        owed = self._ping_open or self._unacknowledged > 0
        return owed and now - self._progress_at > self._timeout_s

    def next_check(self, now: float, *, busy: bool) -> float:
        """When to come back."""
        if self._ping_open or self._unacknowledged:
            return now + 1.0
        return self._pinged_at + (PING_BUSY_S if busy else PING_IDLE_S)
