"""The sources that `scribed transcribe` takes, each with times that count from its beginning."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scribed.capture.sources import urls, wav
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput, Source
from scribed.model import RATE, SAMPLE_BYTES, Block, pcm_bytes, seconds
from scribed.transcribe.sniff import container, head

if TYPE_CHECKING:
    from scribed.capture.sources.ffmpeg import FfmpegSource

ALSA = "alsa:"
CREDIT_S = 0.25
"""So far behind its speed a source may make up for it: its reader sleeps in between."""
SKIP_S = 0.05
"""How long one read may spend on what is skipped: there is mail to be taken."""


class Sound:
    """One source that was asked for. `audio` has what was said of its form; raw: standard input has
    no header, whatever it begins with."""

    def __init__(self, asked: str, audio: Audio, *, raw: bool = False) -> None:
        self.asked = asked
        self.is_device = asked.startswith(ALSA)
        self.is_stdin = asked == "-"
        self.may_be_live = self.is_device or urls.is_stream(asked)
        self.is_live = self.is_device
        """It goes on without us, and is opened again when it is lost; of a URL that shows when it
        is open."""
        self.duration_s: float | None = None  #: known when it is open, if at all
        self.failure: str | None = None  #: why what is not live ended too early
        self.note = ""  #: what was chosen for it
        self.name = self._name(asked)
        self._audio, self._raw = audio, raw
        self._kind: str | None = None  # of file that standard input is
        self._opened: FfmpegSource | None = None

    @property
    def repeats(self) -> bool:
        """It can be heard again from its beginning, by a later run."""
        if self.is_stdin:
            return sys.stdin is not None and stat.S_ISREG(os.fstat(0).st_mode)
        return not self.is_live

    @property
    def damage(self) -> str | None:
        """Why there may be more in it than was heard; known at its end."""
        return None if self._opened is None else self._opened.damage

    def look(self) -> None:
        """Find out what standard input is: waits for its first bytes, for as long as it takes."""
        if not self.is_stdin or sys.stdin is None:
            return
        self._kind = None if self._raw else container(head(0))
        if self._kind is None:
            rate, channels = self._audio.rate or RATE, self._audio.channels or 1
            self.note = f"standard input is raw s16le, {rate} Hz, channels: {channels}"
        else:
            self.note = f"standard input begins like {self._kind}: ffmpeg reads it"

    @property
    def stem(self) -> str:
        """A file name for what is made of it."""
        stem = Path(self.name.rstrip("/")).stem if not self.is_device else self.name
        return stem.replace(":", "-").replace("/", "-") or "sound"

    def open(self) -> Source:
        """Raises `SourceError`."""
        if self.is_device:
            return self._open_device()
        if self.is_stdin:
            return self._open_stdin()
        return self._open_path()

    def _open_device(self) -> Source:
        from scribed.capture.sources.alsa import AlsaSource  # noqa: PLC0415 -- libasound, by need

        return AlsaSource(self._form(source="alsa", device=self.asked.removeprefix(ALSA)))

    def _open_stdin(self) -> Source:
        if sys.stdin is None:
            raise SourceError("standard input is closed")
        if self._kind is None:
            from scribed.capture.sources.pcm import StdinSource  # noqa: PLC0415

            return StdinSource(self._form(source="stdin"))
        from scribed.capture.sources.ffmpeg import FfmpegSource  # noqa: PLC0415

        self._opened = FfmpegSource(self._form(source="url", rate=0, channels=0), stdin=0)
        return self._opened

    def _open_path(self) -> Source:
        if not self.may_be_live and (length_s := wav_seconds(self.asked)) is not None:
            from scribed.capture.sources.pcm import FileSource  # noqa: PLC0415

            source = FileSource(self._form(source="file", path=self.asked, rate=0, channels=0))
            self.duration_s = length_s
            return source
        from scribed.capture.sources.ffmpeg import FfmpegSource  # noqa: PLC0415

        opened = FfmpegSource(self._form(source="url", path=self.asked, rate=0, channels=0))
        self.duration_s, self.is_live = opened.duration_s, opened.live
        self._opened = opened
        return opened

    def _form(self, **given: object) -> Audio:
        return msgspec.structs.replace(self._audio, pace="fast", **given)

    def _name(self, asked: str) -> str:
        if self.is_stdin:
            return "stdin"
        return urls.shown(asked) if self.may_be_live and not self.is_device else asked


def wav_seconds(path: str) -> float | None:
    """The length of a WAV file that scribed reads by itself; None: that is for ffmpeg to say."""
    try:
        with Path(path).open("rb") as file:
            if not Path(path).is_file():
                return None
            header = wav.read_header(file, path)
            size = header.size
            if size is None:
                size = os.fstat(file.fileno()).st_size - file.tell()
            return size / (header.rate * header.channels * header.bits / 8)
    except (OSError, ValueError, SourceError):
        return None


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
        self._free_at = 0.0

    def pollable(self) -> list[tuple[int, int]]:
        return self._source.pollable()

    def read(self) -> Block | None:
        if not self.live and time.monotonic() < self._free_at:
            return None
        try:
            block = self._next()
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

    def _next(self) -> Block | None:
        """The next block behind what is skipped."""
        until = time.monotonic() + SKIP_S
        while (block := self._source.read()) is not None:
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
