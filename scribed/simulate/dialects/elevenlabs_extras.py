"""What the service may add to a committed text: entities, redaction, edits and speakers. Pure.

The service has models for it; here are a few patterns, which find something in the right shape.
Its lists of entity types are longer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from scribed.simulate.recognizers import Answer

NUMBERS = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand)"
)
PATTERNS = tuple(  # type, category, what it looks like; the first that matches a place has it
    (kind, category, re.compile(pattern, re.IGNORECASE))
    for kind, category, pattern in (
        ("email_address", "pii", r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
        ("url", "pii", r"\b(?:https?://|www\.)\S+\w"),
        ("credit_card", "pci", r"\b(?:\d[ -]?){13,16}\b"),
        ("phone_number", "pii", r"(?:\+|\b)\d(?:[ -]?\d){6,11}\b"),
        ("name", "pii", r"(?<=my name is )\w+"),
        ("drug", "phi", r"\b(?:aspirin|ibuprofen|paracetamol|penicillin)\b"),
        ("profanity", "offensive_language", r"\b(?:damn|hell|crap)\b"),
        ("number", "other", rf"\b(?:\d+(?:[.,]\d+)*|{NUMBERS}(?: {NUMBERS})*)\b"),
    )
)
FILLERS = re.compile(r"^(?:u+[hm]+|e+r+m*|h+m+|a+h+)[.,]?$", re.IGNORECASE)


class Found(NamedTuple):
    """An entity: `start` and `end` count characters of the text."""

    text: str
    kind: str
    category: str
    start: int
    end: int


def entities(text: str, wanted: Sequence[str]) -> list[Found]:
    """Find what is wanted, by type, category or "all", from left to right and without overlap."""
    found: list[Found] = []
    for kind, category, pattern in PATTERNS:
        if {"all", kind, category}.isdisjoint(wanted):
            continue
        for match in pattern.finditer(text):
            if all(match.end() <= other.start or match.start() >= other.end for other in found):
                found.append(Found(match[0], kind, category, match.start(), match.end()))
    return sorted(found, key=lambda entity: entity.start)


def redacted(text: str, wanted: Sequence[str], mode: str) -> str:
    """Put {REDACTED}, {TYPE} or {TYPE_N} for each entity; N counts those of a type in the text."""
    parts, before, seen = [], 0, dict[str, int]()
    for entity in entities(text, wanted):
        seen[entity.kind] = seen.get(entity.kind, 0) + 1
        name = entity.kind.upper()
        mark = {"redacted": "REDACTED", "entity_type": name}.get(
            mode, f"{name}_{seen[entity.kind]}"
        )
        parts += [text[before : entity.start], "{" + mark + "}"]
        before = entity.end
    return "".join([*parts, text[before:]])


def edited(text: str, instruction: str) -> str:
    """Follow an instruction that asks for upper or lower case; else write it as a sentence."""
    asked = instruction.lower().replace("-", "").replace(" ", "")
    if "uppercase" in asked or "capitals" in asked:
        return text.upper()
    if "lowercase" in asked:
        return text.lower()
    sentence = text[:1].upper() + text[1:]
    return sentence if not text or text[-1] in ".?!" else f"{sentence}."


def without_fillers(answer: Answer) -> Answer:
    """Leave out what nobody meant to say, as `no_verbatim` does."""
    return Answer(
        fluent(answer.text), tuple(word for word in answer.words if not FILLERS.match(word.text))
    )


def fluent(text: str) -> str:
    """Leave fillers out of a text."""
    return " ".join(word for word in text.split(" ") if not FILLERS.match(word))


class Speakers:
    """Who speaks: two people who take turns, segment after segment.

    The service does not know a voice at first: from the third segment on each is somebody new
    until it is found to be the person of the segment before the last. Ids are never used again, so
    that merges chain.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []

    def next(self) -> tuple[str, str | None]:
        """Return the next segment's speaker, and whom it is then found to be."""
        self._ids.append(f"speaker_{len(self._ids)}")
        return self._ids[-1], self._ids[-3] if len(self._ids) > 2 else None
