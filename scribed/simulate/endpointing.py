"""The end of speech, found by level in 16 kHz audio as a service does that commits by itself. Pure.

Counted is the audio that was fed, never the clock: speech that comes in a burst ends where it
would have ended in real time.
"""

from __future__ import annotations

import array
import enum
import math
import operator
import sys
from typing import NamedTuple

from scribed.simulate.recognizers import RATE

FRAME = RATE // 100  # samples that are judged together: 10 ms
FRAMES_PER_S = RATE // FRAME

# In dB of full scale. The noise is followed downwards at once and upwards slowly, between these
# two: what is louder than the loudest and the margin is always speech. Zeros are what a client
# pads with, and say nothing about its room.
QUIETEST_NOISE_DB, LOUDEST_NOISE_DB = -55.0, -25.0
RISE_DB = 0.02  # a frame: 2 dB a second
MARGIN_DB = 25.0  # above the noise, for a threshold of 1; 0.4 asks for 10 dB
ZEROS_DB = -90.0


class Edge(enum.Enum):
    """What happened in the audio."""

    SPEECH = enum.auto()  #: `min_speech_s` of speech have been heard, first or after a pause
    PAUSE = enum.auto()  #: and then `min_silence_s` of none
    END = enum.auto()  #: and then `silence_s` in all: the segment ends here


class Mark(NamedTuple):
    """An edge, and where it was noticed: seconds of all audio fed."""

    edge: Edge
    at_s: float


class Endpointing:
    """Feed it a session's audio: 16 kHz mono s16le, in pieces of any length.

    A segment has `min_speech_s` of speech, with pauses shorter than `min_silence_s` in between, and
    ends after `silence_s` without. `threshold` is how sure it must be, from 0 (anything louder
    than the noise) to 1 (25 dB louder).
    """

    def __init__(
        self,
        silence_s: float,
        threshold: float = 0.4,
        *,
        min_speech_s: float = 0.1,
        min_silence_s: float = 0.1,
    ) -> None:
        self._margin_db = MARGIN_DB * threshold
        self._speech_frames = max(1, round(min_speech_s * FRAMES_PER_S))
        self._pause_frames = max(1, round(min_silence_s * FRAMES_PER_S))
        self._end_frames = max(self._pause_frames + 1, round(silence_s * FRAMES_PER_S))
        self._noise_db = LOUDEST_NOISE_DB
        self._rest = b""
        self._frames = 0  # judged so far
        self._voiced = 0  # frames since the last pause
        self._silent = 0  # frames since the last voiced one
        self.in_segment = False  #: there was speech, and no end since

    @property
    def speaking(self) -> bool:
        """True in a segment that is not in a pause."""
        return self.in_segment and self._voiced > 0

    def feed(self, pcm: bytes) -> list[Mark]:
        """Hear more, and return the edges in it."""
        data = self._rest + pcm
        whole = len(data) - len(data) % (2 * FRAME)
        self._rest = data[whole:]
        samples = array.array("h", data[:whole])
        if sys.byteorder == "big":
            samples.byteswap()
        marks = []
        for start in range(0, len(samples), FRAME):
            self._frames += 1
            edge = self._judge(level_db(samples[start : start + FRAME]))
            if edge is not None:
                marks.append(Mark(edge, self._frames / FRAMES_PER_S))
        return marks

    def cut(self) -> None:
        """The open segment was ended by something else: what follows is the next one's."""
        self.in_segment = False
        self._voiced = self._silent = 0

    def _judge(self, db: float) -> Edge | None:
        if db > ZEROS_DB:
            self._noise_db = min(db, self._noise_db + RISE_DB)
            self._noise_db = max(QUIETEST_NOISE_DB, min(LOUDEST_NOISE_DB, self._noise_db))
        return self._speech() if db > self._noise_db + self._margin_db else self._silence()

    def _speech(self) -> Edge | None:
        self._silent = 0
        self._voiced += 1
        if self._voiced != self._speech_frames:
            return None
        self.in_segment = True
        return Edge.SPEECH

    def _silence(self) -> Edge | None:
        self._silent += 1
        was_speaking, edge = self._voiced >= self._speech_frames, None
        if self._silent >= self._pause_frames:
            self._voiced = 0
            edge = Edge.PAUSE if was_speaking else None
        if self.in_segment and self._silent >= self._end_frames:
            self.in_segment = False
            edge = Edge.END
        return edge


def level_db(samples: array.array[int]) -> float:
    """Return the mean level without its direct component, in dB of full scale; -∞ for silence."""
    mean = sum(samples) / len(samples)
    power = sum(map(operator.mul, samples, samples)) / len(samples) - mean * mean
    return 10 * math.log10(power / 32768**2) if power > 0.25 else -math.inf
