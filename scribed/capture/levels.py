"""How loud frames are; pure, and without numpy, since it looks at ten frames a second only.

Levels are mean power in dB below full scale, the power of a square wave that touches both ends:
a sine that does has -3 dBFS, digital silence counts as -90.3, a step of one bit.
"""

from __future__ import annotations

import collections
import math
import operator
import sys
from array import array
from collections.abc import Sequence

FULL_SCALE = 32768
SILENCE_DBFS = -20 * math.log10(FULL_SCALE)
"""No level is lower: the logarithm of zero would not fit into JSON."""

PRE_ROLL_FRAMES = 3
"""Frames from before the utterance's opening that may be part of it: 300 ms at one in five."""
FLOOR_UP_DB, FLOOR_DOWN_DB = 0.1, 0.3
"""Steps of the noise floor: it settles where three of four unvoiced frames are louder, so that
breath and the ends of words, which are unvoiced too, do not lift it. At ten frames a second it
follows a fan within tens of seconds, and a slammed door by 0.1 dB."""
FLOOR_HASTE_FRAMES = 50
"""The first frames count for more, or a slam at the start would take long to be forgotten."""
SNR_MIN_DB = -20.0


METER_EVERY_SAMPLES = 4
"""The meter looks at one sample in so many: the mean power of speech and noise is the same, and
the meter is a third of what capture computes."""


def power(pcm: bytes, every: int = 1) -> float:
    """Mean power of one sample in `every` of s16le `pcm`, 1.0 at full scale; 0.0 of nothing."""
    samples = array("h", pcm)[::every]
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples:
        return 0.0
    squares: int = sum(map(operator.mul, samples, samples))
    return squares / len(samples) / FULL_SCALE**2


def dbfs(mean_power: float) -> float:
    """A mean power as a level, `SILENCE_DBFS` at least."""
    return max(10 * math.log10(mean_power), SILENCE_DBFS) if mean_power > 0 else SILENCE_DBFS


def quietest(frames: Sequence[bytes]) -> int:
    """The index of the frame with the least power, the last of several; `ValueError` of none."""
    return min(range(len(frames)), key=lambda index: (power(frames[index]), -index))


class Meter:
    """The levels of what is heard, of the utterance that is open, and of the noise behind both.

    It is fed a sample of the frames, one in five say, and forgets nothing between utterances but
    their own level.
    """

    def __init__(self) -> None:
        self.level_dbfs: float | None = None  #: of the frame fed last
        self.noise_floor_dbfs: float | None = None  #: None: no unvoiced frame yet
        self._unvoiced = 0
        self._voiced_sum, self._voiced = 0.0, 0
        self._recent: collections.deque[float | None] = collections.deque(maxlen=PRE_ROLL_FRAMES)

    def open(self) -> None:
        """An utterance opens; the voiced frames just fed are its first."""
        began = [each for each in self._recent if each is not None]
        self._voiced_sum, self._voiced = sum(began), len(began)

    def add(self, frame: bytes, *, voiced: bool) -> None:
        """Measure `frame`, internal audio of any length."""
        heard = self.look(frame)
        self._recent.append(heard if voiced else None)
        if voiced:
            self._voiced_sum += heard
            self._voiced += 1
        else:
            self._unvoiced += 1
            self._follow_noise(dbfs(heard))

    def look(self, frame: bytes) -> float:
        """Measure the level of `frame` alone; return its mean power."""
        heard = power(frame, METER_EVERY_SAMPLES)
        self.level_dbfs = dbfs(heard)
        return heard

    @property
    def utterance_dbfs(self) -> float | None:
        """The mean power of the utterance's voiced frames; None: none was fed."""
        return dbfs(self._voiced_sum / self._voiced) if self._voiced else None

    @property
    def snr_db(self) -> float | None:
        """How far its voiced frames, less the noise in them, stand above the noise floor."""
        if not self._voiced or self.noise_floor_dbfs is None:
            return None
        noise = 10 ** (self.noise_floor_dbfs / 10)
        ratio = self._voiced_sum / self._voiced / noise - 1
        return max(10 * math.log10(ratio), SNR_MIN_DB) if ratio > 0 else SNR_MIN_DB

    def _follow_noise(self, level: float) -> None:
        if self.noise_floor_dbfs is None:
            self.noise_floor_dbfs = level
            return
        haste = max(1.0, FLOOR_HASTE_FRAMES / self._unvoiced)
        if level > self.noise_floor_dbfs:
            self.noise_floor_dbfs = min(self.noise_floor_dbfs + FLOOR_UP_DB * haste, level)
        else:
            self.noise_floor_dbfs = max(self.noise_floor_dbfs - FLOOR_DOWN_DB * haste, level)
