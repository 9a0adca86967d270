"""Hermes, the protocol of Snips and Rhasspy: what is heard in its words, and what it may ask. Pure.

Fields and topics are those of rhasspy-hermes 0.6; `partialTextCaptured` and `vadUp`, `vadDown` are
Snips'. Hermes has no word for a caution: what has one is no `textCaptured`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scribed.delivery.events import Asked, Heard
from scribed.delivery.schemas import Transcript
from scribed.model import Identity, UtteranceId, Word
from scribed.text import norm

TOGGLE_ON, TOGGLE_OFF = "hermes/asr/toggleOn", "hermes/asr/toggleOff"
START, STOP = "hermes/asr/startListening", "hermes/asr/stopListening"
ANY_SITE = "default"
"""The site that is meant where a message names none."""
TRUSTED = 1.0
"""`likelihood` and `confidence` where the service gives none: 0 would read as no trust at all."""
REASON_CHARS = 64


class _Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all payloads."""


class Span(_Camel, frozen=True):
    start: float  #: seconds from the utterance's beginning
    end: float


class Token(_Camel, frozen=True):
    value: str
    confidence: float
    range_start: int  #: in characters of `text`
    range_end: int
    time: Span


class TextCaptured(_Camel, frozen=True):
    """Of a final and of a partial."""

    text: str
    likelihood: float
    seconds: float  #: what hearing it took, not how long it is
    site_id: str
    session_id: str
    wakeword_id: str | None
    asr_tokens: list[list[Token]] | None
    lang: str | None


class VoiceActivity(_Camel, frozen=True):
    site_id: str
    session_id: str


_encode = msgspec.json.Encoder().encode
Said = tuple[str, bytes]
"""A topic and a payload."""


class Hermes:
    """One site. `site` is `mqtt.hermes_site`; without it robot and source name it."""

    def __init__(self, identity: Identity, site: str = "") -> None:
        self._site = site or f"{identity.robot}-{identity.source}"
        self._session: str | None = None  # of the last startListening
        self._wakeword: str | None = None
        self._off: dict[str, None] = {}  # the reasons that hold, but for ""

    # What it is told

    def text(self, said: Transcript) -> Said:
        """A committed text that a machine may act on, in its normal form: without punctuation."""
        return "hermes/asr/textCaptured", _encode(self._captured(said))

    def partial(self, said: Transcript) -> Said:
        """A text that may still change."""
        return "hermes/asr/partialTextCaptured", _encode(self._captured(said))

    def speech(self, utterance: UtteranceId, *, active: bool) -> Said:
        """Somebody starts or stops speaking."""
        verb = "vadUp" if active else "vadDown"
        session = self._session or utterance
        payload = VoiceActivity(site_id=self._site, session_id=session)
        return f"hermes/voiceActivity/{self._site}/{verb}", _encode(payload)

    def _captured(self, said: Transcript) -> TextCaptured:
        spent_ms = said.latency.end_to_publish_ms
        text = norm(said.text) or said.text
        return TextCaptured(
            text=text,
            likelihood=TRUSTED if said.confidence is None else said.confidence,
            seconds=0.0 if spent_ms is None else spent_ms / 1000,
            site_id=self._site,
            session_id=self._session or said.utterance_id,
            wakeword_id=self._wakeword,
            asr_tokens=_tokens(said.words, text),
            lang=said.language,
        )

    # What it asks

    def asked(self, heard: Heard) -> list[Asked]:
        """The commands that `heard` stands for; none where another site is meant.

        What cannot be read is handed on as it is: its reply says what is wrong with it.
        """
        said = _decoded(heard.payload)
        if said is None:
            name = "listen" if heard.topic in (START, STOP) else "robot_speaking"
            return [Asked(name, heard.payload, heard.retained)]
        if said.get("siteId", ANY_SITE) != self._site:
            return []
        match heard.topic:
            case "hermes/asr/toggleOff":
                orders = self._toggle(_reason(said), heard, on=False)
            case "hermes/asr/toggleOn":
                orders = self._toggle(_reason(said), heard, on=True)
            case "hermes/asr/startListening":
                orders = [self._listen(said, heard)]
            case _:
                orders = [self._stop(heard)]
        return [
            Asked(cmd, _encode({**arguments, "req": heard.topic}), heard.retained)
            for cmd, arguments in orders
        ]

    def _toggle(self, reason: str, heard: Heard, *, on: bool) -> list[tuple[str, dict[str, Any]]]:
        """A reason that names what goes on ends by itself, as `echo.max_s` has it; "" is a mute.

        As Rhasspy has it, each reason counts by itself, and "" turns on whatever holds.
        """
        if not reason:
            over = [_speaking(held, on=False) for held in self._off] if on else []
            if on and not heard.retained:
                self._off.clear()
            return [("mute", {"on": not on}), *over]
        if on:
            self._off.pop(reason, None)
        elif not heard.retained:
            self._off[reason] = None
            while len(self._off) > REASONS:
                del self._off[next(iter(self._off))]
        return [_speaking(reason, on=not on)]

    def _listen(self, said: dict[str, Any], heard: Heard) -> tuple[str, dict[str, Any]]:
        if not heard.retained:
            self._session, self._wakeword = _word(said, "sessionId"), _word(said, "wakewordId")
        return "listen", {}

    def _stop(self, heard: Heard) -> tuple[str, dict[str, Any]]:
        if not heard.retained:
            self._session = self._wakeword = None
        return "listen", {"ttl_ms": 0}


REASONS = 16
"""So many reasons are remembered at once, to be ended together; Rhasspy knows three."""


def _speaking(reason: str, *, on: bool) -> tuple[str, dict[str, Any]]:
    return "robot_speaking", {"on": on, "id": f"hermes-{reason}"}


def _decoded(payload: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _word(said: dict[str, Any], field: str) -> str | None:
    value = said.get(field)
    return value[:REASON_CHARS] if isinstance(value, str) and value else None


def _reason(said: dict[str, Any]) -> str:
    return _word(said, "reason") or ""


def _tokens(words: tuple[Word, ...] | None, text: str) -> list[list[Token]] | None:
    """The words with their places in `text`; None where they are not known to make it up."""
    tokens, at = [], 0
    for word in words or ():
        value = norm(word.text)
        if not value:
            continue
        trust = TRUSTED if word.confidence is None else word.confidence
        span = Span(start=word.start_ms / 1000, end=word.end_ms / 1000)
        end = at + len(value)
        tokens.append(
            Token(value=value, confidence=trust, range_start=at, range_end=end, time=span)
        )
        at = end + 1
    whole = " ".join(token.value for token in tokens)
    return [tokens] if tokens and whole == text else None
