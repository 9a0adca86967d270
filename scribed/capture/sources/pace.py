"""Whether a device keeps the rate that it says it has; pure.

Where it does not (a firmware that gives 48 kHz and says 16), speech is warped and no text is right.
"""

from __future__ import annotations

WINDOW_S = 5.0
TOLERANCE = 0.1
"""Crystals are wrong by 0.0005 at most; a reader that is held up moves 0.5 s into the next
window."""
STRIKES = 2
"""So many windows in a row."""
HELD_UP_S = 0.5
"""Nothing is said about a longer pause: whether sound was lost in it is not known."""


class Pace:
    """Counts frames against the clock."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._strikes = 0
        self._frames = 0
        self._since = self._last = float("-inf")

    def restart(self) -> None:
        """Frames were lost."""
        self._since = self._last = float("-inf")

    def heard(self, frames: int, now: float) -> int | None:
        """Note that `frames` came, up to `now`; the true rate where it is surely another one."""
        if now - self._last > HELD_UP_S:
            self._since, self._last, self._frames = now, now, 0
            return None
        self._last = now
        self._frames += frames
        lasted_s = now - self._since
        if lasted_s < WINDOW_S:
            return None
        rate = self._frames / lasted_s
        self._since, self._frames = now, 0
        is_off = abs(rate / self._rate - 1) > TOLERANCE
        self._strikes = self._strikes + 1 if is_off else 0
        return round(rate) if self._strikes >= STRIKES else None
