"""Subtitles that can be read, whatever was said and however the service writes it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from scribed.model import Word
from scribed.transcribe.cues import LINE_CHARS, LINES, LONGEST_MS, cues

TOKENS = st.lists(
    st.tuples(
        st.text("abcdefgäöÜ'-,.?!", min_size=1, max_size=14).filter(lambda t: t[0].isalnum()),
        st.integers(0, 1500),
        st.integers(0, 900),
    ),
    min_size=1,
    max_size=60,
)


@given(TOKENS, st.integers(0, 10**7))
def test_cues_are_in_order_bounded_and_say_all_that_was_said(
    tokens: list[tuple[str, int, int]], start_ms: int
) -> None:
    words, at = [], 0
    for text, lasts_ms, pause_ms in tokens:
        words.append(Word(text, at, at + lasts_ms))
        at += lasts_ms + pause_ms
    text = " ".join(token for token, _, _ in tokens)
    found = cues(text, words, start_ms, start_ms + at)
    assert " ".join(" ".join(cue.text.split()) for cue in found) == text
    assert found[0].start_ms == start_ms
    for before, cue in zip([None, *found], found, strict=False):
        assert cue.start_ms < cue.end_ms
        assert before is None or before.end_ms <= cue.start_ms
        assert cue.end_ms - cue.start_ms <= LONGEST_MS or len(cue.text.split()) == 1
        lines = cue.text.split("\n")
        assert len(lines) <= LINES
        assert all(len(line) <= LINE_CHARS for line in lines)


@given(st.text(min_size=1, max_size=400).filter(lambda t: t.strip()), st.integers(0, 30_000))
def test_without_words_the_text_is_spread_over_the_utterance(text: str, lasts_ms: int) -> None:
    found = cues(text, None, 1000, 1000 + lasts_ms)
    assert "".join("".join(cue.text.split()) for cue in found) == "".join(text.split())
    assert found[0].start_ms == 1000
    for before, cue in itertools.pairwise(found):
        assert before.end_ms <= cue.start_ms < cue.end_ms


def test_words_that_are_not_those_of_the_text_are_not_believed() -> None:
    found = cues("something else", [Word("hello", 0, 100)], 0, 2000)
    assert [cue.text for cue in found] == ["something else"]
    assert (found[0].start_ms, found[0].end_ms) == (0, 2000)


def test_a_language_without_spaces_is_cut_all_the_same() -> None:
    text = "\u6211\u4eec" * 120
    words = [Word(char, n * 100, n * 100 + 100) for n, char in enumerate(text)]
    found = cues(text, words, 0, len(text) * 100)
    assert "".join(cue.text.replace("\n", "") for cue in found) == text
    assert all(len(line) <= LINE_CHARS for cue in found for line in cue.text.split("\n"))
    assert len(found) > 2


def test_a_short_cue_stays_a_second_if_nothing_follows() -> None:
    (cue,) = cues("Stop!", [Word("Stop!", 100, 300)], 5000, 7000)
    assert (cue.start_ms, cue.end_ms) == (5100, 6100)
