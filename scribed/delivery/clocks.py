"""The clocks, read for what is written now."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from scribed import clock
from scribed.delivery.moment import Moment

SYNCED_S = 1.0
"""How long an answer of the kernel about its clock is good for."""


class Clocks(Struct):
    """Used by one thread; `synced` asks the kernel whether the wall clock was set."""

    synced: Callable[[], bool | None]
    now: Callable[[], float] = clock.now
    wall: Callable[[], float] = clock.wall
    mono_offset: Callable[[], float] = clock.mono_offset
    _synced: bool | None = None
    _until: float = float("-inf")

    def moment(self) -> Moment:
        """All of them, now."""
        now = self.now()
        if now >= self._until:
            self._until, self._synced = now + SYNCED_S, self.synced()
        return Moment(now, self.wall(), self.mono_offset(), self._synced)
