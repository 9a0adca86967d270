"""Opens a source of `scribed transcribe`, and counts its times from its beginning."""

from __future__ import annotations

import time
from collections.abc import Callable

from scribed.errors import SourceError
from scribed.interfaces import EndOfInput, Source
from scribed.model import RATE, SAMPLE_BYTES, Block, pcm_bytes, seconds
from scribed.transcribe.sound import Sound

CREDIT_S = 0.25
"""So far behind its speed a source may make up for it: its reader sleeps in between."""
SKIP_S = 0.05
"""How long one read may spend on what is skipped: there is mail to be taken."""


class Opener:
    """Opens a sound, as often as it takes, for the capture thread.

    What it opens counts its times from `began`: what waits for its reader (a file) by its samples,
    what is live by the clock. It is heard from `start_s` on, at most `speed` times as fast as it
    was spoken. `skip` is given each frame before that: the VAD decides by what it has heard, and so
    the gate cuts a source that is taken up as it would have cut the whole.
    """

    def __init__(
        self,
        sound: Sound,
        *,
        began: float,
        start_s: float,
        speed: float,
        frame_ms: int,
        skip: Callable[[bytes], object],
    ) -> None:
        self._sound, self._began, self.speed = sound, began, speed
        self.frame_bytes = pcm_bytes(frame_ms)
        frame_samples = self.frame_bytes // SAMPLE_BYTES
        self.first = round(start_s * RATE) // frame_samples * frame_samples  #: sample to be heard
        self._skip = skip
        self._shift: float | None = None
        self._heard_to = began

    def __call__(self) -> Source:
        return _Timed(self._sound, self)

    def skip(self, pcm: bytes) -> None:
        """Pass over whole frames."""
        for start in range(0, len(pcm), self.frame_bytes):
            self._skip(pcm[start : start + self.frame_bytes])

    def at(self, source: Source, block: Block) -> float:
        """When a block was heard, from the beginning."""
        if not source.live:
            return self._began + block.position / RATE
        if self._shift is None:
            self._shift = self._began - block.at
        at = max(block.at + self._shift, self._heard_to)  # a stream that comes back may overlap
        self._heard_to = at + seconds(len(block.pcm))
        return at


class _Timed:
    """A `Source` on another: see `Opener`."""

    def __init__(self, sound: Sound, opener: Opener) -> None:
        source = sound.open()
        self.live, self.device = source.live, source.device
        self._sound, self._source, self._opener = sound, source, opener
        self._first = 0 if source.live else opener.first
        self._length = 0  # samples that were read, skipped ones as well
        self._free_at = 0.0

    def pollable(self) -> list[tuple[int, int]]:
        return self._source.pollable()

    def read(self) -> Block | None:
        if not self.live and time.monotonic() < self._free_at:
            return None
        try:
            block = self._next()
        except EndOfInput:
            self._conclude()
            raise
        except SourceError as exc:
            if self.live:
                raise
            self._sound.failure = str(exc)  # nobody is to open it again, and hear it from its start
            raise EndOfInput from exc
        finally:
            self.device = self._source.device
        if block is None:
            return None
        self._pace(seconds(len(block.pcm)))
        return block._replace(at=self._opener.at(self._source, block))

    def close(self) -> None:
        self._source.close()

    def _conclude(self) -> None:
        """At the end: nothing at all, or nothing behind where we were to begin, is a failure."""
        if self.live:
            return
        self._sound.length_s = self._length / RATE
        if not self._length:
            self._sound.failure = "is empty: there is no sound in it"
        elif self._first > self._length:
            ends, begin = self._length / RATE, self._first / RATE
            self._sound.failure = f"is {ends:.1f} s long: there is nothing at {begin:.1f} s"

    def _next(self) -> Block | None:
        """The next block behind what is skipped."""
        until = time.monotonic() + SKIP_S
        while (block := self._source.read()) is not None:
            self._length = block.position + len(block.pcm) // SAMPLE_BYTES
            skipped = max(0, self._first - block.position) * SAMPLE_BYTES
            self._opener.skip(block.pcm[:skipped])
            if skipped < len(block.pcm):
                position = max(self._first, block.position)
                return Block(block.pcm[skipped:], position, block.at + seconds(skipped))
            if time.monotonic() > until:
                break
        return None

    def _pace(self, lasts_s: float) -> None:
        self._free_at = (
            max(self._free_at, time.monotonic() - CREDIT_S) + lasts_s / self._opener.speed
        )
