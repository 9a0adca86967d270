"""Whether what was heard mostly repeats what the robot said: words compared with words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scribed.text import norm

REPEATED = 0.6
"""The share of the words heard that stand in what was said, in one place: recognition of an echo
gets some wrong, and what somebody else says shares few words in the same order."""
MAX_HEARD, MAX_SAID = 150, 2000
"""Words that are compared: more than an utterance of 28 s has; of what was said the last."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of a script that has no spaces between words."""


def repeats(heard: str, said: Iterable[str]) -> bool:
    """Whether `heard` mostly repeats a part of the texts `said`, taken one after the other."""
    words = _WORD.findall(norm(heard))[:MAX_HEARD]
    source = [word for text in said for word in _WORD.findall(norm(text))][-MAX_SAID:]
    if not words or not source:
        return False
    return 1 - _edits(words, source) / len(words) >= REPEATED


def _edits(words: list[str], source: list[str]) -> int:
    """How many words to insert, leave out or replace make `words` of some part of `source`."""
    above = [0] * (len(source) + 1)  # it may begin anywhere …
    for row, word in enumerate(words, 1):
        line = [row]
        for column, other in enumerate(source):
            line.append(
                min(above[column] + (word != other), above[column + 1] + 1, line[column] + 1)
            )
        above = line
    return min(above)  # … and end anywhere
