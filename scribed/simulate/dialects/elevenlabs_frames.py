"""The JSON frames of the ElevenLabs realtime endpoint: a client's read, the service's written."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from scribed.simulate.dialects import elevenlabs_extras as extras
from scribed.simulate.dialects.elevenlabs_query import Parameters
from scribed.simulate.recognizers import Answer, Word

SPACE_LOGPROB = 0.0
DETECTED_LANGUAGE = "en"  # both recognisers are English, unless the client says otherwise


class InputError(Exception):
    """The service would refuse this message; `str()` is the text of its frame."""


class Chunk(NamedTuple):
    """An `input_audio_chunk`: `audio` as it was sent, in the session's `audio_format`."""

    audio: bytes
    commit: bool
    previous_text: str | None


def read_chunk(message: str | bytes) -> Chunk:
    """Read a client's message. Raises `InputError`.

    `sample_rate` and unknown fields are ignored, as the service ignores them.
    """
    if isinstance(message, bytes):
        raise InputError("Binary frames are not supported. Send JSON text frames.")
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InputError("The message is not valid JSON.") from error
    if not isinstance(fields, dict) or fields.get("message_type") != "input_audio_chunk":
        raise InputError("message_type must be input_audio_chunk.")
    commit, previous_text = fields.get("commit", False), fields.get("previous_text")
    if not isinstance(commit, bool):
        raise InputError("commit must be true or false.")
    if not isinstance(previous_text, (str, type(None))):
        raise InputError("previous_text must be a string or null.")
    return Chunk(_audio(fields.get("audio_base_64")), commit, previous_text)


def _audio(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        raise InputError("audio_base_64 must be a string; it may be empty.")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("audio_base_64 is not valid base64.") from error


def session_started(session_id: str, parameters: Parameters) -> str:
    return _frame("session_started", session_id=session_id, config=parameters.config())


def error(kind: str, text: str) -> str:
    return _frame(kind, error=text)


def warning(text: str) -> str:
    return _frame("warning", warning=text)


def partial(text: str) -> str:
    return _frame("partial_transcript", text=text)


def after_commit(
    answer: Answer,
    parameters: Parameters,
    *,
    start_s: float,
    segment: int,
    stamped_first: bool | None = None,
) -> list[str]:
    """Return the frames that answer a commit, in the service's order.

    `start_s` is where the segment, the session's `segment`th from 0, began, in seconds of audio
    sent on this connection: word times count from there. Language detection alone puts the frame
    with (no) timestamps first; `stamped_first` says otherwise.
    """
    text = answer.text
    index = {"segment_index": segment} if parameters.diarize else {}
    committed = _frame("committed_transcript", text=text, **index)
    frames = [committed]
    if parameters.include_timestamps or parameters.include_language_detection:
        detected = parameters.language_code or DETECTED_LANGUAGE
        stamped = _frame(
            "committed_transcript_with_timestamps",
            text=text,
            language_code=detected if parameters.include_language_detection else None,
            words=list(_words(answer, start_s)) if parameters.include_timestamps else None,
            **index,
        )
        if stamped_first is None:
            stamped_first = not parameters.include_timestamps
        frames = [stamped, committed] if stamped_first else [committed, stamped]
    return frames + list(_extras(text, parameters))


def _extras(text: str, parameters: Parameters) -> Iterator[str]:
    if parameters.entity_detection:
        found = [
            {
                "text": entity.text,
                "entity_type": entity.kind,
                "start_char": entity.start,
                "end_char": entity.end,
            }
            for entity in extras.entities(text, parameters.entity_detection)
        ]
        yield _frame("committed_transcript_entities", text=text, entities=found)
    if parameters.entity_redaction:
        hidden = extras.redacted(
            text, parameters.entity_redaction, parameters.entity_redaction_mode
        )
        yield _frame("redacted_transcript", text=text, redacted_text=hidden)
    if parameters.transcript_edit:
        edited = extras.edited(text, parameters.transcript_edit)
        yield _frame("edited_transcript", text=text, edited_text=edited)


def diarized(answer: Answer, *, start_s: float, segment: int, speaker: str) -> str:
    """Say who spoke in the `segment`th committed text."""
    words = [{**word, "speaker_id": speaker} for word in _words(answer, start_s)]
    return _frame("diarized_transcript", segment_index=segment, text=answer.text, words=words)


def speakers_merged(old: str, new: str) -> str:
    return _frame("speakers_merged", from_speaker_id=old, to_speaker_id=new)


def _words(answer: Answer, start_s: float) -> Iterator[dict[str, Any]]:
    """Yield words with the spaces between them: all `text` joined is the segment's text."""
    before: Word | None = None
    for word in answer.words:
        if before is not None:
            space = Word(" ", before.end_s, max(before.end_s, word.start_s), SPACE_LOGPROB)
            yield _word(space, start_s, "spacing")
        yield _word(word, start_s, "word")
        before = word


def _word(word: Word, start_s: float, kind: str) -> dict[str, Any]:
    start, length = start_s + word.start_s, word.end_s - word.start_s
    edges = [
        round(start + length * index / max(1, len(word.text)), 3)
        for index in range(len(word.text) + 1)
    ]
    return {
        "text": word.text,
        "start": edges[0],
        "end": edges[-1],
        "type": kind,
        "speaker_id": None,
        "logprob": round(word.logprob, 3),
        "characters": [
            {"text": text, "start": edges[index], "end": edges[index + 1]}
            for index, text in enumerate(word.text)
        ],
        "channel_index": None,
    }


def _frame(message_type: str, **fields: Any) -> str:
    return json.dumps({"message_type": message_type, **fields})
