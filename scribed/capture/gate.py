"""What the gate goes by, and what comes out of it: its settings and its events. Pure."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from msgspec import Struct

from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    SegmentEvent,
    UtteranceAudio,
    UtteranceHeld,
    UtterancePaused,
    UtteranceResumed,
)

GateEvent = SegmentEvent | UtteranceHeld | UtterancePaused | UtteranceResumed

CUT_WINDOW_S = 2.0
"""How far before the maximum the quietest frame is looked for: a speaker pauses for breath about
every other second, and nothing is held back before it."""


class Gate(Struct, frozen=True):
    """The segmenter's settings: the keys of `[vad]`, and the length of a frame.

    `early_commit_ms` of 0, or of the hangover and more: no utterance ever pauses.
    """

    frame_ms: int = 20
    pre_roll_ms: int = 300
    start_ms: int = 60
    start_window_ms: int = 120
    hangover_ms: int = 500
    early_commit_ms: int = 0
    min_utterance_ms: int = 100
    max_utterance_s: float = 28.0

    def frames(self, duration_ms: float) -> int:
        """How many whole frames cover `duration_ms`."""
        return -int(-duration_ms // self.frame_ms)

    def in_frames(self) -> InFrames:
        """The same, as the gate counts."""
        hangover, start = self.frames(self.hangover_ms), self.frames(self.start_ms)
        maximum = self.frames(self.max_utterance_s * 1000)
        return InFrames(
            frame_bytes=RATE * self.frame_ms // 1000 * SAMPLE_BYTES,
            pre_roll=self.frames(self.pre_roll_ms),
            start=start,
            window=self.frames(self.start_window_ms),
            minimum=max(self.frames(self.min_utterance_ms), start),
            early=min(self.frames(self.early_commit_ms) or hangover, hangover),
            hangover=hangover,
            maximum=maximum,
            hold_after=max(1, maximum - self.frames(CUT_WINDOW_S * 1000)),
        )


class InFrames(NamedTuple):
    """A gate's settings in frames of `frame_bytes`."""

    frame_bytes: int
    pre_roll: int
    start: int
    window: int
    minimum: int  #: voiced ones that make a candidate an utterance
    early: int  #: of silence, after which it pauses
    hangover: int
    maximum: int
    hold_after: int  #: so many are posted, the rest up to the maximum is held back


def merged(events: list[GateEvent]) -> list[GateEvent]:
    """The same events, with neighbouring audio of one utterance as one."""
    found: list[GateEvent] = []
    for _, same in itertools.groupby(events, key=lambda event: (type(event), event.id)):
        first, *more = same
        if more and isinstance(first, UtteranceAudio | UtteranceHeld):
            run = [first, *more]
            pcm = b"".join(each.pcm for each in run if isinstance(each, type(first)))
            found.append(type(first)(first.id, pcm))
        else:
            found += [first, *more]
    return found
