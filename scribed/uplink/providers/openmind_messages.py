"""What OpenMind's proxy says, on any of its routes: its messages, within the limits of what can be
said.

Facts: OpenMind's API reference and OM1's clients of 2026. The reference has finals without a type,
the clients know none but those of the type "committed": both are finals here.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple, Optional

import msgspec

from scribed.uplink.providers.elevenlabs_messages import (
    DECODE_ERRORS,
    MAX_JSON,
    Unreadable,
    excess,
)

MAX_SEARCHED = 2000
"""Characters of what is told to humans that are searched for words."""


class Kind(enum.Enum):
    """What a message is, whatever its spelling."""

    CONNECTION = enum.auto()
    PARTIAL = enum.auto()
    FINAL = enum.auto()
    INFO = enum.auto()
    RESTART = enum.auto()  # an `info` that says that recognition begins anew
    ACTIVITY = enum.auto()  # of the service's own VAD, which counts for nothing here
    ERROR = enum.auto()  # it may go on
    REFUSAL = enum.auto()  # an error of the proxy itself: it does not
    UNKNOWN = enum.auto()


_KINDS = {
    "connection": Kind.CONNECTION,
    "partial": Kind.PARTIAL,
    "info": Kind.INFO,
    "error": Kind.ERROR,
    "speech_start": Kind.ACTIVITY,
    "speech_end": Kind.ACTIVITY,
    "end_of_utterance": Kind.ACTIVITY,
}
_FINALS = ("", "committed", "final")
_TEXTS = (Kind.PARTIAL, Kind.FINAL)


class Message(NamedTuple):
    """One message; `text` is what was heard, or else what is told to humans."""

    kind: Kind
    text: str = ""
    client_id: str = ""
    type: str = ""  #: as it was spelled


class _Fields(msgspec.Struct, gc=False):
    """Every field that is read; the others, as `time` of the server's clock, are tolerated."""

    type: Optional[str] = None
    asr_reply: Optional[str] = None
    message: Optional[str] = None
    error: Optional[str] = None
    clientId: Optional[str] = None  # noqa: N815 -- the wire's name


class _Type(msgspec.Struct):
    """What is left of a message that cannot be read."""

    type: Optional[str] = None


_DECODER = msgspec.json.Decoder(_Fields)
_TYPE = msgspec.json.Decoder(_Type)


def read(message: str | bytes) -> Message:
    """The message, if it is not longer than `MAX_JSON` and its text is such as can be said.

    Raises `Unreadable`, and nothing else whatever a peer sends.
    """
    if len(message) > MAX_JSON:
        return _unless_text(message, f"a message of {len(message)} characters", blames=True)
    try:
        fields = _DECODER.decode(message)
    except DECODE_ERRORS as exc:
        return _unless_text(message, f"a message that cannot be read: {exc}", blames=False)
    m = _message(fields)
    if m.kind in _TEXTS and (problem := excess(None, m.text)):
        raise Unreadable(problem, blames=True)
    return m


def _message(fields: _Fields) -> Message:
    type_, client_id = fields.type or "", fields.clientId or ""
    kind = _KINDS.get(type_, Kind.UNKNOWN)
    if kind is Kind.PARTIAL or (type_ in _FINALS and fields.asr_reply is not None):
        kind = Kind.PARTIAL if kind is Kind.PARTIAL else Kind.FINAL
        return Message(kind, fields.asr_reply or "", client_id, type_)
    text = fields.message or fields.error or ""
    if kind is Kind.UNKNOWN and not type_ and fields.error is not None:
        kind = Kind.REFUSAL
    elif kind is Kind.INFO and re.search("restart", text[:MAX_SEARCHED], re.IGNORECASE):
        kind = Kind.RESTART
    return Message(kind, text, client_id, type_)


def _unless_text(message: str | bytes, problem: str, *, blames: bool) -> Message:
    """What cannot be read may have been a text, unless its type says that it was not."""
    try:
        type_ = _TYPE.decode(message).type or ""
    except DECODE_ERRORS:
        type_ = ""
    kind = _KINDS.get(type_, Kind.UNKNOWN)
    if type_ in _FINALS or kind is Kind.PARTIAL:
        raise Unreadable(problem, blames=blames)
    return Message(kind, problem, type=type_)


def said_by_upgrade(body: str) -> str:
    """What the body of a refused upgrade says: its `error` where it is JSON as documented."""
    try:
        fields = _DECODER.decode(body) if len(body) <= MAX_JSON else _Fields()
    except DECODE_ERRORS:
        return body
    return fields.error or fields.message or body
