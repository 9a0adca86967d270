"""What the audio costs that was sent, and when that is enough for a day. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from scribed.config import Cost

REMEMBER_S = 60.0
"""How often at most the sum is to be written down."""


class Spending:
    """Seconds that were billed on this UTC day; `spent` is the day and the sum last remembered.

    A later day begins a new count. An earlier one does only where the clock is known to be right,
    or has seen midnight: a machine without a battery starts in the past, and has not sent less for
    it; one whose clock was ahead once must not count to that day for ever.
    """

    def __init__(self, settings: Cost, spent: tuple[str, float] = ("", 0.0)) -> None:
        self.day, self.seconds = spent
        self.settings = settings
        self._remembered = spent
        self._remember_at = float("-inf")
        self._looked = ""  # the day at the last look

    def sent(self, seconds: float) -> None:
        """So much more audio was sent."""
        self.seconds += seconds

    def pass_time(self, wall: float, synced: Callable[[], bool | None]) -> None:
        """It is `wall` seconds of the Unix epoch, as far as the machine knows."""
        day = datetime.datetime.fromtimestamp(wall, datetime.timezone.utc).date().isoformat()
        dawned = self._looked != "" and day > self._looked
        self._looked = day
        if day > self.day or (day != self.day and (dawned or synced())):
            self.day, self.seconds = day, 0.0

    def cost(self) -> float:
        """What this day's audio costs, in the currency of `cost.price_per_hour`."""
        return self.seconds / 3600 * self.settings.price_per_hour

    @property
    def at_limit(self) -> bool:
        """Whether the day's limit is reached."""
        return 0 < self.settings.daily_limit_s <= self.seconds

    @property
    def shut(self) -> bool:
        """Whether nothing more may be sent on this day."""
        return self.at_limit and self.settings.at_limit != "warn"

    @property
    def gives_up(self) -> bool:
        """Whether what is said meanwhile is not to be transcribed on a later day either."""
        return self.at_limit and self.settings.at_limit == "stop"

    def message(self) -> str:
        """What to tell people of the limit."""
        then = {
            "warn": "it goes on",
            "spool": "speech waits until 00:00 UTC",
            "stop": "speech is not transcribed until 00:00 UTC",
        }[self.settings.at_limit]
        return f"{self.settings.daily_limit_s} s of audio were sent on this UTC day; {then}"

    def to_remember(self, now: float, *, last: bool = False) -> tuple[str, float] | None:
        """The day and its sum, where it is time to write them down; `last`: there is no later."""
        current = self.day, self.seconds
        if current == self._remembered or (now < self._remember_at and not last):
            return None
        self._remembered, self._remember_at = current, now + REMEMBER_S
        return current
