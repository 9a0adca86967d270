"""Sample formats: which can be heard, and how one channel of them becomes s16le; pure.

Without numpy: a microphone array at 16 kHz of which one channel is taken costs no memory for it.
"""

from __future__ import annotations

from scribed.model import SAMPLE_BYTES

S16 = "S16_LE"

WIDTHS = {S16: 2, "S32_LE": 4, "S24_3LE": 3, "S24_LE": 4, "FLOAT_LE": 4}
"""Bytes of a sample of each format that can be heard, by ALSA's name, the one to be preferred
first: 16 bits are all that is kept, so what has them by itself needs no conversion."""

_UPPER = {S16: 0, "S32_LE": 2, "S24_3LE": 1, "S24_LE": 1}
"""Where in a sample its upper 16 bits are. (S24_LE has its 24 in the lower three of four bytes.)"""


def is_plain(format: str) -> bool:
    """Whether `Pick` can make s16le of it."""
    return format in _UPPER


class Pick:
    """One channel of interleaved sound in a plain format, cut down to its upper 16 bits."""

    def __init__(self, format: str, channels: int, channel: int) -> None:
        width = WIDTHS[format]
        self._frame_bytes = width * channels
        self._low = width * channel + _UPPER[format]

    def feed(self, raw: bytes) -> bytes:
        """The channel of `raw`, whole frames of all channels."""
        picked = bytearray(len(raw) // self._frame_bytes * SAMPLE_BYTES)
        picked[0::2] = raw[self._low :: self._frame_bytes]
        picked[1::2] = raw[self._low + 1 :: self._frame_bytes]
        return bytes(picked)

    def flush(self) -> bytes:
        """Nothing is held back."""
        return b""
