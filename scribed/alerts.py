"""Which alerts are up, where several workers may raise the same one; the wall clock's. Pure."""

from __future__ import annotations

from scribed.model import Alert, AlertCleared, Event

UNSYNCED_S = 60.0
"""A machine that has just been started reaches a time server within so long, or does not."""
UNSYNCED = Alert(
    "clock_unsynced",
    "the wall clock was never set: times are not to be believed, ages and order are",
    "let the machine reach a time server (timedatectl), or fit a real-time clock",
    "warning",
)


class Alerts:
    """An alert lasts until the last of its owners has cleared it."""

    def __init__(self) -> None:
        self._raised: dict[str, dict[str, Alert]] = {}  # by code and owner

    def take(self, news: Alert | AlertCleared) -> Alert | AlertCleared:
        """What is to be published of it: where one owner clears it, what another has to say."""
        owners = self._raised.setdefault(news.code, {})
        if isinstance(news, Alert):
            owners[news.owner] = news
            return news
        owners.pop(news.owner, None)
        return next(iter(owners.values()), news)


class WallClock:
    """What is to be told of a wall clock that nobody has set, or that is set while we run."""

    def __init__(self) -> None:
        self._wrong_since: float | None = None
        self._is_raised = False

    def look(self, synced: bool | None, now: float) -> list[Alert | AlertCleared | Event]:
        """What is news where it is as `synced` says; None: unknown."""
        if synced is False:
            if self._wrong_since is None:
                self._wrong_since = now
            late = now - self._wrong_since >= UNSYNCED_S and not self._is_raised
            self._is_raised = self._is_raised or late
            return [UNSYNCED] if late else []
        if self._wrong_since is None:
            return []
        raised, self._wrong_since, self._is_raised = self._is_raised, None, False
        cleared = [AlertCleared(UNSYNCED.code)] if raised else []
        return [*cleared, *([Event("clock_synced")] if synced else [])]
