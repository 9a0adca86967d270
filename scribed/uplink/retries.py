"""When to try the link again. Pure.

Nothing but a committed text resets the backoff: the service accepts an upgrade and only then says
`auth_error`.
"""

from __future__ import annotations

from scribed.backoff import Backoff
from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import LinkState

TRY_AT_ONCE_S = 5.0
"""Somebody speaks: a pending delay is cut short if the last attempt is so long ago."""


class Retries:
    """What each failure asks of us; all times are of the boot clock."""

    def __init__(self, settings: Retry) -> None:
        self.not_before = float("-inf")  #: the earliest time of the next attempt
        self._settings = settings
        self._backoff = Backoff(settings.initial_s, settings.max_s)
        self._tried_at = float("-inf")
        self._reconnected_at_once = False
        self._may_hurry = False  # the delay is our own, not one that the service asked for

    @property
    def failures(self) -> int:
        """Failures in a row that were answered with a delay."""
        return self._backoff.failures

    def tried(self, now: float) -> None:
        """An attempt begins."""
        self._tried_at = now

    def succeeded(self) -> None:
        """A text was committed: what fails next is a new story."""
        self._backoff.reset()
        self._reconnected_at_once = False

    def hurry(self, now: float) -> None:
        """Somebody begins to speak."""
        if self._may_hurry and now - self._tried_at >= TRY_AT_ONCE_S:
            self.not_before = now

    def failed(self, failed: Failed, now: float, *, busy: bool) -> LinkState:
        """A connection ended, `busy` where utterances wait: choose the time of the next attempt."""
        remedy, asked_s = failed.remedy, failed.retry_after_s
        self._may_hurry = remedy in (Remedy.BACK_OFF, Remedy.RECONNECT) and asked_s is None
        if remedy is Remedy.RECONNECT and not busy:  # an ordinary end of an idle link
            self.not_before = now + self._settings.initial_s
            return LinkState.IDLE
        if remedy is Remedy.REFUSED:
            self.not_before = now + self._settings.refused_s
            return LinkState.REFUSED
        if remedy is Remedy.RECONNECT and not self._reconnected_at_once:
            self._reconnected_at_once = True
            self.not_before = now
        elif remedy is Remedy.COOL_DOWN:
            self._backoff.next_delay()
            self.not_before = now + max(self._settings.max_s / 2, asked_s or 0.0)
        else:
            self.not_before = now + max(self._backoff.next_delay(), asked_s or 0.0)
        return LinkState.BACKOFF
