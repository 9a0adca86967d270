"""What counts as text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scribed.text import clean, is_speech, norm


def test_a_text_is_one_trimmed_line_of_composed_characters() -> None:
    assert clean("  Cafe\u0301,\n\t please.\u2028 ") == "Café, please."


def test_what_cannot_be_encoded_or_printed_does_not_reach_a_robot() -> None:
    assert clean("stop\x00\x1b\ud800now") == "stop now"


@pytest.mark.parametrize("word", ["stop", "Stop!", "7", "停", "(uh) stop", "l'eau", "नहीं"])
def test_one_word_is_a_sentence(word: str) -> None:
    assert is_speech(word)


@pytest.mark.parametrize(
    "noise",
    [
        "",
        " ",
        "...",
        "?!",
        "[laughter]",
        "(music)",
        "[door] (steps)",
        "((music))",
        "♪",
        "❤️",
        "\u200b",
    ],
)
def test_nothing_punctuation_and_tags_are_not_speech(noise: str) -> None:
    assert not is_speech(noise)


def test_an_open_bracket_hides_nothing_that_was_said() -> None:
    assert is_speech("(stop")
    assert norm("(stop") == "stop"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Turn left, please.", "turn left please"),
        ("  DON’T   stop!  ", "don't stop"),
        ("'Tis the dogs' rock'n'roll", "tis the dogs rock'n'roll"),
        ("Straße, Ärger: 3 Bäume", "straße ärger 3 bäume"),
        ("Go [laughter] left", "go left"),
        ("हिन्दी भाषा।", "हिन्दी भाषा"),
        ("می‌خواهم", "میخواهم"),
        ("turn-left/now", "turn left now"),
    ],
)
def test_the_normal_form_keeps_what_was_said_and_drops_how_it_was_written(
    text: str, normal: str
) -> None:
    assert norm(text) == normal


@given(st.text())
def test_a_clean_text_is_always_one_line_that_utf8_can_carry(text: str) -> None:
    line = clean(text)
    assert line.encode().decode() == line
    assert line == line.strip()
    assert len(line.splitlines()) <= 1
    assert unicodedata.is_normalized("NFC", line)
    assert clean(line) == line


@given(st.text())
@example("0:\u0300\u0300")
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    assert norm(norm(text)) == norm(text)
    assert is_speech(text) == is_speech(norm(text))
