"""What counts as text: one clean line, whether it holds speech at all, and its normal form."""

from __future__ import annotations

import re
import unicodedata

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TAG = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|【[^【】]*】|（[^（）]*）")  # noqa: RUF001 -- they are meant
_NESTED_TAGS = 3
_APOSTROPHES = "'\u2019\u02bc\uff07"
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of a script that has no spaces between words."""


def clean(text: str) -> str:
    """`text` as it is published: NFC, one line, single spaces, trimmed; may come out empty."""
    return " ".join(_UNPRINTABLE.sub(" ", unicodedata.normalize("NFC", text)).split())


def is_speech(text: str) -> bool:
    """Whether `text` has a word in it: not empty, not punctuation only, not tags only.

    A tag is what stands in brackets, as "[laughter]" or "(music)": a remark, not something said.
    """
    return any(char.isalnum() for char in norm(text))


def norm(text: str) -> str:
    """`text` without tags, case, punctuation and superfluous spaces, for programs to compare.

    Letters, marks and digits of any script stay, and apostrophes inside words, all as "'".
    """
    for _ in range(_NESTED_TAGS):
        text = _TAG.sub(" ", text)
    text = unicodedata.normalize("NFC", text.lower())
    kept = [_fold(text, index) for index in range(len(text))]
    return " ".join("".join(kept).split())


def words(text: str) -> list[str]:
    """The words of `text` in normal form; of Chinese and Japanese the characters."""
    return _WORD.findall(norm(text))


def slug(phrase: str) -> str:
    """`phrase` as a level of a topic: "Turn left!" is "turn-left"; empty where it has no word."""
    return "-".join(norm(phrase).replace("'", "").split())


def _fold(text: str, index: int) -> str:
    """What the character at `index` is in the normal form."""
    char = text[index]
    if char in _APOSTROPHES:
        inside = text[index - 1 : index].isalnum() and text[index + 1 : index + 2].isalnum()
        return "'" if inside else " "
    category = unicodedata.category(char)
    if category[0] in "LN" or (category[0] == "M" and _base(text, index) in "LN"):
        return char
    return "" if category == "Cf" else " "  # Cf: joiners inside words, as Persian writes them


def _base(text: str, index: int) -> str:
    """What kind of character the mark at `index` is written on: L, N, …; Z: on none."""
    for at in range(index - 1, -1, -1):
        kind = unicodedata.category(text[at])[0]
        if kind != "M":
            return kind
    return "Z"
