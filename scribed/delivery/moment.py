"""The clocks at the moment of writing: what was timed by one of them, told by another. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec import Struct

from scribed.model import UtteranceStarted


class Moment(Struct, frozen=True):
    """The clocks at the moment of writing."""

    now: float
    wall: float
    mono_offset: float = 0.0  #: CLOCK_MONOTONIC minus CLOCK_BOOTTIME
    clock_synced: bool | None = None

    def unix(self, at: float) -> float:
        """The wall-clock time of `at`, seconds since the epoch."""
        return self.wall - (self.now - at)

    def unix_ms(self, at: float) -> int:
        return round(self.unix(at) * 1000)

    def rfc3339(self, at: float) -> str:
        """The wall-clock time of `at` in UTC, as 2026-06-01T09:30:02.011Z."""
        when = datetime.fromtimestamp(self.unix_ms(at) / 1000, timezone.utc)
        return when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

    def there(self, started: UtteranceStarted) -> Moment:
        """This moment by the clocks of the boot in which `started` was spoken.

        Of an earlier boot only the wall clock tells how long ago it was.
        """
        boot = started.boot
        if boot is None:
            return self
        now = self.wall - boot.unix_offset
        return Moment(now, self.wall, started.mono_offset, boot.clock_synced)
