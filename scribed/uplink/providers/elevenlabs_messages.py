"""What ElevenLabs Scribe realtime says: its messages, its errors, and how it hangs up.

Facts and figures: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple, Optional

import msgspec

from scribed.errors import Remedy

MAX_JSON = 1 << 18
"""Characters of a message that is looked into: an answer to 28 s of fast speech is under 200 kB."""
MAX_TEXT = 20_000
"""Characters of text and words in one message, far more than can be said in 28 s."""
MAX_TOKENS = 1000
"""Elements of `words` in one message: three times what a fast speaker says in 28 s."""
MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's stream-safe text (UAX 15, 13): NFC sorts each run in a
time that grows with the square of its length."""
KINDS = frozenset(
    {
        "session_started",
        "partial_transcript",
        "final_transcript",
        "final_transcript_with_timestamps",
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

CLOSES = {
    1003: Refusal(Remedy.BACK_OFF, blames=True),  # a kind of message that it does not take
    1007: Refusal(Remedy.BACK_OFF, blames=True),  # not the encoding that it expects
    1008: Refusal(Remedy.REFUSED, "backend_down"),  # so it ends after "invalid_request"
    1009: Refusal(Remedy.BACK_OFF, blames=True),  # a message that is too big
    1013: Refusal(Remedy.COOL_DOWN),  # "try again later"
    3000: Refusal(Remedy.REFUSED, "auth_failed"),  # unauthorized
    3003: Refusal(Remedy.REFUSED, "auth_failed"),  # forbidden
}
"""Codes that say more than that the connection is over (RFC 6455 and IANA's registry)."""


def refusal_of_close(code: int | None, reason: str, *, busy: bool) -> Refusal:
    """What the end of the connection asks of us, where no error came before it.

    The service gives the type of an error as the reason of some closes, and 1000 with any of them.
    `busy`: something of ours was unanswered, or it never began; else it is an ordinary end, as
    the 1000 without a reason that ends an idle session.
    """
    if (named := REFUSALS.get(reason.strip())) is not None:
        return named
    if code in CLOSES:
        return CLOSES[code]
    return Refusal(Remedy.BACK_OFF if busy else Remedy.RECONNECT)


def told_by_upgrade(status: int, body: str) -> str:
    """What an upgrade refused with HTTP `status` comes to in words; pages are not repeated."""
    body = "" if body.lstrip().startswith("<") else body.strip()
    if status not in (200, 404):
        return f"HTTP {status} {body}".strip()
    said = f" ({body})" if body else ""
    return f"HTTP {status}{said}: no speech service answers there; correct provider.url"


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
    start: Optional[float] = None
    end: Optional[float] = None
    type: str = "word"
    logprob: Optional[float] = None
    speaker_id: Any = None


class Message(msgspec.Struct, gc=False):
    """Every field that is read, of whatever type of message; others are tolerated."""

    message_type: str = ""
    text: Optional[str] = None
    error: Optional[str] = None
    session_id: Optional[str] = None
    language_code: Optional[str] = None
    words: Optional[list[Token]] = None


class _Kind(msgspec.Struct):
    """What is left of a message that cannot be read."""

    message_type: str = ""


_DECODER = msgspec.json.Decoder(Message)
_KIND = msgspec.json.Decoder(_Kind)
DECODE_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeError)


UNREADABLE = "unreadable"
"""The type that a message is given of which nothing but its type can be read, and none is known."""


class Unreadable(Exception):
    """A message that may have been an answer, and is not taken for one.

    `blames`: it can be read, but nobody can have said so much.
    """

    def __init__(self, problem: str, *, blames: bool) -> None:
        super().__init__(problem)
        self.blames = blames


def read(message: str | bytes) -> Message:
    """The message, within the limits above; one of a type that nobody acts on may come out with
    the type `UNREADABLE`.

    Raises `Unreadable`, and nothing else whatever a peer sends.
    """
    kind, blames = "", True
    if len(message) > MAX_JSON:
        problem = f"a message of {len(message)} characters"
    else:
        try:
            m = _DECODER.decode(message)
        except DECODE_ERRORS as exc:
            problem, blames = f"a message that cannot be read: {exc}", False
        else:
            if not (problem := excess(m.words, m.text)):
                return m
            kind = m.message_type
    kind = kind or _kind(message)
    if kind in REFUSALS:
        return Message(kind)  # whatever it says, it is this error
    if kind and kind not in KINDS:
        return Message(UNREADABLE)
    raise Unreadable(problem, blames=blames)


def _kind(message: str | bytes) -> str:
    try:
        return _KIND.decode(message).message_type
    except DECODE_ERRORS:
        return ""


def excess(tokens: list[Token] | None, *texts: str | None) -> str:
    """What is more in words and texts than can have been said; "": nothing."""
    if len(tokens or ()) > MAX_TOKENS:
        return f"a text of {len(tokens or ())} words"
    said = [text or "" for text in texts]
    said += [token.text for token in tokens or ()]
    size = sum(map(len, said))
    if size > MAX_TEXT:
        return f"a text of {size} characters"
    if any(map(_is_piled_up, said)):
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
