"""Sound that ffmpeg reads: files of any kind, URLs, streams."""

from __future__ import annotations

import logging
import select
import time
from pathlib import Path

from msgspec.structs import replace

from scribed import clock, kinds
from scribed.capture.sources import devices, urls
from scribed.capture.sources.ffmpeg_child import Child
from scribed.capture.sources.ffmpeg_words import Words
from scribed.capture.sources.framing import Framing, Timeline
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput
from scribed.model import RATE, SAMPLE_BYTES, Block, Device, seconds

logger = logging.getLogger(__name__)

READ_S = 1.0
"""One read gives so much sound at most: the reader looks up in between."""
PATIENCE_S = 15.0
"""ffmpeg that gives nothing for so long hangs, from its start on: downloads are looked at for up to
5 s before they are decoded, and streams come in pieces, HLS in some of 10 s."""
SHORT_S = 1.0
"""A file that is so much shorter than it says is torn; lengths are often estimated."""


class FfmpegSource:
    """A file, URL or stream, `audio.path`, or what comes on `stdin`, as ffmpeg decodes it.

    A stream is live: it goes on without us, and where it ends it is lost, for the reader to open
    again. A file or a plain download waits for its reader, gives its sound as `audio.pace` says and
    then ends. Which of them a URL is shows in what the server says. `duration_s` is what it says of
    its length. The constructor takes up to `patience_s`, and so does any pause in the sound.
    """

    def __init__(
        self, audio: Audio, *, stdin: int | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._address = urls.STDIN if stdin is not None else urls.address(audio.path)
        self._patience_s, name = patience_s, self._address.shown
        _check(audio, self._address)
        self._words = Words(self._address.url)
        self._child = Child(urls.command(self._address, audio, timeout_s=patience_s), stdin)
        try:
            self._await_sound()
            self._check_channel(audio.channel)
        except BaseException:
            self.close()
            raise
        self.duration_s = self._words.duration_s
        self.damage: str | None = None  #: why there may be more in it than was heard
        self.live = self._is_stream(fast=audio.pace == "fast")
        self.device = Device(name, self._words.rate, self._words.channels, "open")
        self._realtime = audio.pace == "realtime"
        self._framing = Framing(RATE, 1, "mix", audio.frame_ms)
        self._timeline = Timeline()
        self._began: float | None = None
        self._heard_at = time.monotonic()
        self._asked = 0  # samples that were read
        self._over = False  # ffmpeg has ended, and all it gave was taken

    def pollable(self) -> list[tuple[int, int]]:
        return [(self._child.out, select.POLLIN)] if self.live else []

    def read(self) -> Block | None:
        if self._over:
            self._conclude()
        self._words.feed(self._child.complaints())
        now = clock.now()
        if self._began is None:
            self._began = now
        if (most := self._due(now)) <= 0:
            self._heard_at = time.monotonic()
            return None
        raw = self._child.read(most * SAMPLE_BYTES)
        if raw is None:
            self._look_for_stall()
            return None
        self._heard_at = time.monotonic()
        self._asked += len(raw) // SAMPLE_BYTES
        self._framing.feed(raw)
        if self.live and raw:
            self._timeline.arrived(self._framing.heard_s, now)
        self._over = not raw
        frames = self._framing.finish() if self._over else self._framing.take()
        if frames is None:
            if self._over:
                self._conclude()
            return None
        return self._block(*frames)

    def close(self) -> None:
        self._child.close()

    # Opening

    def _await_sound(self) -> None:
        """Wait until ffmpeg gives sound, or has ended without any."""
        deadline = time.monotonic() + self._patience_s
        poller = select.poll()
        poller.register(self._child.out, select.POLLIN)
        poller.register(self._child.err, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(left * 1000))
            self._words.feed(self._child.complaints())
            if ready.get(self._child.out, 0) & select.POLLIN:
                return
            if ready.get(self._child.out):  # it hung up: nothing comes
                self._reap()
                why = self._words.why() or "ffmpeg gave no sound, and no reason"
                raise SourceError(self._line(f"cannot be read: {why}"))
            if ready.get(self._child.err, 0) & ~select.POLLIN:
                poller.unregister(self._child.err)
        raise self._given_up()

    def _check_channel(self, channel: str | int) -> None:
        has = self._words.channels
        if isinstance(channel, int) and has is not None and channel >= has:
            raise SourceError(devices.no_channel(self._address.shown, channel, has))

    def _is_stream(self, *, fast: bool) -> bool:
        """Whether it has no end; what the server does not say is a download to who is in a hurry.

        An end that nobody knows is that of a broadcast, or of a page that is made as it is sent.
        """
        if self._address.path is not None or self._address is urls.STDIN:
            return False
        if self._address.runs_itself:
            return True
        return self.duration_s is None and (self._words.is_radio or not fast)

    # Reading

    def _due(self, now: float) -> int:
        """How many samples may be read now."""
        most = round(READ_S * RATE)
        if self.live or not self._realtime:
            return most
        assert self._began is not None
        due = int((now - self._began) * RATE) - self._asked
        # It waits for a reader who stays away: time stands still in it meanwhile.
        self._began += max(0, due - most) / RATE
        return min(most, due)

    def _block(self, pcm: bytes, position: int) -> Block:
        if self.live:
            return Block(pcm, position, self._timeline.at(position))
        if self._realtime:
            assert self._began is not None
            return Block(pcm, position, self._began + position / RATE)
        return Block(pcm, position, clock.now() - seconds(len(pcm)))

    def _look_for_stall(self) -> None:
        if time.monotonic() - self._heard_at > self._patience_s:
            self.device = replace(self.device, state="lost")
            raise self._given_up()

    # The end

    def _conclude(self) -> None:
        """Raise what the end of the sound is: the end, or a loss."""
        status, words = self._reap(), self._words
        why = words.why()
        if self.live:
            self.device = replace(self.device, state="lost")
            raise SourceError(self._line("has ended" + (f": {why}" if why else "")))
        if status != 0 or words.broke_off:
            said = why or f"ffmpeg ended with status {status}"
            raise SourceError(self._line(f"broke off after {self._framing.heard_s:.1f} s: {said}"))
        if not self._asked:
            raise SourceError(self._line("is empty: there is no sound in it"))
        missing_s = (self.duration_s or 0.0) - self._framing.heard_s
        if missing_s > max(SHORT_S, 0.02 * self._framing.heard_s) or why:
            self.damage = self._line(self._say_damage(missing_s, why))
            logger.warning("%s", self.damage, extra=kinds.SOURCE_DAMAGED(error=self.damage))
        raise EndOfInput

    def _say_damage(self, missing_s: float, why: str) -> str:
        heard = f"{self._framing.heard_s:.1f} s"
        of = f" of {self.duration_s:.1f} s" if self.duration_s and missing_s > SHORT_S else ""
        return f"is damaged; {heard}{of} could be heard" + (f" ({why})" if why else "")

    def _reap(self) -> int | None:
        status = self._child.status()
        self._words.feed(self._child.complaints())
        return status

    def _given_up(self) -> SourceError:
        return SourceError(self._line(f"gave no sound for {self._patience_s:g} s; it is given up"))

    def _line(self, what: str) -> str:
        return urls.scrubbed(f'audio.path: "{self._address.shown}" {what}', self._address)


def _check(audio: Audio, address: urls.Address) -> None:
    """Raise what can be said without ffmpeg."""
    for key in ("rate", "channels"):
        if asked := getattr(audio, key):
            raise SourceError(
                f"audio.{key}: {asked} cannot be asked of what ffmpeg reads; it makes 16000 Hz "
                "mono of anything: write 0"
            )
    if address.path is None:
        return
    try:
        status = Path(address.path).stat()
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(f'audio.path: "{address.shown}" cannot be opened: {why}') from exc
    if Path(address.path).is_file() and not status.st_size:
        raise SourceError(f'audio.path: "{address.shown}" is empty; name a file with sound in it')
