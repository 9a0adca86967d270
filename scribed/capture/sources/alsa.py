"""ALSA through pyalsaaudio: the only module that imports alsaaudio.

Non-blocking and read when poll says so, or when the reader likes: the device's buffer holds a
second. Overruns, and sound that a device withheld, become jumps of the position.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import select
from dataclasses import dataclass, replace
from typing import Any

import alsaaudio

from scribed import clock, config
from scribed.capture.sources import devices
from scribed.capture.sources.framing import Framing, Timeline
from scribed.capture.sources.hung import not_for_ever
from scribed.errors import SourceError
from scribed.model import RATE, SAMPLE_BYTES, Block, Device

logger = logging.getLogger(__name__)

PERIOD_MS = 20
BUFFER_MS, BUFFER_MIN_MS = 1000, 500
LATE_S = 0.5
"""So far behind the clock is sound that was lost unreported (a stall, a full sound server)."""
_DEAD = select.POLLERR | select.POLLHUP | select.POLLNVAL
_FORMAT = "S16_LE"


class AlsaSource:
    """The capture device `audio.device`, at `audio.rate` and `audio.channels` where it has them.

    `device` is what it really gave. The constructor starts the capture; opening holds the
    interpreter for as long as libasound takes (a few ms; more where a sound server hangs).
    """

    live = True

    def __init__(self, audio: config.Audio) -> None:
        self.overruns = 0  #: how often sound was lost
        _hush()
        opened = _open_configured(audio)
        self._pcm: Any = opened.pcm
        self.device = Device(opened.name, opened.rate, opened.channels, "open")
        self.buffer_ms = opened.buffer_frames * 1000 // opened.rate  #: as the device gave it
        if self.buffer_ms < BUFFER_MIN_MS:
            logger.warning(
                "%s: buffers only %d ms; sound is lost if the machine is busy for longer",
                opened.name,
                self.buffer_ms,
            )
        self._bytes_per_s = opened.rate * opened.channels * SAMPLE_BYTES
        self._reads_at_most = opened.buffer_frames // opened.period_frames + 1
        self._framing = Framing(opened.rate, opened.channels, audio.channel, audio.frame_ms)
        self._timeline = Timeline()
        self._resuming = self._more = False
        self._early: list[bytes] = []
        self._fds: list[tuple[int, int]] = []
        self._poll = select.poll()
        try:
            self._kick()
            self._fds = self._pcm.polldescriptors()
        except alsaaudio.ALSAAudioError as exc:
            self.close()
            raise SourceError(f'audio.device: "{opened.name}" does not start: {_why(exc)}') from exc
        for fd, events in self._fds:
            self._poll.register(fd, events)

    def pollable(self) -> list[tuple[int, int]]:
        return list(self._fds)

    def read(self) -> Block | None:
        if self._pcm is None:
            raise SourceError(f"{self.device.name}: is closed")
        try:
            pcm, halted = self._drain()
            late_s = self._hear(pcm, clock.now()) if pcm else 0.0
            if halted or (late_s > LATE_S and not self._more):
                return self._block(self._restart())
        except alsaaudio.ALSAAudioError as exc:
            raise self._lost(_why(exc)) from exc
        return self._block(self._framing.take())

    def close(self) -> None:
        if self._pcm is not None:
            with not_for_ever(self.device.name), contextlib.suppress(alsaaudio.ALSAAudioError):
                self._pcm.close()
            self._pcm = None
            if self.device.state == "open":
                self.device = replace(self.device, state="closed")

    def _drain(self) -> tuple[bytes, bool]:
        """All that is here, at most one buffer, and whether an overrun or suspend came behind."""
        # Some PCMs (dsnoop) stay readable until they were asked what their descriptors mean.
        fired = dict(self._poll.poll(0))
        revents = self._pcm.polldescriptors_revents([(fd, fired.get(fd, 0)) for fd, _ in self._fds])
        chunks, self._early = self._early, []
        self._more = False
        try:
            for _ in range(self._reads_at_most):
                count, pcm = self._pcm.read()
                if count < 0:  # -EPIPE; pyalsaaudio has prepared the device again
                    return b"".join(chunks), True
                if not count:
                    break
                chunks.append(pcm)
            else:
                self._more = True
        except alsaaudio.ALSAAudioError:
            if self._pcm.state() == alsaaudio.PCM_STATE_SUSPENDED:
                return b"".join(chunks), True  # the machine slept: the device is still there
            if not chunks:
                raise  # else the next read meets it again
        if not chunks and revents & _DEAD:
            raise self._lost("poll reports an error")
        return b"".join(chunks), False

    def _hear(self, pcm: bytes, now: float) -> float:
        """Note what was heard up to `now`; how late it came, in seconds."""
        if self._resuming:
            self._resuming = False
            began = now - len(pcm) / self._bytes_per_s
            self._framing.resume(self._timeline.heard_by(began))
        self._framing.feed(pcm)
        return self._timeline.arrived(self._framing.heard_s, now)

    def _restart(self) -> tuple[bytes, int] | None:
        """Start the device anew behind a loss; the last frames from before it."""
        self.overruns += 1
        self._resuming = True
        if self._pcm.state() != alsaaudio.PCM_STATE_PREPARED:
            self._pcm.drop()
        self._kick()
        return self._framing.cut()

    def _kick(self) -> None:
        """A prepared capture device starts when it is first read."""
        count, pcm = self._pcm.read()
        if count > 0:
            self._early.append(pcm)

    def _block(self, frames: tuple[bytes, int] | None) -> Block | None:
        if frames is None:
            return None
        pcm, position = frames
        return Block(pcm, position, self._timeline.at(position))

    def _lost(self, why: str) -> SourceError:
        self.device = replace(self.device, state="lost")
        return SourceError(f"{self.device.name}: the capture device was lost: {why}")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A device with what it really gave."""

    name: str
    pcm: Any
    rate: int
    channels: int
    format: str
    period_frames: int
    buffer_frames: int


