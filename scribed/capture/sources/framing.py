"""From what a device gives to whole frames, their positions and their times; pure."""

from __future__ import annotations

import math
from typing import Protocol

from scribed.capture.sources.samples import S16, WIDTHS, Pick, is_plain
from scribed.model import RATE, SAMPLE_BYTES, pcm_bytes

WINDOW_S = 10.0
"""How long the quickest read counts: a device whose clock is 500 ppm slow drifts by 5 ms in it."""


class _Converter(Protocol):
    def feed(self, pcm: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class Framing:
    """Sound of any rate, channels and format in, in pieces of any size; whole internal frames out.

    Positions are in samples of internal audio since the start, lost ones counted.
    """

    def __init__(
        self, rate: int, channels: int, channel: str | int, frame_ms: int, format: str = S16
    ) -> None:
        self._rate, self._input_bytes = rate, channels * WIDTHS[format]
        self._frame_bytes = pcm_bytes(frame_ms)
        self._converter = _converter(rate, channels, channel, format)
        self._raw = b""  # less than one sample of each channel
        self._pcm = b""  # internal audio that waits for its frame to be whole
        self._taken = 0  # position of the first sample in _pcm
        self._fed = 0  # samples of each channel since `_start`
        self._start = 0  # position where the sound began, or went on after a loss

    @property
    def heard_s(self) -> float:
        """Seconds of sound that were fed so far, lost ones counted."""
        return self._start / RATE + self._fed / self._rate

    def feed(self, raw: bytes) -> None:
        """Take what the device gave; less than a whole sample waits for its other half."""
        raw = self._raw + raw if self._raw else raw
        surplus = len(raw) % self._input_bytes
        self._raw, raw = (raw[-surplus:], raw[:-surplus]) if surplus else (b"", raw)
        if not raw:
            return
        self._fed += len(raw) // self._input_bytes
        pcm = self._converter.feed(raw) if self._converter else raw
        self._pcm = self._pcm + pcm if self._pcm else pcm

    def take(self) -> tuple[bytes, int] | None:
        """All whole frames and the position of their first sample; None: not one is whole."""
        size = len(self._pcm) - len(self._pcm) % self._frame_bytes
        if not size:
            return None
        position = self._taken
        pcm, self._pcm = self._pcm[:size], self._pcm[size:]  # whole frames alone are no copy
        self._taken += size // SAMPLE_BYTES
        return pcm, position

    def finish(self) -> tuple[bytes, int] | None:
        """All that is left, the last frame filled up with zeros; None: nothing is."""
        self._flush()
        self._pcm += bytes(-len(self._pcm) % self._frame_bytes)
        return self.take()

    def cut(self) -> tuple[bytes, int] | None:
        """The last whole frames before a loss; a frame that is not whole is part of the loss."""
        self._flush()
        whole = self.take()
        self._pcm = b""
        return whole

    def resume(self, heard_s: float) -> int:
        """Go on behind a loss where `heard_s` seconds have gone by; the samples that were lost.

        Call `cut()` first. Time does not run backwards: nothing is lost where `heard_s` is past.
        """
        end = self._taken
        self._start = self._taken = max(end, round(heard_s * RATE))
        self._fed = 0
        return self._taken - end

    def _flush(self) -> None:
        self._raw = b""
        if self._converter:
            self._pcm += self._converter.flush()


class Timeline:
    """When each sample was heard, learned from how much had arrived by when.

    A read may come late, never early: the quickest read of the last seconds tells when the sound
    began. The device's own clock may go wrong by some 100 ppm; the window follows it.
    """

    def __init__(self) -> None:
        self._began = self._best = self._best_before = math.inf
        self._window_end = -math.inf
        self._last = -math.inf

    def arrived(self, heard_s: float, now: float) -> float:
        """Note that `heard_s` seconds had arrived at `now`; how late that is, in seconds."""
        began = now - heard_s
        if now >= self._window_end:
            self._best_before, self._best = self._best, began
            self._window_end = now + WINDOW_S
        self._best = min(self._best, began)
        self._began = min(self._best, self._best_before)
        return began - self._began

    def heard_by(self, now: float) -> float:
        """Seconds of sound that must have gone by at `now`; none where nothing arrived yet."""
        return now - self._began if self._began < math.inf else 0.0

    def at(self, position: int) -> float:
        """When the sample at `position` was heard; never before one that was asked for earlier."""
        self._last = max(self._last, self._began + position / RATE)
        return self._last


def _converter(rate: int, channels: int, channel: str | int, format: str) -> _Converter | None:
    one = 0 if channels == 1 else channel
    if rate == RATE and isinstance(one, int) and is_plain(format):
        return None if channels == 1 and format == S16 else Pick(format, channels, one)
    from scribed.capture.sources.convert import Converter  # noqa: PLC0415 -- 18 MB: see `convert`

    return Converter(rate, channels, channel, format)
