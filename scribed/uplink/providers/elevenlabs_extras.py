"""What ElevenLabs sends beside texts: what follows a committed text, speakers, warnings, the echo.

None of it is an answer: what cannot be read is left out, and ends nothing. Every field is looked
for in the messages that have it only, so that a strange one in another message harms nobody.
"""

from __future__ import annotations

import re
from typing import Any, Optional

import msgspec

from scribed.config import ElevenLabs
from scribed.uplink.providers.elevenlabs_messages import DECODE_ERRORS, MAX_JSON, Token, excess

ENTITIES = "committed_transcript_entities"
REDACTED = "redacted_transcript"
EDITED = "edited_transcript"
DIARIZED = "diarized_transcript"
FOLLOWING = frozenset({ENTITIES, REDACTED, EDITED, DIARIZED})
"""Messages that follow a committed text where they were asked for, and repeat its `text`."""

MAX_ENTITIES = 1000
MAX_NAME = 64
"""Characters of the name of a speaker or of a type of entity."""
MAX_MERGES = 256
_LOGGING = re.compile("retention|zrm|logging|logged", re.IGNORECASE)


class Found(msgspec.Struct, gc=False):
    """One of `entities`; characters count from the beginning of the text."""

    text: str = ""
    entity_type: str = ""
    start_char: int = 0
    end_char: int = 0


class Extra(msgspec.Struct):
    """Every field of the messages above; which are there depends on the type."""

    text: Optional[str] = None
    entities: Optional[list[Found]] = None
    redacted_text: Optional[str] = None
    edited_text: Optional[str] = None
    words: Optional[list[Token]] = None
    warning: Optional[str] = None
    from_speaker_id: Optional[str] = None
    to_speaker_id: Optional[str] = None


class _Started(msgspec.Struct):
    config: Any = None


_EXTRA = msgspec.json.Decoder(Extra)
_STARTED = msgspec.json.Decoder(_Started)


def wanted(options: ElevenLabs) -> frozenset[str]:
    """The types of message that follow each committed text, as asked for."""
    asked = {
        ENTITIES: options.entity_detection,
        REDACTED: options.entity_redaction,
        EDITED: options.transcript_edit,
        DIARIZED: options.diarize,
    }
    return frozenset(kind for kind, value in asked.items() if value)


def read_extra(message: str | bytes) -> Extra | None:
    """One of the messages above, of bounded size; None where it cannot be read. Never raises."""
    if len(message) > MAX_JSON:
        return None
    try:
        extra = _EXTRA.decode(message)
    except DECODE_ERRORS:
        return None
    found = extra.entities or ()
    names = [each.entity_type for each in found]
    texts = [each.text for each in found]
    if len(found) > MAX_ENTITIES or any(len(name) > MAX_NAME for name in names):
        return None
    said = (extra.text, extra.redacted_text, extra.edited_text, *texts)
    return None if excess(extra.words, *said) else extra


def read_config(message: str | bytes) -> dict[str, Any]:
    """`config` of `session_started`, as far as it can be read. Never raises."""
    try:
        config = _STARTED.decode(message).config
    except DECODE_ERRORS:
        return {}
    return config if isinstance(config, dict) else {}


def is_about_logging(warning: str) -> bool:
    """Whether the service says that it keeps what it was asked not to keep."""
    return _LOGGING.search(warning) is not None


class Speakers:
    """The names of the speakers of one connection: the service may find that two are one."""

    def __init__(self) -> None:
        self._merged: dict[str, str] = {}

    def merge(self, old: str, new: str) -> None:
        """Who was called `old` is `new`, which is never called `old` again."""
        new = self._last(new)
        if old and new and old != new and len(self._merged) < MAX_MERGES:
            self._merged[old] = new

    def name(self, id: object) -> str | None:
        """Who is meant, whatever the service sent; None: nobody."""
        if not isinstance(id, str) or not 0 < len(id) <= MAX_NAME or not id.isprintable():
            return None
        return self._last(id)

    def _last(self, name: str) -> str:
        for _ in range(len(self._merged)):
            if name not in self._merged:
                break
            name = self._merged[name]
        return name
