"""How OpenMind's proxy hears one connection: audio in, segments that end with their speech out."""

from __future__ import annotations

from collections.abc import Iterator

from scribed.simulate.audio import To16k
from scribed.simulate.dialects import AskPartial, Feed, Timing
from scribed.simulate.dialects.segments import Segments
from scribed.simulate.endpointing import Edge, Endpointing
from scribed.simulate.recognizers import BYTES_PER_S
from scribed.simulate.recording import CommitRecord

LEAD_BYTES = BYTES_PER_S // 2  # that the recogniser gets from before the speech
LIMIT_S = 36.0  # of speech without an end: ElevenLabs commits by itself (35.8 measured)


class Hearing:
    """Gives the recogniser speech alone, and says what is noticed where."""

    def __init__(
        self,
        session_id: str,
        endpointing: Endpointing,
        timing: Timing,
        *,
        rate: int,
        keep_audio: bool,
    ) -> None:
        self.segments = Segments(session_id, bytes_per_s=2 * rate, keep_audio=keep_audio)
        self.open = False  #: there was speech since the last commit
        self._rate = rate
        self._to_16k = To16k(rate=rate, ulaw=False)
        self._endpointing = endpointing
        self._partial_every_s, self._partial_due_s = timing.partial_every_s, timing.warmup_s
        self._lead = b""
        self._heard = 0  # bytes at 16 kHz, of the whole connection
        self._speech_s = 0.0  # that the recogniser got, of the whole connection
        self._segment_from_s = 0.0  # on the same scale

    def hear(self, audio: bytes) -> Iterator[Feed | AskPartial | Edge]:
        """Take audio as it was sent; yield work and, between it, edges where they fall.

        After `Edge.END` the caller takes `commit()`, before it goes on.
        """
        pcm = self._to_16k(audio)
        sent, heard = self.segments.nbytes, self._heard
        at = at_16k = 0
        for mark in self._endpointing.feed(pcm):
            to = max(at, min(len(audio), 2 * round(mark.at_s * self._rate) - sent))
            to_16k = max(at_16k, min(len(pcm), round(mark.at_s * BYTES_PER_S) - heard))
            yield from self._pass(audio[at:to], pcm[at_16k:to_16k])
            at, at_16k = to, to_16k
            if mark.edge is Edge.SPEECH and not self.open:
                self.open = True
                yield from self._feed(self._lead)
                self._lead = b""
            yield mark.edge
        yield from self._pass(audio[at:], pcm[at_16k:])
        if self.open and self._speech_s - self._segment_from_s >= LIMIT_S:
            self._endpointing.cut()
            yield Edge.END

    @property
    def speaking(self) -> bool:
        """True while the newest audio is speech."""
        return self._endpointing.speaking

    def commit(self, now: float) -> CommitRecord:
        """End the open segment and begin the next."""
        self.open = False
        self._segment_from_s = self._speech_s
        return self.segments.commit(now, asked=False)

    def interrupt(self, now: float) -> CommitRecord:
        """End the open segment in the midst of its speech; what follows is heard as new."""
        self._endpointing.cut()
        return self.commit(now)

    def _pass(self, audio: bytes, pcm: bytes) -> Iterator[Feed | AskPartial]:
        self.segments.add(audio)
        self._heard += len(pcm)
        if self.open:
            yield from self._feed(pcm)
        else:
            self._lead = (self._lead + pcm)[-LEAD_BYTES:]

    def _feed(self, pcm: bytes) -> Iterator[Feed | AskPartial]:
        if not pcm:
            return
        self._speech_s += len(pcm) / BYTES_PER_S
        yield Feed(pcm)
        if self._partial_every_s and self._speech_s >= self._partial_due_s:
            self._partial_due_s = self._speech_s + self._partial_every_s
            yield AskPartial(self.segments.committed)
