"""How the gate's decisions are shown: a character for each frame, and a bar for the level. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scribed.capture.levels import dbfs, power
from scribed.model import pcm_bytes
from scribed.recording import CANDIDATE, OPEN, Decisions

_SHOWN = {CANDIDATE: {"#": "+", ".": "-"}, OPEN: {"#": "#", ".": "_"}}
_CLOSED = {"#": ":", ".": "."}
LEGEND = (
    "a character for each frame: . silence  : a voice  +- may become an utterance  "
    "#_ an utterance (# a voice, _ none)  ~ a voice too faint, x none to Silero"
)
LOWEST_DBFS = -70.0
_BLOCKS = " ▁▂▃▄▅▆▇█"
ROW_FRAMES = 50
"""A second of frames of 20 ms."""


def glyphs(decisions: Decisions) -> str:
    """One character for each frame."""
    return "".join(map(glyph, decisions.voices, decisions.gate))


def glyph(voice: str, gate: str) -> str:
    """The character of one frame."""
    return _SHOWN.get(gate, _CLOSED).get(voice, voice)


def differences(one: Decisions, other: Decisions) -> list[int]:
    """The frames that two decisions about the same sound do not show alike."""
    both = zip(glyphs(one), glyphs(other), strict=True)
    return [frame for frame, (a, b) in enumerate(both) if a != b]


def block(level_dbfs: float) -> str:
    """A level as a character of rising height: nothing at `LOWEST_DBFS`, full at full scale."""
    share = (level_dbfs - LOWEST_DBFS) / -LOWEST_DBFS
    return _BLOCKS[max(0, min(len(_BLOCKS) - 1, round(share * (len(_BLOCKS) - 1))))]


def bar(level_dbfs: float, width: int) -> str:
    """A level as a bar of `width` characters."""
    share = (level_dbfs - LOWEST_DBFS) / -LOWEST_DBFS
    return ("█" * max(0, min(width, round(share * width)))).ljust(width)


def levels(pcm: bytes, frame_ms: int) -> list[float]:
    """The level of each frame, dBFS."""
    size = pcm_bytes(frame_ms)
    return [dbfs(power(pcm[at : at + size])) for at in range(0, len(pcm), size)]


def rows(pcm: bytes, named: Sequence[tuple[str, Decisions]], frame_ms: int) -> list[str]:
    """The level and the decisions, `ROW_FRAMES` in a row with its time; where there are several
    decisions they stand below each other, with their names."""
    shown = [(name if len(named) > 1 else "", glyphs(decisions)) for name, decisions in named]
    heights = "".join(map(block, levels(pcm, frame_ms)))
    lines = []
    for start in range(0, len(heights), ROW_FRAMES):
        part = slice(start, start + ROW_FRAMES)
        lines.append(f"{start * frame_ms / 1000:8.2f} s  {heights[part]}")
        lines += [f"{name:>10}  {said[part]}" for name, said in shown]
    return lines


def words(utterance: dict[str, Any]) -> str:
    """One of `recording.utterances()` in a line."""
    start, end = utterance["start_ms"], utterance["end_ms"]
    began = "before it" if start is None else f"{start / 1000:.2f} s"
    ended = "behind it" if end is None else f"{end / 1000:.2f} s"
    length = "" if end is None else f", {utterance['audio_ms']} ms, {utterance['reason']}"
    return f"{began} to {ended}{length}"
