"""ALSA through pyalsaaudio: the only module that imports alsaaudio.

Non-blocking and read when poll says so, or when the reader likes: the device's buffer holds a
second. Overruns, and sound that a device withheld, become jumps of the position.
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alsaaudio
from msgspec.structs import replace

from scribed import clock, config, kinds
from scribed.capture.sources import devices
from scribed.capture.sources.cards import Card, read_cards
from scribed.capture.sources.framing import Framing, Timeline
from scribed.capture.sources.hung import not_for_ever
from scribed.capture.sources.hush import hush
from scribed.capture.sources.opening import Look, open_configured
from scribed.capture.sources.pace import Pace
from scribed.capture.sources.samples import WIDTHS
from scribed.capture.sources.shapes import Claim, Has, Shape
from scribed.errors import SourceError
from scribed.model import Block, Device

logger = logging.getLogger(__name__)

PERIOD_MS = 20
BUFFER_MS, BUFFER_MIN_MS = 1000, 500
LATE_S = 0.5
"""So far behind the clock is sound that was lost unreported (a stall, a full sound server)."""
HINTS_S = 10.0
"""How long a PCM that asound.conf was given since may be missing where the names are listed."""
_DEAD = select.POLLERR | select.POLLHUP | select.POLLNVAL
ROOT = Path("/")
"""Above the /sys and /proc that tell of the cards."""


class AlsaSource:
    """The capture device `audio.device`, at `audio.rate` and `audio.channels` where it has them.

    `device` is what it really gave. The constructor starts the capture; opening holds the
    interpreter for as long as libasound takes (a few ms; more where a sound server hangs).
    """

    live = True

    def __init__(self, audio: config.Audio, root: Path = ROOT, *, look: Look | None = None) -> None:
        """`look` tells of the cards: by default they and the hints are asked for anew."""
        self.overruns = 0  #: how often sound was lost
        hush()
        opened = open_configured(audio, root, look or sound_cards, _open)
        rate, channels, self.format = opened.shape
        self._pcm: Any = opened.pcm
        self.device = Device(opened.name, rate, channels, "open")
        self.buffer_ms = opened.buffer_frames * 1000 // rate  #: as the device gave it
        if self.buffer_ms < BUFFER_MIN_MS:
            logger.warning(
                "%s: buffers only %d ms; sound is lost if the machine is busy for longer",
                opened.name,
                self.buffer_ms,
                extra=kinds.SMALL_BUFFER(device=opened.name, buffer_ms=self.buffer_ms),
            )
        self._rate, self._frame_bytes = rate, channels * WIDTHS[self.format]
        # A card has a clock of its own; what a PCM of asound.conf is made of need not have one.
        self._pace = Pace(rate) if opened.name.startswith(("hw:", "plughw:")) else None
        self._period_frames = opened.period_frames
        self._reads_at_most = opened.buffer_frames // opened.period_frames + 1
        self._framing = Framing(rate, channels, audio.channel, audio.frame_ms, self.format)
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
            if halted and self._pace:
                self._pace.restart()
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
                if count:
                    chunks.append(pcm)
                if count < self._period_frames:  # asking on would give a few frames at a time
                    break
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
        frames = len(pcm) // self._frame_bytes
        if self._pace and (rate := self._pace.heard(frames, now)):
            raise SourceError(devices.off_pace(self.device.name, self._rate, rate))
        if self._resuming:
            self._resuming = False
            began = now - frames / self._rate
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


class _Opened:
    """A device that libasound has opened, with what it really gave."""

    def __init__(self, name: str, pcm: Any) -> None:
        given = pcm.info()
        self.name, self.pcm = name, pcm
        self.shape = Shape(given["rate"], given["channels"], given["format_name"])
        self.period_frames, self.buffer_frames = given["period_size"], given["buffer_size"]

    def has(self) -> Has:
        """Raises `SourceError` where it is gone."""
        try:
            rates = self.pcm.getrates() or [self.shape.rate]  # [] where it has no usual one
            # pyalsaaudio tries all, and what is no hardware (a route, say) takes up to 2**32 - 1.
            channels = self.pcm.getchannels() if self.name.startswith("hw:") else None
            return Has(rates, channels, list(self.pcm.getformats()))
        except alsaaudio.ALSAAudioError as exc:
            raise SourceError(f'audio.device: "{self.name}" went away: {_why(exc)}') from exc

    def close(self) -> None:
        self.pcm.close()


class SoundCards:
    """The cards as they are now, and libasound's hints for capture, which it is a while behind.

    The hints take libasound 3 ms, and who waits for a microphone looks about once a second: they
    are asked for again when the cards are others, or after `HINTS_S`. Used by one thread.
    """

    def __init__(self) -> None:
        self._cards: list[Card] | None = None
        self._until, self._hints = 0.0, list[str]()

    def __call__(self, root: Path = ROOT) -> tuple[list[Card], list[str]]:
        hush()
        cards = read_cards(root, dict(_card_names()))
        if cards != self._cards or clock.now() >= self._until:
            self._hints = alsaaudio.pcms(alsaaudio.PCM_CAPTURE)
            self._cards, self._until = cards, clock.now() + HINTS_S
        return devices.complete(cards, self._hints), self._hints


def sound_cards(root: Path = ROOT) -> tuple[list[Card], list[str]]:
    """The cards and the hints, both as they are now."""
    return SoundCards()(root)


def native(name: str) -> Has:
    """What the device `name` has. Raises `SourceError` where it cannot be opened."""
    hush()
    with not_for_ever(name):
        opened = _open(name, Claim().ideal)
        try:
            return opened.has()
        finally:
            opened.close()


def _open(name: str, shape: Shape) -> _Opened:
    """Raises `SourceError` with libasound's bare reason."""
    try:
        pcm = alsaaudio.PCM(
            alsaaudio.PCM_CAPTURE,
            alsaaudio.PCM_NONBLOCK,
            device=name,
            rate=shape.rate,
            channels=shape.channels,
            format=getattr(alsaaudio, f"PCM_FORMAT_{shape.format}"),
            periodsize=shape.rate * PERIOD_MS // 1000,
            periods=BUFFER_MS // PERIOD_MS,
        )
    except (alsaaudio.ALSAAudioError, ValueError) as exc:  # ValueError: a NUL in the name
        raise SourceError(_why(exc)) from exc
    return _Opened(name, pcm)


def _card_names() -> Iterator[tuple[int, str]]:
    """What libasound calls each card number: a hardened unit has no /proc/asound to say it."""
    for number in alsaaudio.card_indexes():
        with contextlib.suppress(alsaaudio.ALSAAudioError):  # it has just gone
            yield number, alsaaudio.card_name(number)[0]


def _why(exc: Exception) -> str:
    """The reason alone: pyalsaaudio writes `reason [device]`."""
    return str(exc).rsplit(" [", 1)[0]
