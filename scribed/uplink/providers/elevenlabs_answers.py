"""What ElevenLabs said about one utterance, put together from all its parts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scribed.model import Answer, Entity, Word
from scribed.uplink.providers.elevenlabs_extras import (
    DIARIZED,
    EDITED,
    ENTITIES,
    REDACTED,
    Extra,
    Speakers,
)
from scribed.uplink.providers.elevenlabs_messages import Token
from scribed.uplink.providers.pending import Part, Pending

MAX_TIME_S = 1e6
"""No word is so late in an utterance; a number beyond it is not meant as a time."""
MAX_LANGUAGE = 35
"""Characters of a language tag (RFC 5646)."""


def answer(
    pending: Pending,
    *,
    language: str | None,
    detects: bool,
    speakers: Speakers,
    warnings: tuple[str, ...],
) -> Answer:
    """The answer to `pending`; `language` is the configured one, `detects`: it was to be found."""
    parts = [part for part in pending.parts if part.text]
    detected = _detected(pending) if detects else None
    spoken, confidence = _words(pending.parts, pending.offset_s, speakers)
    return Answer(
        text=" ".join(part.text for part in parts),
        words=spoken or None,
        language=detected or language,
        language_source="detected" if detected else "configured" if language else None,
        confidence=confidence,
        entities=_entities(parts),
        redacted_text=_joined([_text(part, REDACTED) for part in parts]),
        edited_text=_joined([_text(part, EDITED) for part in parts]),
        warnings=warnings or None,
    )


def _detected(pending: Pending) -> str | None:
    """The language of the last part that has one."""
    for details in reversed(pending.details()):
        code = details.language_code
        if code and len(code) <= MAX_LANGUAGE and code.isascii() and code.isprintable():
            return code
    return None


def _words(
    parts: Sequence[Part], offset_s: float, speakers: Speakers
) -> tuple[tuple[Word, ...], float | None]:
    """The words of an answer and their mean confidence, None where it is unknown.

    Times in the messages count all audio of the connection; `offset_s` of it came before.
    """
    tokens = [token for part in parts for token in _tokens(part) if token.type == "word"]
    logprobs = [token.logprob for token in tokens if token.logprob is not None]
    mean = _confidence(sum(logprobs) / len(logprobs)) if logprobs else None
    return tuple(_word(token, offset_s, speakers) for token in tokens), mean


def _tokens(part: Part) -> Sequence[Token]:
    """Those with speakers, or else those with times."""
    diarized = part.extras.get(DIARIZED)
    if diarized is not None and diarized.words:
        return diarized.words
    return (part.details.words or ()) if part.details is not None else ()


def _word(token: Token, offset_s: float, speakers: Speakers) -> Word:
    start = _ms(token.start, offset_s)
    end = max(start, _ms(token.end, offset_s))
    confidence = None if token.logprob is None else _confidence(token.logprob)
    return Word(token.text, start, end, confidence, speakers.name(token.speaker_id))


def _ms(time_s: float | None, offset_s: float) -> int:
    return round(min(max((time_s or 0.0) - offset_s, 0.0), MAX_TIME_S) * 1000)


def _confidence(logprob: float) -> float:
    return round(math.exp(min(logprob, 0.0)), 3)


def _entities(parts: Sequence[Part]) -> tuple[Entity, ...] | None:
    """What was found, by its place in the whole text; None where the service has not said."""
    found: list[Entity] = []
    begin, said = 0, False
    for part in parts:
        extra = part.extras.get(ENTITIES)
        if extra is not None and extra.entities is not None:
            said = True
            found += _placed(extra, begin, len(part.text))
        begin += len(part.text) + 1  # the space between two parts
    return tuple(found) if said else None


def _placed(extra: Extra, begin: int, length: int) -> list[Entity]:
    entities = []
    for each in extra.entities or ():
        start = min(max(each.start_char, 0), length)
        end = min(max(each.end_char, start), length)
        entities.append(Entity(each.text, each.entity_type, begin + start, begin + end))
    return entities


def _text(part: Part, kind: str) -> str | None:
    extra = part.extras.get(kind)
    if extra is None:
        return None
    return extra.redacted_text if kind == REDACTED else extra.edited_text


def _joined(texts: Sequence[str | None]) -> str | None:
    """The whole text; None where a part of it is missing, which must not go unredacted for it."""
    present = [text for text in texts if text is not None]
    if not present or len(present) < len(texts):
        return None
    return " ".join(text for text in present if text)
