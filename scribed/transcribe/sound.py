"""The sources that `scribed transcribe` takes, each with times that count from its beginning."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scribed.capture.sources import urls, wav
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.interfaces import Source
from scribed.model import RATE
from scribed.transcribe.sniff import container, head

if TYPE_CHECKING:
    from scribed.capture.sources.ffmpeg import FfmpegSource
    from scribed.capture.sources.pcm import FileSource

ALSA = "alsa:"
HEADER_BYTES = 1024
"""A WAV that is piped in has told by then how long it is."""
SHORT_S = 1.0
"""ffmpeg ends a torn pipe at its last whole packet: what lacks no more than this is whole."""


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
        self.length_s: float | None = None  #: of what is not live; known at its end
        self._opened: FfmpegSource | FileSource | None = None
        self._declared_s: float | None = None  # by the header of what is piped in

    @property
    def repeats(self) -> bool:
        """It can be heard again from its beginning, by a later run."""
        if self.is_stdin:
            return sys.stdin is not None and stat.S_ISREG(os.fstat(0).st_mode)
        return not self.is_live

    @property
    def damage(self) -> str | None:
        """Why there may be more in it than was heard; known at its end."""
        found = None if self._opened is None else self._opened.damage
        whole_s, heard_s = self._declared_s, self.length_s
        if found or whole_s is None or heard_s is None or whole_s - heard_s <= SHORT_S:
            return found
        return f"is damaged; {heard_s:.1f} s of {whole_s:.1f} s could be heard"

    @property
    def hides(self) -> bool:
        """Its name does not show all of its address: a query, a password."""
        return self.may_be_live and not self.is_device and self.name != self.asked

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
            if self._kind == "WAV":
                self._declared_s = _declared_s(head(0, HEADER_BYTES))

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
        from scribed.capture.sources.alsa import AlsaSource  # libasound, by need

        return AlsaSource(self._form(source="alsa", device=self.asked.removeprefix(ALSA)))

    def _open_stdin(self) -> Source:
        if sys.stdin is None:
            raise SourceError("standard input is closed")
        if self._kind is None:
            from scribed.capture.sources.pcm import StdinSource

            return StdinSource(self._form(source="stdin"))
        from scribed.capture.sources.ffmpeg import FfmpegSource

        self._opened = FfmpegSource(self._form(source="url", rate=0, channels=0), stdin=0)
        return self._opened

    def _open_path(self) -> Source:
        if not self.may_be_live and (length_s := wav_seconds(self.asked)) is not None:
            from scribed.capture.sources.pcm import FileSource

            form = self._form(source="file", path=self.asked, rate=0, channels=0)
            self._opened = FileSource(form)
            self.duration_s = length_s
            return self._opened
        from scribed.capture.sources.ffmpeg import FfmpegSource

        opened = FfmpegSource(self._form(source="url", path=self.asked, rate=0, channels=0))
        self.duration_s, self.is_live = opened.duration_s, opened.live
        self._opened = opened
        return opened

    def _form(self, **given: object) -> Audio:
        return msgspec.structs.replace(self._audio, pace="fast", **given)

    def _name(self, asked: str) -> str:
        if self.is_stdin:
            return "stdin"
        if self.may_be_live and not self.is_device:
            return urls.shown(asked)
        return os.fsencode(asked).decode(errors="replace")


def wav_seconds(path: str) -> float | None:
    """The length of a WAV file that scribed reads by itself; None: that is for ffmpeg to say."""
    try:
        with Path(path).open("rb") as file:
            if not Path(path).is_file():
                return None
            header = wav.read_header(file, path)
            there = os.fstat(file.fileno()).st_size - file.tell()
            return min(header.size or there, there) / _second(header)
    except (OSError, ValueError, SourceError):
        return None


def _declared_s(begins: bytes) -> float | None:
    """How long a WAV that `begins` so says it is; None: it does not."""
    try:
        header = wav.read_header(io.BytesIO(begins), "standard input")
    except SourceError:  # ffmpeg takes more kinds of it
        return None
    return None if header.size is None else header.size / _second(header)


def _second(header: wav.Header) -> float:
    return header.rate * header.channels * header.bits / 8


def plain(error: str, name: str) -> str:
    """An error about a key of the configuration as one about the source that was named."""
    for prefix in ("audio.path: ", "audio.device: ", f'"{name}" '):
        error = error.removeprefix(prefix)
    return error
