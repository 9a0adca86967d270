"""To 16 kHz mono: the only module that imports numpy and soxr, and therefore imported late.

numpy and soxr take about 15 MB that a robot with a 16 kHz mono microphone never needs, so
`framing` imports this module only where a rate or a number of channels differs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from scribed.model import RATE

QUALITY = "HQ"
"""soxr's name for 20-bit quality with a passband up to 0.91 of the narrower band. Measured with
soxr 1.1: 0.2 ms of CPU per second of sound; it holds back 17 to 20 ms at 44.1 and 48 kHz."""
_FULL_SCALE = 32767


class Converter:
    """One stream of interleaved s16le, made internal audio; keeps its state between blocks.

    `channel` is "mix", the mean of all channels, or the number of the one to take.
    """

    def __init__(self, rate: int, channels: int, channel: str | int) -> None:
        self._rate, self._channels, self._channel = rate, channels, channel
        self._resample = self._stream()

    def feed(self, pcm: bytes) -> bytes:
        """The internal audio that `pcm`, whole frames of all channels, completes."""
        mono = self._mono(np.frombuffer(pcm, dtype="<i2"))
        if self._resample is None:
            return _s16le(mono)
        return _s16le(self._resample.resample_chunk(mono))

    def flush(self) -> bytes:
        """What the resampler still holds; the next block begins a new stream.

        All that was given out since the last flush is then as long as all that was fed, to the
        sample of 16 kHz.
        """
        if self._resample is None:
            return b""
        rest = self._resample.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        self._resample = self._stream()
        return _s16le(rest)

    def _stream(self) -> Any:
        if self._rate == RATE:
            return None
        return soxr.ResampleStream(self._rate, RATE, 1, dtype="float32", quality=QUALITY)

    def _mono(self, samples: Any) -> Any:
        if self._channels == 1:
            return samples.astype(np.float32)
        frames = samples.reshape(-1, self._channels)
        if isinstance(self._channel, int):
            return frames[:, self._channel].astype(np.float32)
        return frames.mean(axis=1, dtype=np.float32)


def _s16le(samples: Any) -> bytes:
    """Rounded and clipped here: soxr's own s16 output adds dither, and silence must stay silent."""
    whole = np.clip(np.rint(samples), -_FULL_SCALE - 1, _FULL_SCALE)
    pcm: bytes = whole.astype("<i2").tobytes()
    return pcm
