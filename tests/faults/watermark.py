"""Sound whose every 10 ms say which they are: loss, doubling and order are measured in frames.

The lowest bit of each of a frame's 160 samples carries, first bit first: magic 16, run 32,
utterance 32, number of the frame 48, CRC-32 of these 16 bytes 32. That is noise of -96 dBFS.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

FRAME = 160
"""Samples of a frame: 10 ms."""
FRAME_BYTES = 2 * FRAME
FRAME_MS = 10
_MAGIC = 0x5C1B
_MARK_BYTES = FRAME // 8
_SPAN = re.compile(r"u(\d+) (\d+) to (\d+)")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was found; `at` is the sample where it begins."""

    at: int
    run: int
    utterance: int  #: 0: between utterances
    number: int  #: since the run's begin


def mark(pcm: bytes, utterances: Sequence[int], *, run: int, first: int) -> bytes:
    """`pcm` (whole frames) with its marks: `utterances` has the one of each frame."""
    samples = np.frombuffer(pcm, "<i2")
    assert len(samples) == FRAME * len(utterances), "these are no whole frames"
    marks = b"".join(_mark(run, u, first + n) for n, u in enumerate(utterances))
    bits = np.unpackbits(np.frombuffer(marks, np.uint8)).astype("<i2")
    return bytes(((samples & ~1) | bits).tobytes())


def decode(pcm: bytes) -> list[Frame]:
    """The whole frames in `pcm`, wherever the first one begins."""
    bits = (np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2") & 1).astype(np.uint8)
    if len(bits) < FRAME:
        return []
    begins = len(bits) - FRAME + 1
    window = sum(bits[n : n + begins].astype(np.uint16) << (15 - n) for n in range(16))
    found: list[Frame] = []
    free = 0
    for at in np.flatnonzero(window == _MAGIC).tolist():
        if at >= free and (frame := _read(np.packbits(bits[at : at + FRAME]).tobytes(), at)):
            found.append(frame)
            free = at + FRAME
    return found


def stray(pcm: bytes, frames: Sequence[Frame]) -> int:
    """Samples between the first frame and the last that belong to no frame."""
    if not frames:
        return 0
    return frames[-1].at - frames[0].at - FRAME * (len(frames) - 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `first` to `last` of one utterance."""

    utterance: int
    first: int
    last: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)


def spans(frames: Iterable[Frame]) -> list[Span]:
    """Frames as runs of consecutive ones."""
    runs: list[Span] = []
    for frame in frames:
        if runs and runs[-1].utterance == frame.utterance and runs[-1].last + 1 == frame.number:
            runs[-1] = Span(frame.utterance, runs[-1].first, frame.number)
        else:
            runs.append(Span(frame.utterance, frame.number, frame.number))
    return runs


def words(runs: Iterable[Span], *, run: int) -> str:
    """What a recogniser makes of it: one line that `read()` reads, whatever text goes through."""
    return f"run {run} " + " ".join(f"u{s.utterance} {s.first} to {s.last}" for s in runs)


def read(text: str) -> list[Span]:
    """The spans in a text of `words()`, or in several that were joined."""
    return [Span(*map(int, match.groups())) for match in _SPAN.finditer(text)]


def _mark(run: int, utterance: int, number: int) -> bytes:
    head = struct.pack(">HII", _MAGIC, run, utterance) + number.to_bytes(6, "big")
    return head + zlib.crc32(head).to_bytes(4, "big")


def _read(raw: bytes, at: int) -> Frame | None:
    head = raw[: _MARK_BYTES - 4]
    if zlib.crc32(head).to_bytes(4, "big") != raw[_MARK_BYTES - 4 :]:
        return None
    _, run, utterance = struct.unpack(">HII", head[:10])
    return Frame(at, run, utterance, int.from_bytes(head[10:], "big"))
