"""Which of several microphones is spoken into; pure."""

from __future__ import annotations

import collections

from msgspec import Struct

from scribed.capture.levels import SILENCE_DBFS, dbfs, power

ENOUGH_MS = 800
"""So much speech decides: a word or two."""
RISE_DB = 9.0
"""Speech is so much louder than the quiet of the same microphone: a fan is voiced, and steady."""
RISE_MAX_DB = 40.0
"""More says nothing of how near it is: some microphones are silent between words."""
_QUIET = 0.2
"""The quiet is the level below which so many of the frames are: there are pauses in speech."""
_METER_EVERY = 4
_KEPT = 3000
"""Frames, a minute."""


class Heard(Struct, frozen=True):
    """What one microphone heard so far."""

    speech_ms: int
    speech_dbfs: float | None  #: None: no speech
    quiet_dbfs: float | None  #: None: no sound at all came
    peak_dbfs: float | None

    @property
    def rise_db(self) -> float:
        """By how much speech stood above the quiet."""
        if self.speech_dbfs is None or self.quiet_dbfs is None:
            return 0.0
        return self.speech_dbfs - self.quiet_dbfs

    @property
    def is_dead(self) -> bool:
        """Whether it gave nothing, or nothing but zeros."""
        return self.peak_dbfs is None or self.peak_dbfs <= SILENCE_DBFS


class Finding:
    """Takes what all of them hear at the same time, frame by frame."""

    def __init__(self, names: list[str], frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self._frames: dict[str, collections.deque[tuple[float, bool]]] = {
            name: collections.deque(maxlen=_KEPT) for name in names
        }

    def hear(self, name: str, frame: bytes, *, voiced: bool) -> None:
        """The next frame of the microphone `name`."""
        self._frames[name].append((power(frame, _METER_EVERY), voiced))

    def heard(self, name: str) -> Heard:
        """What `name` heard so far."""
        levels = self._frames[name]
        if not levels:
            return Heard(0, None, None, None)
        ordered = sorted(level for level, _ in levels)
        quiet = ordered[int(len(ordered) * _QUIET)]
        threshold = max(quiet, 10 ** (SILENCE_DBFS / 10)) * 10 ** (RISE_DB / 10)
        speech = [level for level, voiced in levels if voiced and level >= threshold]
        return Heard(
            len(speech) * self._frame_ms,
            dbfs(sum(speech) / len(speech)) if speech else None,
            dbfs(quiet),
            dbfs(ordered[-1]),
        )

    def decided(self) -> bool:
        """Whether one of them has heard enough."""
        return any(self.heard(name).speech_ms >= ENOUGH_MS for name in self._frames)

    def nearest(self) -> str | None:
        """The one that speech stands out from most; None: nobody has heard enough of it.

        One that heard half as much is asked as well: the nearest may be a moment behind.
        """
        found = {name: self.heard(name) for name in self._frames}
        most = max((each.speech_ms for each in found.values()), default=0)
        if most < ENOUGH_MS:
            return None
        candidates = [name for name, each in found.items() if each.speech_ms >= most / 2]
        return max(
            candidates,
            key=lambda name: (
                min(found[name].rise_db, RISE_MAX_DB),
                found[name].speech_ms,
                found[name].speech_dbfs,
            ),
        )