def _open_configured(audio: config.Audio) -> _Opened:
    auto = audio.device == "auto"
    name = devices.only_card(alsaaudio.pcms(alsaaudio.PCM_CAPTURE)) if auto else audio.device
    with not_for_ever(name):
        opened = _negotiate(name, audio.rate, audio.channels, audio.channel)
    if opened.format == _FORMAT:
        return opened
    opened.pcm.close()
    if auto:  # libasound converts the format, and scribed the rate
        return _negotiate(f"plug{name}", opened.rate, opened.channels, audio.channel)
    advice = f'write "plug{name}"' if name.startswith("hw:") else "put a plug in front of it"
    raise SourceError(
        f'audio.device: "{name}" gives {opened.format}, scribed takes {_FORMAT}; {advice}'
    )


def _negotiate(name: str, rate: int, channels: int, channel: str | int) -> _Opened:
    """Open `name` at what was asked for, or (0) at what suits best of what it has."""
    least = channel + 1 if isinstance(channel, int) else 1
    opened = _open(name, rate or RATE, channels or least)
    best_rate, best_channels = opened.rate, opened.channels
    try:
        if opened.rate != (rate or RATE):
            best_rate = devices.best_rate(name, rate, opened.rate, opened.pcm.getrates())
        if opened.channels != (channels or least):
            best_channels = devices.best_channels(
                name, channels, opened.channels, opened.pcm.getchannels(), least
            )
        if (best_rate, best_channels) == (rate or RATE, channels or least):
            return opened
    except SourceError:
        opened.pcm.close()
        raise
    except alsaaudio.ALSAAudioError as exc:
        opened.pcm.close()
        raise SourceError(f'audio.device: "{name}" went away: {_why(exc)}') from exc
    opened.pcm.close()  # once more: period and buffer were asked for at another rate
    opened = _open(name, best_rate, best_channels)
    if (opened.rate, opened.channels) != (best_rate, best_channels):
        opened.pcm.close()
        raise SourceError(
            f'audio.device: "{name}" said that it has {best_rate} Hz with {best_channels} '
            f"channels, and gave {opened.rate} Hz with {opened.channels}; use plughw:"
        )
    return opened


def _open(name: str, rate: int, channels: int) -> _Opened:
    try:
        pcm = alsaaudio.PCM(
            alsaaudio.PCM_CAPTURE,
            alsaaudio.PCM_NONBLOCK,
            device=name,
            rate=rate,
            channels=channels,
            format=alsaaudio.PCM_FORMAT_S16_LE,
            periodsize=rate * PERIOD_MS // 1000,
            periods=BUFFER_MS // PERIOD_MS,
        )
    except (alsaaudio.ALSAAudioError, ValueError) as exc:  # ValueError: a NUL in the name
        names = alsaaudio.pcms(alsaaudio.PCM_CAPTURE)
        raise SourceError(devices.refusal(name, _why(exc), names)) from exc
    given = pcm.info()
    keys = ("rate", "channels", "format_name", "period_size", "buffer_size")
    return _Opened(name, pcm, *(given[key] for key in keys))


def _why(exc: Exception) -> str:
    """The reason alone: pyalsaaudio writes `reason [device]`."""
    return str(exc).rsplit(" [", 1)[0]


@functools.cache
def _hush() -> None:
    """Keep libasound from writing to stderr what we say in words of our own.

    The handler is a C function that ignores what it is given: a Python one would need memory that
    is writable and executable, which the unit forbids.
    """
    with contextlib.suppress(OSError):
        ignore = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(ignore)
