"""What is wrong with the store, as alerts: raised once, changed with their words, cleared. Pure."""

from __future__ import annotations

from scribed.model import Alert, AlertCleared

EASE_S = 10.0
"""How long nothing was evicted before there is room again."""
DISK_REMEDY = "free space, or remount the file system writable; scribed tries again by itself"
FULL = "no room for what waits for its text: the oldest utterances are given up"
FULL_REMEDY = "restore the link, free space, or raise spool.max_mb"


class Troubles:
    """`news()` says what changed since it was last asked; the rest is what it goes by."""

    def __init__(self) -> None:
        self.numbers: str | None = None  #: why numbers cannot be reserved
        self.ledger: str | None = None  #: why the ledger takes nothing
        self.audio: Alert | None = None  #: what the audio files say themselves
        self._full_at: int | None = None  #: bytes there were after the last eviction
        self._evicted_at = 0.0
        self._raised: dict[str, Alert] = {}

    def evicted(self, nbytes: int, now: float) -> None:
        """Utterances had to go, and `nbytes` of audio are left."""
        self._full_at, self._evicted_at = nbytes, now

    def room(self, nbytes: int, now: float) -> None:
        """There are `nbytes` of audio: half of what there was when it was full is room again."""
        room_at = self.room_at(nbytes)
        if room_at is not None and now >= room_at:
            self._full_at = None

    def room_at(self, nbytes: int) -> float | None:
        """When `room()` is to be asked again, though nothing happens."""
        if self._full_at is None or nbytes > self._full_at // 2:
            return None
        return self._evicted_at + EASE_S

    def news(self) -> list[Alert | AlertCleared]:
        """Alerts that are new or say something else, and codes that are well again."""
        wanted = {alert.code: alert for alert in self._wanted()}
        cleared = [AlertCleared(code) for code in self._raised if code not in wanted]
        news = [alert for code, alert in wanted.items() if self._raised.get(code) != alert]
        self._raised = wanted
        return [*cleared, *news]

    def _wanted(self) -> list[Alert]:
        wanted = []
        if self.audio is not None:
            wanted.append(self.audio)
        # Of two with one code the last one counts.
        if self._full_at is not None:
            wanted.append(Alert("spool_full", FULL, FULL_REMEDY))
        if why := self.numbers or self.ledger:
            wanted.append(Alert("disk_error", why, DISK_REMEDY))
        return wanted
