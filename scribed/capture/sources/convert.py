"""To 16 kHz mono: the only module that imports numpy and soxr, and therefore imported late.

numpy and soxr take about 18 MB that a robot with a 16 kHz mono microphone never needs, so
`framing` imports this module only where a rate differs, channels are mixed or samples are floats.

Why not libasound's own conversion (plughw)? Measured from 48 kHz stereo, 100 ms at a time, sines
through each, with alsa-lib 1.2.8 and soxr 1.1 on x86 (ms of CPU per second of sound, for converting
alone):

    =====================  ======  =========  =========  =======================
    converter              CPU     at 7 kHz   at 7.5     9 kHz, heard at 7 kHz
    =====================  ======  =========  =========  =======================
    soxr HQ                2.0 ms  -0.0 dB     -0.4 dB   none (below one bit)
    plug, speexrate        0.9 ms  -3.1 dB    -17.9 dB   -86 dB
    plug, speexrate_best   4.2 ms  -0.0 dB     -0.0 dB   none
    plug, its own linear   0.9 ms  -0.0 dB     -0.0 dB   0 dB: all of it
    =====================  ======  =========  =========  =======================

plug takes speexrate where libasound2-plugins is installed, and linear, which folds everything above
8 kHz back into speech, where it is not. What is recognised should not hang on a package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from scribed.capture.sources.samples import S16
from scribed.model import RATE

QUALITY = "HQ"
"""soxr's name for 20-bit quality with a passband up to 0.91 of the narrower band; it holds back 17
to 20 ms at 44.1 and 48 kHz. MQ and LQ cost as much CPU, and LQ takes 13 dB off 7 kHz."""
_FULL_SCALE = 32767


class Converter:
    """One stream of interleaved sound in `format`, made internal audio; keeps its state between
    blocks.

    `channel` is "mix", the mean of all channels, or the number of the one to take. More than 16
    bits are kept up to the end, where the sound is rounded once.
    """

    def __init__(self, rate: int, channels: int, channel: str | int, format: str = S16) -> None:
        self._rate, self._channels, self._channel = rate, channels, channel
        self._format = format
        self._resample = self._stream()

    def feed(self, pcm: bytes) -> bytes:
        """The internal audio that `pcm`, whole frames of all channels, completes."""
        mono = self._mono(pcm)
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

    def _mono(self, pcm: bytes) -> Any:
        """The channel, or the mean of all, as float32 in units of one bit of s16."""
        if isinstance(self._channel, int):
            return _samples(pcm, self._format, self._channel, self._channels)
        # Channel by channel: a tenth of the time that `mean(axis=1)` takes of two.
        mono = _samples(pcm, self._format, 0, self._channels)
        for channel in range(1, self._channels):
            mono += _samples(pcm, self._format, channel, self._channels)
        return mono / np.float32(self._channels) if self._channels > 1 else mono


def _samples(pcm: bytes, format: str, channel: int, channels: int) -> Any:
    """A new array of one channel of `pcm`."""
    match format:
        case "S32_LE":
            whole = np.frombuffer(pcm, dtype="<i4")[channel::channels]
        case "S24_LE":  # in the lower three bytes; the fourth is anything
            whole = np.frombuffer(pcm, dtype="<i4")[channel::channels] << 8
        case "S24_3LE":
            packed = np.frombuffer(pcm, dtype=np.uint8).reshape(-1, 3)[channel::channels]
            padded = np.zeros((len(packed), 4), dtype=np.uint8)
            padded[:, 1:] = packed
            whole = padded.view("<i4")[:, 0]
        case "FLOAT_LE":
            floats = np.frombuffer(pcm, dtype="<f4")[channel::channels] * np.float32(32768)
            return np.nan_to_num(floats, copy=False, posinf=_FULL_SCALE, neginf=-_FULL_SCALE)
        case _:
            return np.frombuffer(pcm, dtype="<i2")[channel::channels].astype(np.float32)
    return whole.astype(np.float32) / np.float32(65536)


def _s16le(samples: Any) -> bytes:
    """Rounded and clipped here: soxr's own s16 output adds dither, and silence must stay silent."""
    whole = np.clip(np.rint(samples), -_FULL_SCALE - 1, _FULL_SCALE)
    pcm: bytes = whole.astype("<i2").tobytes()
    return pcm
