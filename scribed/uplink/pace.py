"""How fast audio goes out: as fast as it is caught up with, and as the service takes it. Pure."""

from __future__ import annotations

SLOWEST = 0.25
"""Old speech is never sent slower than at so many seconds in a second."""
RECOVERY = 1.25
"""How much faster old speech is sent after each answer, where it was slowed down."""
SLACK_S = 0.25
"""Live speech comes in pieces and not quite evenly: a session with a limit may be so far ahead."""


class CatchUp:
    """Pauses between old utterances, so that at most `rate` seconds of them go out in a second."""

    def __init__(self, rate: float) -> None:
        self.until = float("-inf")  #: the next one may not go before
        self._full_rate = self._rate = rate

    def retune(self, rate: float) -> None:
        """Go by another `rate` from now on."""
        if rate != self._full_rate:
            self._full_rate = self._rate = rate

    def sent(self, audio_s: float, now: float) -> None:
        """An old utterance of so many seconds went out."""
        self.until = now + audio_s / self._rate

    def answered(self) -> None:
        """The service keeps up."""
        self._rate = min(self._rate * RECOVERY, self._full_rate)

    def slow_down(self) -> None:
        """The service does not keep up."""
        self._rate = max(self._rate / 2, SLOWEST)


class Pace:
    """What one session takes: `max_rate` seconds of audio in a second, None for any amount.

    Never less than real time, so that live speech is not held up.
    """

    def __init__(self, max_rate: float | None) -> None:
        self._rate = None if max_rate is None else max(max_rate, 1.0)
        self._heard_at = float("-inf")  # when the service will have heard all that was sent

    def sent(self, audio_s: float, now: float) -> None:
        """So much went out."""
        if self._rate is not None:
            self._heard_at = max(self._heard_at, now) + audio_s / self._rate

    def until(self) -> float:
        """When more may go out."""
        return self._heard_at - SLACK_S
