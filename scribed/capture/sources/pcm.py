"""Sound that is no device: standard input and WAV files."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from scribed import clock, config, kinds
from scribed.capture.sources import devices, wav
from scribed.capture.sources.framing import Framing
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput
from scribed.model import RATE, SAMPLE_BYTES, Block, Device, seconds

logger = logging.getLogger(__name__)

READ_S = 1.0
"""One read gives so much sound at most: the reader looks up in between."""


class StdinSource:
    """Raw interleaved s16le from `fd`, at `audio.rate` (16000) and `audio.channels` (1).

    `at` is its time of arrival, since nobody says when it was heard. The descriptor is put into
    non-blocking mode, for all who share it, and back by `close()`.
    """

    live = False

    def __init__(self, audio: config.Audio, fd: int = 0) -> None:
        rate, channels = audio.rate or RATE, audio.channels or 1
        _check_channel("standard input", audio.channel, channels)
        try:
            mode, self._blocking = os.fstat(fd).st_mode, os.get_blocking(fd)
        except OSError as exc:
            raise SourceError(
                'audio.source: standard input is closed; pipe raw s16le into it, or use "alsa"'
            ) from exc
        if os.isatty(fd):
            raise SourceError(
                "audio.source: standard input is a terminal; pipe raw s16le into it, as in: "
                f"arecord -t raw -f S16_LE -r {rate} -c {channels} | scribed run"
            )
        self._fd = fd
        # epoll refuses files and /dev/null, which never keep anybody waiting.
        self._can_wait = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._gives_all = stat.S_ISFIFO(mode)  # a pipe that gives less than was asked is empty
        self._framing = Framing(rate, channels, audio.channel, audio.frame_ms)
        self._bytes = round(READ_S * rate) * channels * SAMPLE_BYTES
        self._ended = False
        self.device = Device("stdin", rate, channels, "open")
        os.set_blocking(fd, False)

    def pollable(self) -> list[tuple[int, int]]:
        return [(self._fd, select.POLLIN)] if self._can_wait else []

    def read(self) -> Block | None:
        if self._ended:
            raise EndOfInput
        room = self._bytes
        while room > 0 and not self._ended:
            try:
                raw = os.read(self._fd, room)
            except BlockingIOError:
                break
            except OSError as exc:
                raise SourceError(f"standard input: {exc.strerror}") from exc
            self._framing.feed(raw)
            self._ended = not raw
            room -= len(raw)
            if self._gives_all:
                break
        frames = self._framing.finish() if self._ended else self._framing.take()
        if frames is None and self._ended:
            raise EndOfInput
        return frames and _arrived(*frames)

    def close(self) -> None:
        if self.device.state == "open":
            self.device = replace(self.device, state="closed")
            with contextlib.suppress(OSError):
                os.set_blocking(self._fd, self._blocking)


class FileSource:
    """A WAV file, `audio.path`, as fast as it can be read or (`audio.pace`) in real time.

    In real time it is a microphone that was switched on by the first `read()`, but for that it
    waits for its reader instead of losing sound: what it gives is never older than `READ_S`.
    `damage`: why there may be more in it than was heard; known at its end.
    """

    live = False

    def __init__(self, audio: config.Audio) -> None:
        self._file = _open(audio.path)
        try:
            self._header = wav.read_header(self._file, audio.path)
            rate, channels = self._header.rate, self._header.channels
            _check_claim(audio.path, "rate", audio.rate, rate)
            _check_claim(audio.path, "channels", audio.channels, channels)
            _check_channel(audio.path, audio.channel, channels)
        except BaseException:
            self._file.close()
            raise
        self._framing = Framing(rate, channels, audio.channel, audio.frame_ms)
        self._left = self._header.size
        self._sample_bytes = channels * self._header.bits // 8
        self._began: float | None = None
        self._realtime = audio.pace == "realtime"
        self._asked = 0  # samples of each channel that were read
        self._ended = False
        self._slip_s = audio.frame_ms / 1000  # a writer may have counted its header as well
        self.damage: str | None = None
        self.device = Device(audio.path, rate, channels, "open")

    def pollable(self) -> list[tuple[int, int]]:
        return []

    def read(self) -> Block | None:
        if self._ended:
            raise EndOfInput
        now = clock.now()
        if self._began is None:
            self._began = now
        most = round(READ_S * self._header.rate)
        if self._realtime:
            due = int((now - self._began) * self._header.rate) - self._asked
            # It waits for a reader who stays away: time stands still in it meanwhile.
            self._began += max(0, due - most) / self._header.rate
            most = min(most, due)
        if most <= 0:
            return None
        self._ended = not self._feed(most)
        if self._ended:
            self._note_damage()
        frames = self._framing.finish() if self._ended else self._framing.take()
        if frames is None and self._ended:
            raise EndOfInput
        if frames is None or not self._realtime:
            return frames and _arrived(*frames)
        pcm, position = frames
        return Block(pcm, position, self._began + position / RATE)

    def close(self) -> None:
        self._file.close()
        if self.device.state == "open":
            self.device = replace(self.device, state="closed")

    def _note_damage(self) -> None:
        """At the end: say what the header promised and the file has not."""
        second = self._sample_bytes * self._header.rate
        missing_s = (self._left or 0) / second
        if missing_s > self._slip_s:
            whole_s = (self._header.size or 0) / second
            heard = f"{whole_s - missing_s:.1f} s of {whole_s:.1f} s"
            self.damage = f'audio.path: "{self.device.name}" is damaged; {heard} could be heard'
            logger.warning("%s", self.damage, extra=kinds.SOURCE_DAMAGED(error=self.damage))

    def _feed(self, samples: int) -> bool:
        """Read so many samples of each channel; whether they were there."""
        wanted = samples * self._sample_bytes
        size = wanted if self._left is None else min(wanted, self._left)
        try:
            raw = self._file.read(size)
        except (OSError, ValueError) as exc:  # ValueError: it was closed
            raise SourceError(f'audio.path: "{self.device.name}" cannot be read: {exc}') from exc
        self._asked += samples
        if self._left is not None:
            self._left -= len(raw)
        self._framing.feed(wav.to_s16le(raw, self._header.bits))
        return len(raw) == wanted


def _open(path: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise SourceError(f'audio.path: "{path}" is no file; pipes belong to stdin')
        return Path(path).open("rb")
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(f'audio.path: "{path}" cannot be opened: {why}') from exc


def _check_claim(path: str, key: str, asked: int, has: int) -> None:
    if asked not in (0, has):
        raise SourceError(f'audio.{key}: {asked} is not what "{path}" has; write {has}, or 0')


def _check_channel(name: str, channel: str | int, channels: int) -> None:
    if isinstance(channel, int) and not 0 <= channel < channels:
        raise SourceError(devices.no_channel(name, channel, channels))


def _arrived(pcm: bytes, position: int) -> Block:
    """A block whose last sample arrived now."""
    return Block(pcm, position, clock.now() - seconds(len(pcm)))
