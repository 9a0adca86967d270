"""ElevenLabs Scribe realtime with manual commits: one connection's protocol, sans I/O.

One utterance is one commit. The service answers commits in order and names none of them, so the
queue of pending commits *is* the identity of an answer. An answer is a `committed_transcript` (C)
and, where timestamps or language detection are on, a `committed_transcript_with_timestamps` (T)
with the same text, in either order; together they are one `Committed`. A commit of the service's
own (it makes one when about 36 s of audio wait) becomes a part of the utterance that is being sent.

Facts and figures: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

import binascii
import collections
import math
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import Committed, Failed, PartialText, Ready, Request, SessionEvent
from scribed.model import RATE, Answer, UtteranceId, Word, pcm_bytes, seconds

ENDPOINT = "wss://api.elevenlabs.io"
PATH = "/v1/speech-to-text/realtime"
MIN_COMMIT_BYTES = pcm_bytes(350)
"""The service ends a session that commits less than 0.3 s; a shorter one is padded with silence."""
MAX_CHUNK_BYTES = pcm_bytes(1000)
KEEPALIVE_S = 10.0
"""The service hangs up 15 s after the last message; pings do not count, an empty chunk does."""
PAIR_S = 0.05
"""How long to wait for the second half of an answer: T follows C after about 15 ms."""
MAX_REASON = 200
MAX_TEXT = 20_000
"""Characters of text and words in one message, far more than can be said in 28 s. Normalising may
take a time that grows with the square of the length: 80 000 characters took 5 s."""
MAX_PARTS = 32
"""Answers to one utterance: its own, and those to commits that the service made itself."""
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

REMEDIES: dict[str, tuple[Remedy, str | None, bool]] = {
    # error type: what to do, which alert, whether the utterance is to blame
    "auth_error": (Remedy.REFUSED, "auth_failed", False),
    "unaccepted_terms": (Remedy.REFUSED, "auth_failed", False),
    "quota_exceeded": (Remedy.REFUSED, "quota", False),
    "invalid_request": (Remedy.REFUSED, "backend_down", False),
    "input_error": (Remedy.BACK_OFF, None, True),
    "chunk_size_exceeded": (Remedy.BACK_OFF, None, True),
    "commit_throttled": (Remedy.BACK_OFF, None, True),
    "transcriber_error": (Remedy.BACK_OFF, None, True),
    "error": (Remedy.BACK_OFF, None, False),
    "queue_overflow": (Remedy.BACK_OFF, None, False),
    "resource_exhausted": (Remedy.COOL_DOWN, None, False),
    "rate_limited": (Remedy.COOL_DOWN, None, False),
    "session_time_limit_exceeded": (Remedy.RECONNECT, None, False),
    "insufficient_audio_activity": (Remedy.RECONNECT, None, False),
}


class _Token(msgspec.Struct):
    """One element of `words`: a word, the space between two, or an audio event."""

    text: str = ""
    start: Optional[float] = None  # noqa: UP045 -- msgspec evaluates it, also on 3.10
    end: Optional[float] = None  # noqa: UP045
    type: str = "word"
    logprob: Optional[float] = None  # noqa: UP045


class _Message(msgspec.Struct):
    """Every field that is read, of whatever type of message; others are tolerated."""

    message_type: str = ""
    text: Optional[str] = None  # noqa: UP045
    error: Optional[str] = None  # noqa: UP045
    session_id: Optional[str] = None  # noqa: UP045
    language_code: Optional[str] = None  # noqa: UP045
    words: Optional[list[_Token]] = None  # noqa: UP045


class _Kind(msgspec.Struct):
    """What is left of a message that cannot be read."""

    message_type: str = ""


_DECODER = msgspec.json.Decoder(_Message)
_KIND = msgspec.json.Decoder(_Kind)


@dataclass(slots=True)
class _Part:
    """One answer of the service: the text, and what came with it."""

    text: str
    since: float
    details: _Message | None = None


@dataclass(slots=True)
class _Pending:
    """An utterance that was begun on this connection."""

    id: UtteranceId
    offset_s: float  #: audio sent on this connection before it
    ended: bool = False
    answered: bool = False
    deadline: float | None = None  #: for the answer; set when the commit has left the machine
    parts: list[_Part] = field(default_factory=list)

    def due(self) -> float:
        """When to stop waiting for what is missing of its answer."""
        since = (part.since for part in self.parts if part.details is None)
        return max(since, default=float("-inf")) + PAIR_S


class ElevenLabsSession:
    """See `scribed.interfaces.Session`; manual commits, 16 kHz PCM."""

    def __init__(self, settings: ProviderSection, key: str) -> None:
        self.model: str = settings.elevenlabs.model_id
        self._settings, self._key = settings, key
        self._language = None if settings.language == "auto" else settings.language
        options = settings.elevenlabs
        self._pairs = options.include_timestamps or options.include_language_detection
        self._detects = options.include_language_detection
        self._chunk_bytes = pcm_bytes(settings.chunk_ms)
        self._ready = self._failed = False
        self._opened_at: float | None = None
        self._last_sent_at = 0.0
        self._sent_bytes = 0  # on this connection
        self._uncommitted = 0  # bytes since the last commit
        self._buffer = bytearray()
        self._pending: collections.deque[_Pending] = collections.deque()
        self._early: collections.deque[str] = collections.deque(maxlen=8)  # T that came before C
        self._late: collections.deque[str] = collections.deque(maxlen=8)  # C published without T
        self._last_partial = self._last_committed = ""
        self._out: list[str] = []
        self._events: list[SessionEvent] = []

    # Connecting

    def request(self) -> Request:
        parts = urlsplit(self._settings.url or ENDPOINT)
        options = self._settings.elevenlabs
        query: dict[str, Any] = {
            "model_id": options.model_id,
            "audio_format": f"pcm_{RATE}",
            "commit_strategy": "manual",
        }
        if self._language:
            query["language_code"] = self._language
        for name in ("include_timestamps", "include_language_detection"):
            if getattr(options, name):
                query[name] = "true"
        path = parts.path if parts.path.strip("/") else PATH
        url = urlunsplit((parts.scheme, parts.netloc, path, urlencode(query), ""))
        return Request(url, {"xi-api-key": self._key})

    def refused(self, status: int, body: str, retry_after_s: float | None) -> None:
        reason = f"HTTP {status} {body}".strip()
        if status in (401, 403):
            self._fail(Remedy.REFUSED, reason, alert="auth_failed")
        elif status == 402:
            self._fail(Remedy.REFUSED, reason, alert="quota")
        elif status == 429 or (status >= 500 and retry_after_s is not None):
            self._fail(Remedy.COOL_DOWN, reason, retry_after_s=retry_after_s)
        elif status >= 500:
            self._fail(Remedy.BACK_OFF, reason)
        else:
            self._fail(Remedy.REFUSED, reason, alert="backend_down")

    # Sending

    def start(self, id: UtteranceId, now: float) -> None:
        self._pending.append(_Pending(id, seconds(self._sent_bytes + len(self._buffer))))

    def audio(self, pcm: bytes, now: float) -> None:
        self._buffer += pcm
        while len(self._buffer) >= self._chunk_bytes:
            size = min(len(self._buffer) // self._chunk_bytes * self._chunk_bytes, MAX_CHUNK_BYTES)
            self._send_chunk(bytes(self._buffer[:size]), now)
            del self._buffer[:size]

    def end(self, now: float) -> None:
        short = MIN_COMMIT_BYTES - self._uncommitted - len(self._buffer)
        self._send_chunk(bytes(self._buffer) + bytes(max(0, short)), now, commit=True)
        self._buffer.clear()
        self._uncommitted = 0
        self._pending[-1].ended = True

    def departed(self, now: float) -> None:
        for pending in self._pending:
            if pending.ended and pending.deadline is None:
                pending.deadline = now + self._settings.answer_timeout_s

    def messages_to_send(self) -> list[str]:
        out, self._out = self._out, []
        return out

    # Receiving

    def receive(self, message: str | bytes, now: float) -> None:
        if self._failed:
            return
        m = self._decoded(message)
        match m.message_type:
            case "session_started":
                self._ready, self._last_sent_at = True, now
                self._events.append(Ready(self._printable(m.session_id or "")))
            case "partial_transcript" | "final_transcript":
                self._on_partial(m.text or "")
            case "committed_transcript":
                self._on_committed(m.text or "", now)
            case "committed_transcript_with_timestamps":
                self._on_details(m, now)
            case kind if kind in REMEDIES:
                remedy, alert, blame = REMEDIES[kind]
                self._fail(remedy, f"{kind}: {m.error or ''}", alert=alert, blame=blame)
            case _:
                pass  # the service adds types every few weeks; the next one must not stop us

    def _decoded(self, message: str | bytes) -> _Message:
        """The message; an unreadable one fails the session, unless its type is none of ours."""
        try:
            m = _DECODER.decode(message)
        except (msgspec.DecodeError, RecursionError) as exc:
            problem = str(exc)
        else:
            size = len(m.text or "") + sum(len(token.text) for token in m.words or ())
            if size <= MAX_TEXT:
                return m
            self._fail(Remedy.BACK_OFF, f"a text of {size} characters", blame=True)
            return _Message()
        try:
            kind = _KIND.decode(message).message_type
        except (msgspec.DecodeError, RecursionError):
            kind = ""
        if kind in REMEDIES:
            return _Message(kind)  # whatever it says, it is this error
        if not kind or kind in KINDS:
            self._fail(Remedy.BACK_OFF, f"a message that cannot be read: {problem}")
        return _Message()

    def receive_close(self, code: int | None, reason: str) -> None:
        what = f"closed by the service ({code or 'without a code'}) {reason}".strip()
        if code == 1008:
            self._fail(Remedy.REFUSED, what, alert="backend_down")
        elif self._pending or not self._ready:
            self._fail(Remedy.BACK_OFF, what)
        else:
            self._fail(Remedy.RECONNECT, what)

    def events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    # Time

    def timer(self) -> float | None:
        if self._failed or self._opened_at is None:
            return None
        if not self._ready:
            return self._opened_at + self._settings.connect_timeout_s
        times = [self._last_sent_at + KEEPALIVE_S]
        if self._pending and self._pending[0].answered:
            times.append(self._pending[0].due())
        waiting = (p.deadline for p in self._pending if not p.answered)
        return min([*times, *(deadline for deadline in waiting if deadline is not None)])

    def handle_timer(self, now: float) -> None:
        if self._opened_at is None:
            self._opened_at = now
        if self._failed:
            return
        if not self._ready:
            limit = self._settings.connect_timeout_s
            if now >= self._opened_at + limit:
                self._fail(Remedy.BACK_OFF, f"no session_started within {limit:g} s")
            return
        self._publish_answered(now)
        deadlines = [p.deadline for p in self._pending if not p.answered]
        if any(deadline is not None and now >= deadline for deadline in deadlines):
            waited = self._settings.answer_timeout_s
            self._fail(Remedy.RECONNECT, f"a commit was not answered within {waited:g} s")
        elif now >= self._last_sent_at + KEEPALIVE_S:
            self._send_chunk(b"", now)

    # Internals

    def _send_chunk(self, pcm: bytes, now: float, *, commit: bool = False) -> None:
        # Written by hand: base64 needs no escaping, and this is the hot path.
        audio = binascii.b2a_base64(pcm, newline=False).decode("ascii")
        flag = "true" if commit else "false"
        self._out.append(
            f'{{"message_type":"input_audio_chunk","audio_base_64":"{audio}",'
            f'"commit":{flag},"sample_rate":{RATE}}}'
        )
        self._sent_bytes += len(pcm)
        self._uncommitted += len(pcm)
        self._last_sent_at = now

    def _on_partial(self, text: str) -> None:
        """All text of the open segment; repeats, and the echo of the last answer, are noise."""
        target = next((p for p in self._pending if not p.answered), None)
        if target is None or not text or text in (self._last_partial, self._last_committed):
            return
        self._last_partial = text
        earlier = [part.text for part in target.parts if part.text]
        self._events.append(PartialText(target.id, " ".join([*earlier, text])))

    def _on_committed(self, text: str, now: float) -> None:
        if text in self._early:  # its timestamps came before it, and it was published with them
            while self._early.popleft() != text:
                pass  # answers come in order: no text will come for these any more
            return
        self._add_part(_Part(text, now), now)

    def _on_details(self, m: _Message, now: float) -> None:
        text = m.text or ""
        for pending in self._pending:
            for part in pending.parts:
                if part.details is None and part.text == text:
                    part.details = m
                    self._publish_answered(now)
                    return
        if text in self._late:
            self._late.remove(text)  # the utterance was published without them
            return
        self._early.append(text)
        self._add_part(_Part(text, now, m), now)

    def _add_part(self, part: _Part, now: float) -> None:
        self._last_committed, self._last_partial = part.text, ""
        for pending in self._pending:
            if not pending.answered:
                if len(pending.parts) == MAX_PARTS:
                    self._fail(Remedy.BACK_OFF, "more answers than commits", blame=True)
                    return
                pending.parts.append(part)
                pending.answered = pending.ended
                self._publish_answered(now)
                return

    def _publish_answered(self, now: float) -> None:
        """Publish what has its answer, in order, whole or after waiting `PAIR_S` for the rest."""
        while self._pending and self._pending[0].answered:
            pending = self._pending[0]
            if self._pairs and now < pending.due():
                return
            self._late.extend(part.text for part in pending.parts if part.details is None)
            self._pending.popleft()
            self._events.append(Committed(pending.id, self._answer(pending)))

    def _answer(self, pending: _Pending) -> Answer:
        texts = [part.text for part in pending.parts if part.text]
        details = [part.details for part in pending.parts if part.details is not None]
        tokens = [token for m in details for token in m.words or () if token.type == "word"]
        detected = details[-1].language_code if details and self._detects else None
        logprobs = [token.logprob for token in tokens if token.logprob is not None]
        return Answer(
            text=" ".join(texts),
            words=tuple(_word(t, pending.offset_s) for t in tokens) if tokens else None,
            language=detected or self._language,
            language_source="detected" if detected else "configured" if self._language else None,
            confidence=_confidence(sum(logprobs) / len(logprobs)) if logprobs else None,
        )

    def _fail(
        self,
        remedy: Remedy,
        reason: str,
        *,
        alert: str | None = None,
        blame: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        if self._failed:
            return
        self._failed = True
        guilty = next((p.id for p in self._pending if not p.answered), None) if blame else None
        self._events.append(Failed(remedy, self._printable(reason), guilty, alert, retry_after_s))

    def _printable(self, reason: str) -> str:
        """One short line that does not hold the key, whatever the peer sent."""
        reason = "".join(char if char.isprintable() else " " for char in reason)
        reason = " ".join(reason.split())
        for secret in (self._key, quote(self._key, safe="")):
            reason = reason.replace(secret, "***") if secret else reason
        return reason[:MAX_REASON]


def _word(token: _Token, offset_s: float) -> Word:
    start = _ms(token.start, offset_s)
    end = max(start, _ms(token.end, offset_s))
    confidence = None if token.logprob is None else _confidence(token.logprob)
    return Word(token.text, start, end, confidence)


def _ms(time_s: float | None, offset_s: float) -> int:
    return round(min(max((time_s or 0.0) - offset_s, 0.0), MAX_TIME_S) * 1000)


def _confidence(logprob: float) -> float:
    return round(math.exp(min(logprob, 0.0)), 3)
