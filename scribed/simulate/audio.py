"""From any `audio_format` of the service to what recognisers hear: 16 kHz mono s16le. Pure."""

from __future__ import annotations

import array
import sys

from scribed.simulate.recognizers import RATE


def ulaw_to_s16(byte: int) -> int:
    """Decode one G.711 µ-law byte."""
    byte ^= 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84 << (byte >> 4 & 0x07)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


ULAW = [ulaw_to_s16(byte) for byte in range(256)]


class To16k:
    """Converts one session's stream, chunk by chunk.

    Rates are converted by linear interpolation, which lets aliases through and is good enough
    for a recogniser that stands in for a better one.
    """

    def __init__(self, *, rate: int, ulaw: bool) -> None:
        self._rate, self._ulaw = rate, ulaw
        self._last = 0  # the sample before the next chunk
        self._at = 0  # where the next output sample lies, in 1/RATE input samples from `_last`

    def __call__(self, data: bytes) -> bytes:
        if self._rate == RATE and not self._ulaw:
            return data
        samples = array.array("h", [self._last])
        if self._ulaw:
            samples.extend(ULAW[byte] for byte in data)
        else:
            samples.extend(_s16le(data))
        return _bytes(self._resample(samples))

    def _resample(self, samples: array.array[int]) -> array.array[int]:
        out = array.array("h")
        at, end = self._at, (len(samples) - 1) * RATE
        while at < end:
            index, part = divmod(at, RATE)
            before = samples[index]
            out.append(before + (samples[index + 1] - before) * part // RATE)
            at += self._rate
        self._at, self._last = at - end, samples[-1]
        return out


def _s16le(data: bytes) -> array.array[int]:
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
