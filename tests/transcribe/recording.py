"""Recordings that say what they are: phrases whose every 10 ms carry their number."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.voice import quiet
from tests.faults.watermark import FRAME, FRAME_BYTES, Span, mark, read

RUN = 7
GAP_FRAMES = 120
"""Silence between two phrases: more than any hangover here."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Marked sound, and which of its frames are whose."""

    pcm: bytes
    utterances: list[int]  #: of each frame; 0: nobody speaks

    @property
    def seconds(self) -> float:
        return len(self.utterances) * FRAME / 16_000

    def frames(self, utterance: int) -> set[int]:
        return {n for n, whose in enumerate(self.utterances) if whose == utterance}

    def save(self, path: Path) -> Path:
        with wave.open(str(path), "wb") as file:
            file.setframerate(16_000)
            file.setnchannels(1)
            file.setsampwidth(2)
            file.writeframes(self.pcm)
        return path


def record(phrases: Sequence[bytes], *, run: int = RUN, gap: int = GAP_FRAMES) -> Recording:
    """The phrases one after the other, each with silence behind it."""
    sound, utterances = [quiet(gap, seed=1)], [0] * gap
    for n, phrase in enumerate(phrases, 1):
        whole = phrase[: len(phrase) // FRAME_BYTES * FRAME_BYTES]
        sound += [whole, quiet(gap, seed=n)]
        utterances += [n] * (len(whole) // FRAME_BYTES) + [0] * gap
    return Recording(mark(b"".join(sound), utterances, run=run, first=0), utterances)


def told(text: str) -> list[Span]:
    """The speech that a transcript tells, in its order."""
    return [span for span in read(text) if span.utterance]


def assert_told_once(recording: Recording, text: str, *, slack: int = 0) -> None:
    """Every frame of speech is told once and in order; `slack` frames of a phrase may be missing at
    its edges, which a gate that begins anew may hear a little differently."""
    spans = told(text)
    numbers = [number for span in spans for number in span.numbers]
    assert numbers == sorted(set(numbers)), f"doubled or out of order: {spans}"
    for utterance in range(1, max(recording.utterances) + 1):
        frames = sorted(recording.frames(utterance))
        if slack:
            frames = frames[slack:-slack]
        missing = sorted(set(frames) - set(numbers))
        assert not missing, f"utterance {utterance}: frames {missing[0]} to {missing[-1]} missing"
