"""When to try the link again. Pure.

Nothing but a committed text resets the backoff: the service accepts an upgrade and only then says
`auth_error`.
"""

from __future__ import annotations

from msgspec.structs import replace

from scribed.backoff import Backoff
from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import LinkState

TRY_AT_ONCE_S = 5.0
"""Somebody speaks: a pending delay is cut short if the last attempt is so long ago."""
QUICK_S, QUICK_LIMIT = 2.0, 5
"""Connections that end so soon, or before the service accepts audio, and how many in a row are
enough: something takes every connection and serves none."""


class Retries:
    """What each failure asks of us; all times are of the boot clock.

    `mints`: each connection has a token of its own, so that one refusal may be the token's fault.
    """

    def __init__(self, settings: Retry, *, mints: bool = False) -> None:
        self.not_before = float("-inf")  #: the earliest time of the next attempt
        self._settings, self._mints = settings, mints
        self._backoff = Backoff(settings.initial_s, settings.max_s)
        self._tried_at = float("-inf")
        self._opened_at: float | None = None
        self._ready = False
        self._quick = 0
        self._token_refused = False
        self._reconnected_at_once = False
        self._may_hurry = False  # the delay is our own, not one that the service asked for

    @property
    def failures(self) -> int:
        """Failures in a row that were answered with a delay."""
        return self._backoff.failures

    @property
    def quick(self) -> int:
        """Connections in a row that ended at once, where they are too many; else 0."""
        return self._quick if self._quick >= QUICK_LIMIT else 0

    def retune(self, settings: Retry) -> None:
        """Go by other delays from the next failure on."""
        if settings != self._settings:
            self._settings = settings
            self._backoff = Backoff(settings.initial_s, settings.max_s)

    def tried(self, now: float) -> None:
        """An attempt begins."""
        self._tried_at = now
        self._opened_at, self._ready = None, False

    def opened(self, now: float) -> None:
        """There is a connection."""
        self._opened_at = now

    def ready(self) -> None:
        """The service accepts audio on it."""
        self._ready = True

    def succeeded(self) -> None:
        """A text was committed: what fails next is a new story."""
        self._backoff.reset()
        self._reconnected_at_once = self._token_refused = False
        self._quick = 0

    def hurry(self, now: float) -> None:
        """Somebody begins to speak."""
        if self._may_hurry and now - self._tried_at >= TRY_AT_ONCE_S:
            self.not_before = now

    def judged(self, failed: Failed) -> Failed:
        """What the service says with a token in hand: the first refusal asks for another token."""
        if not self._mints or failed.alert != "auth_failed" or self._token_refused:
            return failed
        self._token_refused = True
        return replace(failed, remedy=Remedy.BACK_OFF, alert=None)

    def failed(self, failed: Failed, now: float, *, busy: bool, excused: bool = False) -> LinkState:
        """A connection ended, `busy` where utterances wait: choose the time of the next attempt.

        `excused`: others go first now than the utterance that may have ended it.
        """
        remedy, asked_s = failed.remedy, failed.retry_after_s
        self._count_quick(failed, now)
        if excused:
            self._quick = 0
        self._may_hurry = remedy in (Remedy.BACK_OFF, Remedy.RECONNECT) and asked_s is None
        if remedy is Remedy.REFUSED:
            self.not_before = now + self._settings.refused_s
            return LinkState.REFUSED
        if self.quick:  # at the slowest pace that still finds it well again soon
            pause_s = max(self._tried_at + self._settings.max_s - now, self._settings.initial_s)
            self.not_before = now + max(pause_s, asked_s or 0.0)
            return LinkState.BACKOFF
        if remedy is Remedy.RECONNECT and not busy:  # an ordinary end of an idle link
            self.not_before = now + self._settings.initial_s
            return LinkState.IDLE
        if remedy is Remedy.RECONNECT and not self._reconnected_at_once:
            self._reconnected_at_once = True
            self.not_before = now
        elif remedy is Remedy.COOL_DOWN:
            self._backoff.next_delay()
            self.not_before = now + max(self._settings.max_s / 2, asked_s or 0.0)
        else:
            self.not_before = now + max(self._backoff.next_delay(), asked_s or 0.0)
        return LinkState.BACKOFF

    def _count_quick(self, failed: Failed, now: float) -> None:
        """One that could not be opened says nothing, nor does one that an utterance has ended."""
        if self._opened_at is None or failed.blamed is not None or failed.overloaded:
            return
        quick = not self._ready or now - self._opened_at < QUICK_S
        self._quick = self._quick + 1 if quick else 0
