"""What stands in a transcript beside the text, as the service said it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scribed.languages import is_among
from scribed.model import Answer, Entity
from scribed.text import clean

NOTHING: dict[str, Any] = dict.fromkeys(
    ("words", "entities", "redacted_text", "edited_text", "warnings")
)
"""The fields where none of them is known."""


def beside_the_text(answer: Answer) -> dict[str, Any]:
    """What the service says about its text, and what else it has made of it."""
    entities = answer.entities
    return {
        "words": answer.words,
        "entities": entities and tuple(_placed(entity, answer.text) for entity in entities),
        "redacted_text": _line(answer.redacted_text),
        "edited_text": _line(answer.edited_text),
        "warnings": answer.warnings and tuple(map(clean, answer.warnings)),
    }


def is_foreign(answer: Answer, languages: Collection[str]) -> bool:
    """Whether the service has detected none of `languages`, which are spoken here; none: any are.

    What was configured is not detected, and where nothing was detected nothing is foreign.
    """
    if answer.language_source != "detected" or not answer.language or not languages:
        return False
    return not is_among(answer.language, languages)


def _placed(entity: Entity, text: str) -> Entity:
    """`entity` of `text` with its place in the text as it is published."""
    length = len(clean(text))
    start = min(len(clean(text[: entity.start] + "|")) - 1, length)  # a space before it counts
    end = min(max(len(clean(text[: entity.end])), start), length)
    return Entity(clean(entity.text), entity.type, start, end)


def _line(text: str | None) -> str | None:
    return None if text is None else clean(text)
