"""The mark: it is read at any offset and after any cut, and no gate hears it."""

from __future__ import annotations

import random

import pytest

from tests.faults import voice
from tests.faults.watermark import (
    FRAME,
    FRAME_BYTES,
    Frame,
    Span,
    decode,
    mark,
    read,
    spans,
    stray,
    words,
)

AT_A_BORDER = 0.003
"""Share of the decisions that any change of a bit may turn round: those that hang by a thread."""


def scene(phrases: list[bytes]) -> tuple[bytes, list[int]]:
    """Every phrase, with a second of quiet before and after it; the utterance of each frame."""
    pcm, utterances = voice.quiet(100), [0] * 100
    for n, phrase in enumerate(phrases, 1):
        pcm += phrase + voice.quiet(100, seed=n)
        utterances += [n] * (len(phrase) // FRAME_BYTES) + [0] * 100
    return pcm, utterances


def test_every_frame_is_read_wherever_the_sound_begins_and_ends(phrases: list[bytes]) -> None:
    pcm, utterances = scene(phrases)
    marked = mark(pcm, utterances, run=7, first=1 << 40)
    whole = [Frame(n * FRAME, 7, u, (1 << 40) + n) for n, u in enumerate(utterances)]
    assert decode(marked) == whole
    chance = random.Random(1)
    for _ in range(50):
        begin = chance.randrange(len(pcm) // 2)
        end = chance.randrange(begin, len(pcm) // 2)
        inside = [f for f in whole if begin <= f.at and f.at + FRAME <= end]
        found = decode(marked[2 * begin : 2 * end])
        assert [f.number for f in found] == [f.number for f in inside]


def test_what_is_cut_out_is_missing_and_nothing_else(phrases: list[bytes]) -> None:
    pcm, utterances = scene(phrases)
    marked = mark(pcm, utterances, run=7, first=0)
    cut = marked[: 1000 * 2] + marked[5005 * 2 :]
    numbers = [f.number for f in decode(cut)]
    assert numbers == [*range(1000 // FRAME), *range(5005 // FRAME + 1, len(utterances))]
    assert stray(cut, decode(cut)) == 1000 % FRAME + FRAME - 5005 % FRAME
    assert decode(bytes(len(pcm))) == decode(pcm) == []


def test_a_text_says_it_all(phrases: list[bytes]) -> None:
    _, utterances = scene(phrases)
    frames = [Frame(0, 7, u, n) for n, u in enumerate(utterances) if n % 97]
    assert read(words(spans(frames), run=7)) == spans(frames)
    assert spans(frames)[0] == Span(0, 1, 96)


@pytest.mark.parametrize("aggressiveness", range(4))
@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_no_gate_hears_the_mark(phrases: list[bytes], aggressiveness: int, frame_ms: int) -> None:
    pcm, utterances = scene(phrases)
    marked = mark(pcm, utterances, run=0xDEADBEEF, first=(1 << 47) + 12345)
    plain = voice.voiced(pcm, aggressiveness, frame_ms=frame_ms)
    heard = voice.voiced(marked, aggressiveness, frame_ms=frame_ms)
    turned = sum(one != other for one, other in zip(plain, heard, strict=True))
    assert turned <= AT_A_BORDER * len(plain)
    assert 0.4 < sum(plain) / len(plain) < 0.8
