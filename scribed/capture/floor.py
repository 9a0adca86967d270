"""The adaptive noise floor: whether a sound stands out from the noise of the last seconds. Pure.

The floor is the level below which the sound was for `SHARE` of the last `WINDOW_MS`, voiced or not:
a servo, a fan or the talk of a fair is at its own floor after some seconds, however much of a voice
WebRTC takes it for, and who speaks over it is louder in every syllable. The figures were chosen on
the recordings of `scripts/bench gate` (docs/gate.md): a larger share follows noise faster and loses
the weak syllables of who talks without a pause, for whom the floor rises to his own pauses.
"""

from __future__ import annotations

import bisect
import collections

from scribed.capture.levels import dbfs, power

MARGIN_DB = 3.0
"""So much louder than the floor is no more noise: as much voice as noise."""
WINDOW_MS, EVERY_MS = 8000, 100
SHARE = 0.3
SMOOTHED_MS = 60
"""Levels are those of three frames of 20 ms: one alone varies by some dB."""
LEARNING_MS = 1000
"""Until so much was heard everything stands out: who speaks at once is heard."""
LOOKED_AT = 8
"""One sample in so many: 120 of 60 ms, whose power is within half a dB."""

_RATIO = 10 ** (MARGIN_DB / 10)

FloorState = tuple[int, list[bytes], list[float]]


class Floor:
    """Follows the noise: it is told every frame, and looks at one of a few."""

    def __init__(self, frame_ms: int) -> None:
        self._every = EVERY_MS // frame_ms
        self._smoothed = SMOOTHED_MS // frame_ms
        self._recent: collections.deque[bytes] = collections.deque(maxlen=self._smoothed)
        self._levels: collections.deque[float] = collections.deque()
        self._sorted: list[float] = []
        self.reset()

    @property
    def dbfs(self) -> float | None:
        """The floor; None: not enough was heard."""
        return None if self._floor is None else dbfs(self._floor)

    def resume(self) -> None:
        """What is heard next follows after a pause: only the noise was the same."""
        self._recent.clear()

    def reset(self) -> None:
        """Forget all that was heard."""
        self.resume()
        self._levels.clear()
        self._sorted.clear()
        self._floor: float | None = None
        self._frames = 0

    def state(self) -> FloorState:
        """What it remembers."""
        return self._frames, list(self._recent), list(self._levels)

    def restore(self, state: FloorState) -> None:
        """Remember that instead; `ValueError` where there is no such memory."""
        self.reset()
        self._frames, recent, levels = state
        if not all(level >= 0 for level in levels):  # nor "not a number"
            raise ValueError("that is not how a noise floor remembers")
        self._recent.extend(recent)
        self._levels.extend(levels)
        self._sorted.extend(sorted(levels))
        self._find()

    def add(self, frame: bytes) -> None:
        """The next frame."""
        self._recent.append(frame)
        self._frames += 1
        if self._frames % self._every == 0:
            self._follow(self._power())

    def stands_out(self) -> bool:
        """Whether what was added last is louder than the noise; asked of every frame, it looks once
        in `SMOOTHED_MS`, and says no in between."""
        if self._floor is None:
            return True
        return self._frames % self._smoothed == 0 and self._power() > self._floor * _RATIO

    def _power(self) -> float:
        return power(b"".join(self._recent), LOOKED_AT)

    def _follow(self, heard: float) -> None:
        if len(self._levels) * EVERY_MS >= WINDOW_MS:
            del self._sorted[bisect.bisect_left(self._sorted, self._levels.popleft())]
        self._levels.append(heard)
        bisect.insort(self._sorted, heard)
        self._find()

    def _find(self) -> None:
        if len(self._levels) * EVERY_MS >= LEARNING_MS:
            self._floor = self._sorted[int(SHARE * len(self._sorted))]
