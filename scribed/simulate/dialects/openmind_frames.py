"""The messages of OpenMind's proxy: a client's read, the service's written."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from scribed.simulate.endpointing import Edge

HEADER = struct.Struct(">I")  # before the JSON header of a binary message: its length in bytes

NO_AUDIO = "Invalid message format: 'audio' field missing"
HALF_A_SAMPLE = "Failed to decode audio: it does not consist of whole 16-bit samples"

# ElevenLabs' names of what another connection would not mend: close 1008, which OM1's client takes
# for "never again".
PERMANENT = ("auth_error", "quota_exceeded", "unaccepted_terms")
RESTARTED = "Recognition session restarted"
AUDIO_TIMEOUT = (
    "400 Audio Timeout Error: Long duration elapsed without audio. Audio should be sent close to "
    "real time."
)
EVENTS = {
    Edge.SPEECH: ("speech_start", "Speech activity detected"),
    Edge.PAUSE: ("speech_end", "Speech activity ended"),
    Edge.END: ("end_of_utterance", "End of utterance"),
}


class InputError(Exception):
    """The proxy would not take this message; `str()` is the text of its error."""


class Chunk(NamedTuple):
    """A client's message: s16le mono, and what it says of it."""

    audio: bytes
    fields: Mapping[str, Any]


def read_chunk(message: str | bytes, *, raw: bool = False) -> Chunk:
    """Read a message, JSON with base64 or binary with a header. Raises `InputError`.

    With `raw` a binary message is audio from its first byte. One without audio is refused, on
    every route: Google's recognition ends over it.
    """
    if isinstance(message, str):
        chunk = _text(message)
    else:
        chunk = Chunk(message, {}) if raw else _binary(message)
    if not chunk.audio:
        raise InputError(NO_AUDIO)
    if len(chunk.audio) % 2:
        raise InputError(HALF_A_SAMPLE)
    return chunk


def _text(message: str) -> Chunk:
    fields = _object(message)
    if "audio" not in fields:
        raise InputError(NO_AUDIO)
    encoded = fields["audio"]
    if not isinstance(encoded, str):
        raise InputError("Failed to decode audio: it is not a string")
    try:
        return Chunk(base64.b64decode(encoded, validate=True), fields)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"Failed to decode audio: {error}") from error


def _binary(message: bytes) -> Chunk:
    if len(message) < HEADER.size:
        raise InputError("Invalid message format: a binary message begins with its header's length")
    (length,) = HEADER.unpack_from(message)
    end = HEADER.size + length
    if end > len(message):
        raise InputError(
            f"Invalid message format: the header has {length} bytes, the message {len(message)}"
        )
    try:
        header = message[HEADER.size : end].decode()
    except UnicodeDecodeError as error:
        raise InputError("Invalid message format: the header is not UTF-8") from error
    return Chunk(message[end:], _object(header))


def _object(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Invalid message format: {error}") from error
    if not isinstance(fields, dict):
        raise InputError("Invalid message format: not a JSON object")
    return fields


def told(kind: str, text: str, client_id: str) -> str:
    """Write a `connection`, an `info`, an `error` or an event: `text` is for people."""
    return json.dumps({"type": kind, "message": text, "clientId": client_id})


def transcript(kind: str | None, text: str, **rest: Any) -> str:
    """Write a transcript: a partial, or a final in the spelling that `kind` says."""
    fields = {} if kind is None else {"type": kind}
    # As Node writes it: speech is not ASCII.
    return json.dumps({**fields, "asr_reply": text, **rest}, ensure_ascii=False)
