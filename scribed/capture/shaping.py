"""A fixed gain and a high-pass, in plain Python: pure, and without numpy.

CPU per second of sound (CPython 3.11, x86, 2.6 GHz): 0.7 ms for the gain alone, 2.0 ms for the
high-pass with or without it. numpy does it in 0.04 and 0.4 ms, and takes 13 MB of memory for that.
"""

from __future__ import annotations

import math
import sys
from array import array

from scribed.model import RATE

_MOST, _LEAST = 32767, -32768
_NOTHING = 1e-6
"""A filter's memory below this is rounded to nothing for ever: tiny floats are slow."""


class Gain:
    """So many dB more, or less; what does not fit is clipped."""

    def __init__(self, gain_db: float) -> None:
        factor = _factor(gain_db)
        # By the sample's bits taken as unsigned, which is what an index can be.
        signed = (bits - 0x10000 if bits & 0x8000 else bits for bits in range(0x10000))
        self._amplified = array("h", (_clipped(round(sample * factor)) for sample in signed))

    def __call__(self, pcm: bytes) -> bytes:
        """`pcm`, internal audio of any length, with that gain."""
        return _bytes(array("h", map(self._amplified.__getitem__, _samples("H", pcm))))

    def reset(self) -> None:
        """It remembers nothing."""


class HighPass:
    """A second-order Butterworth high-pass at `corner_hz`, and so many dB of gain.

    3 dB less at the corner, 12 dB more for each octave below it, and no DC offset. It begins
    settled: an offset that is there from the first sample on makes no thump.
    """

    def __init__(self, corner_hz: float, gain_db: float = 0.0) -> None:
        # The bilinear transform of s² / (s² + √2·s + 1), as in R. Bristow-Johnson's cookbook.
        omega = 2 * math.pi * corner_hz / RATE
        alpha = math.sin(omega) / math.sqrt(2)
        self._b = (1 + math.cos(omega)) / 2 / (1 + alpha) * _factor(gain_db)
        self._a1, self._a2 = -2 * math.cos(omega) / (1 + alpha), (1 - alpha) / (1 + alpha)
        self._settled, self._z1, self._z2 = False, 0.0, 0.0

    def __call__(self, pcm: bytes) -> bytes:
        """What of `pcm`, internal audio of any length, is above the corner."""
        samples = _samples("h", pcm)
        if not samples:
            return pcm
        b, a1, a2 = self._b, self._a1, self._a2
        if self._settled:
            z1, z2 = self._z1, self._z2
        else:
            z1, z2 = -b * samples[0], b * samples[0]
            self._settled = True
        passed = []
        for sample in samples:  # direct form II, transposed
            weighted = b * sample
            value = weighted + z1
            z1 = z2 - 2 * weighted - a1 * value
            z2 = weighted - a2 * value
            passed.append(value)
        self._z1 = z1 if abs(z1) > _NOTHING else 0.0
        self._z2 = z2 if abs(z2) > _NOTHING else 0.0
        whole = map(round, passed)
        if max(passed) > _MOST or min(passed) < _LEAST:
            whole = map(_clipped, whole)
        return _bytes(array("h", whole))

    def reset(self) -> None:
        """What comes next does not follow what was heard before."""
        self._settled = False


def _factor(gain_db: float) -> float:
    return float(10 ** (gain_db / 20))


def _clipped(sample: int) -> int:
    return max(_LEAST, min(_MOST, sample))


def _samples(code: str, pcm: bytes) -> array[int]:
    samples = array(code, pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
