"""Whether what was heard mostly repeats what the robot said: words compared with words. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from scribed.text import words

REPEATED = 0.6
"""The share of the words heard that stand in what was said, in one place: recognition of an echo
gets some wrong, and what somebody else says shares few words in the same order."""
MAX_HEARD, MAX_SAID = 150, 2000
"""Words that are compared: more than an utterance of 28 s has; of what was said the last."""


def repeats(heard: str, said: Iterable[str]) -> bool:
    """Whether `heard` mostly repeats a part of the texts `said`, taken one after the other."""
    spoken = words(heard)[:MAX_HEARD]
    source = [word for text in said for word in words(text)][-MAX_SAID:]
    if not spoken or not source:
        return False
    return 1 - _edits(spoken, source) / len(spoken) >= REPEATED


def _edits(spoken: list[str], source: list[str]) -> int:
    """How many words to insert, leave out or replace make `spoken` of some part of `source`."""
    above = [0] * (len(source) + 1)  # it may begin anywhere …
    for row, word in enumerate(spoken, 1):
        line = [row]
        for column, other in enumerate(source):
            line.append(
                min(above[column] + (word != other), above[column + 1] + 1, line[column] + 1)
            )
        above = line
    return min(above)  # … and end anywhere
