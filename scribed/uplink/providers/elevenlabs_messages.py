"""What ElevenLabs Scribe realtime says: its messages, its errors, and the words of an answer.

Facts and figures: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Optional

import msgspec

from scribed.errors import Remedy
from scribed.model import Word

MAX_JSON = 1 << 18
"""Characters of a message that is looked into: an answer to 28 s of fast speech is under 200 kB."""
MAX_TEXT = 20_000
"""Characters of text and words in one message, far more than can be said in 28 s."""
MAX_TOKENS = 1000
"""Elements of `words` in one message: three times what a fast speaker says in 28 s."""
MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's stream-safe text (UAX 15, 13): NFC sorts each run in a
time that grows with the square of its length."""
MAX_TIME_S = 1e6
"""No word is so late in an utterance; a number beyond it is not meant as a time."""

KINDS = frozenset(
    {
        "session_started",
        "partial_transcript",
        "final_transcript",
        "committed_transcript",
        "committed_transcript_with_timestamps",
    }
)
"""The messages that are acted on, beside the errors."""


class Refusal(NamedTuple):
    """What an error asks of us: the remedy, an alert, and who or what is the cause."""

    remedy: Remedy
    alert: str | None = None
    blames: bool = False  #: the utterance whose answer is next
    overloaded: bool = False


REFUSALS = {
    "auth_error": Refusal(Remedy.REFUSED, "auth_failed"),
    "unaccepted_terms": Refusal(Remedy.REFUSED, "auth_failed"),
    "quota_exceeded": Refusal(Remedy.REFUSED, "quota"),
    "invalid_request": Refusal(Remedy.REFUSED, "backend_down"),
    "input_error": Refusal(Remedy.BACK_OFF, blames=True),
    "chunk_size_exceeded": Refusal(Remedy.BACK_OFF, blames=True),
    "commit_throttled": Refusal(Remedy.BACK_OFF, blames=True),
    "transcriber_error": Refusal(Remedy.BACK_OFF, blames=True),
    "error": Refusal(Remedy.BACK_OFF),
    "queue_overflow": Refusal(Remedy.BACK_OFF, overloaded=True),
    "resource_exhausted": Refusal(Remedy.COOL_DOWN),
    "rate_limited": Refusal(Remedy.COOL_DOWN),
    "session_time_limit_exceeded": Refusal(Remedy.RECONNECT),
    "insufficient_audio_activity": Refusal(Remedy.RECONNECT),
}
"""By the type of the error; each ends the session."""


def refusal_of_status(status: int, *, may_retry: bool) -> Refusal:
    """What an upgrade refused with HTTP `status` asks of us; `may_retry`: it said when."""
    if status in (401, 403):
        return Refusal(Remedy.REFUSED, "auth_failed")
    if status == 402:
        return Refusal(Remedy.REFUSED, "quota")
    if status == 429 or (status >= 500 and may_retry):
        return Refusal(Remedy.COOL_DOWN)
    if status >= 500:
        return Refusal(Remedy.BACK_OFF)
    return Refusal(Remedy.REFUSED, "backend_down")


class Token(msgspec.Struct, gc=False):
    """One element of `words`: a word, the space between two, or an audio event."""

    text: str = ""
    start: Optional[float] = None  # noqa: UP045 -- msgspec evaluates it, also on 3.10
    end: Optional[float] = None  # noqa: UP045
    type: str = "word"
    logprob: Optional[float] = None  # noqa: UP045


class Message(msgspec.Struct, gc=False):
    """Every field that is read, of whatever type of message; others are tolerated."""

    message_type: str = ""
    text: Optional[str] = None  # noqa: UP045
    error: Optional[str] = None  # noqa: UP045
    session_id: Optional[str] = None  # noqa: UP045
    language_code: Optional[str] = None  # noqa: UP045
    words: Optional[list[Token]] = None  # noqa: UP045


class _Kind(msgspec.Struct):
    """What is left of a message that cannot be read."""

    message_type: str = ""


_DECODER = msgspec.json.Decoder(Message)
_KIND = msgspec.json.Decoder(_Kind)
_DECODE_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeError)


class Unreadable(Exception):
    """A message that may have been an answer, and is not taken for one.

    `blames`: it can be read, but nobody can have said so much.
    """

    def __init__(self, problem: str, *, blames: bool) -> None:
        super().__init__(problem)
        self.blames = blames


def read(message: str | bytes) -> Message:
    """The message, within the limits above; one of a type that nobody acts on may come out empty.

    Raises `Unreadable`, and nothing else whatever a peer sends.
    """
    kind, blames = "", True
    if len(message) > MAX_JSON:
        problem = f"a message of {len(message)} characters"
    else:
        try:
            m = _DECODER.decode(message)
        except _DECODE_ERRORS as exc:
            problem, blames = f"a message that cannot be read: {exc}", False
        else:
            if not (problem := _excess(m)):
                return m
            kind = m.message_type
    kind = kind or _kind(message)
    if kind in REFUSALS:
        return Message(kind)  # whatever it says, it is this error
    if kind and kind not in KINDS:
        return Message()
    raise Unreadable(problem, blames=blames)


def _kind(message: str | bytes) -> str:
    try:
        return _KIND.decode(message).message_type
    except _DECODE_ERRORS:
        return ""


def _excess(m: Message) -> str:
    """What is more in `m` than can have been said; "": nothing."""
    tokens = m.words or ()
    if len(tokens) > MAX_TOKENS:
        return f"a text of {len(tokens)} words"
    texts = [m.text or "", *(token.text for token in tokens)]
    size = sum(map(len, texts))
    if size > MAX_TEXT:
        return f"a text of {size} characters"
    if any(map(_is_piled_up, texts)):
        return f"a letter with more than {MAX_MARKS} marks"
    return ""


def _is_piled_up(text: str) -> bool:
    if text.isascii():
        return False
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > MAX_MARKS:
            return True
    return False


def words(messages: Sequence[Message], offset_s: float) -> tuple[tuple[Word, ...], float | None]:
    """The words of an answer and their mean confidence, None where it is unknown.

    Times in the messages count all audio of the connection; `offset_s` of it came before.
    """
    tokens = [token for m in messages for token in m.words or () if token.type == "word"]
    logprobs = [token.logprob for token in tokens if token.logprob is not None]
    mean = _confidence(sum(logprobs) / len(logprobs)) if logprobs else None
    return tuple(_word(token, offset_s) for token in tokens), mean


def _word(token: Token, offset_s: float) -> Word:
    start = _ms(token.start, offset_s)
    end = max(start, _ms(token.end, offset_s))
    confidence = None if token.logprob is None else _confidence(token.logprob)
    return Word(token.text, start, end, confidence)


def _ms(time_s: float | None, offset_s: float) -> int:
    return round(min(max((time_s or 0.0) - offset_s, 0.0), MAX_TIME_S) * 1000)


def _confidence(logprob: float) -> float:
    return round(math.exp(min(logprob, 0.0)), 3)
