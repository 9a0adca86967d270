"""What an engine is worth in a room: what it says frame by frame, and what a gate makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from bench.gate.rooms import FRAME, FRAME_MS, RATE, Frames, Room
from scribed import parts
from scribed.capture.levels import quietest
from scribed.capture.segmenter import Segmenter
from scribed.config import Config, Vad
from scribed.model import Block, EndReason, UtteranceAudio, UtteranceId, UtteranceStarted

SEGMENTERS_MS = {"rhasspy-silence": 500, "OVOS webrtcvad": 300}
"""These tell segments, not frames, and keep so much from before one: they are their own gate."""
BASE64 = 4 / 3

Spans = list[tuple[int, int]]
"""Frames [start, end) that were let through, an utterance each."""


@dataclass(frozen=True)
class Figures:
    """`tpr`, `fpr` of frames; the rest is what came through the gate."""

    tpr: float
    fpr: float
    delivered: float  #: share of the speech
    onset_ms: float  #: speech missed before an utterance's first frame came through, mean
    end_ms: float  #: and behind its last
    false_per_h: float  #: utterances without any speech
    sent: float  #: share of an always-on stream
    mb_per_h: float
    cpu_s_per_h: float

    def rounded(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures(engine: str, room: Room, says: str, cpu_s: float) -> Figures:
    """Judge what an engine said of the frames of `room`."""
    voiced = np.frombuffer(says.encode(), "u1") == ord("1")
    speech, active = room.speech[: len(voiced)], room.active[: len(voiced)]
    spans = through(engine, voiced)
    passed = np.zeros(len(voiced), dtype=bool)
    for start, end in spans:
        passed[start:end] = True
    onsets, ends = _missed(room, passed)
    hours = room.seconds / 3600
    return Figures(
        tpr=float(voiced[active].mean()),
        fpr=float(voiced[~speech].mean()),
        delivered=float(passed[speech].mean()),
        onset_ms=onsets,
        end_ms=ends,
        false_per_h=sum(not speech[start:end].any() for start, end in spans) / hours,
        sent=float(passed.mean()),
        mb_per_h=float(passed.mean()) * 3600 * RATE * 2 * BASE64 / 1e6,
        cpu_s_per_h=cpu_s / hours,
    )


def through(engine: str, voiced: Frames) -> Spans:
    """What a gate lets through: scribed's with its defaults, or the engine's own."""
    if engine in SEGMENTERS_MS:
        return _own(voiced, SEGMENTERS_MS[engine] // FRAME_MS)
    return _gated(voiced, "two_stage" if engine.startswith("two_stage") else "webrtc")


def _gated(voiced: Frames, engine: Literal["webrtc", "two_stage"]) -> Spans:
    starts: list[int] = []
    lengths: list[int] = []

    def identify(at: float, _: UtteranceId | None) -> UtteranceStarted:
        return UtteranceStarted(UtteranceId("u"), 1, at)

    gate = parts.gate(Config(vad=Vad(engine=engine)))
    segmenter = Segmenter(gate, identify=identify, quietest=quietest)
    silence = bytes(FRAME * 2)
    events = []
    for n, is_voiced in enumerate(voiced):
        events += segmenter.feed(Block(silence, n * FRAME, n * FRAME / RATE), [bool(is_voiced)])
    for event in [*events, *segmenter.close(EndReason.FLUSH)]:
        if isinstance(event, UtteranceStarted):
            starts.append(round(event.at * 1000 / FRAME_MS))
            lengths.append(0)
        elif isinstance(event, UtteranceAudio):
            lengths[-1] += len(event.pcm) // (FRAME * 2)
    return [(start, start + length) for start, length in zip(starts, lengths, strict=True)]


def _own(state: Frames, before: int) -> Spans:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], state.astype(int), [0]])))
    spans: Spans = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        spans.append((max(0, start - before), end))
    return spans


def _missed(room: Room, passed: Frames) -> tuple[float, float]:
    """Milliseconds of speech missed at the begin and at the end of an utterance, on average; all of
    it counts as begin where nothing of it came through."""
    onsets, ends = [], []
    for start, end in room.utterances:
        speech, came = room.speech[start:end], np.flatnonzero(passed[start:end])
        first, last = (came[0], came[-1]) if len(came) else (end - start, end - start)
        onsets.append(speech[:first].sum() * FRAME_MS)
        ends.append(speech[last + 1 :].sum() * FRAME_MS)
    return float(np.mean(onsets)), float(np.mean(ends))
