"""ElevenLabs Scribe realtime with manual commits: one connection's protocol, sans I/O.

One utterance is one commit. The service answers commits in order (`pairing` tells whose an answer
is) with a `committed_transcript` and, where timestamps or language detection are on, a
`committed_transcript_with_timestamps`; together they are one `Committed`. A commit of the service's
own (it makes one when about 36 s of audio wait) becomes a part of the utterance that is being sent.

Facts and figures: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

import binascii
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import Committed, Failed, PartialText, Ready, Request, SessionEvent
from scribed.model import RATE, Answer, UtteranceId, pcm_bytes, seconds
from scribed.uplink.providers.elevenlabs_messages import (
    REFUSALS,
    Refusal,
    Unreadable,
    read,
    refusal_of_status,
    words,
)
from scribed.uplink.providers.pairing import Pairing, Pending

ENDPOINT = "wss://api.elevenlabs.io"
PATH = "/v1/speech-to-text/realtime"
MIN_COMMIT_BYTES = pcm_bytes(350)
"""The service ends a session that commits less than 0.3 s; a shorter one is padded with silence."""
MAX_CHUNK_BYTES = pcm_bytes(1000)
KEEPALIVE_S = 10.0
"""The service hangs up 15 s after the last message; pings do not count, an empty chunk does."""
MAX_REASON = 200


class ElevenLabsSession:
    """See `scribed.interfaces.Session`; manual commits, 16 kHz PCM."""

    def __init__(self, settings: ProviderSection, key: str) -> None:
        self.model: str = settings.elevenlabs.model_id
        self._settings, self._key = settings, key
        self._language = None if settings.language == "auto" else settings.language
        options = settings.elevenlabs
        self._pairing = Pairing(
            in_pairs=options.include_timestamps or options.include_language_detection
        )
        self._detects = options.include_language_detection
        self._chunk_bytes = pcm_bytes(settings.chunk_ms)
        self._ready = self._failed = False
        self._opened_at: float | None = None
        self._last_sent_at = 0.0
        self._sent_bytes = 0  # on this connection
        self._uncommitted = 0  # bytes since the last commit
        self._buffer = bytearray()
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
        refusal = refusal_of_status(status, may_retry=retry_after_s is not None)
        self._fail(refusal, f"HTTP {status} {body}".strip(), retry_after_s=retry_after_s)

    # Sending

    def start(self, id: UtteranceId, now: float) -> None:
        self._pairing.begin(id, seconds(self._sent_bytes + len(self._buffer)))

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
        self._pairing.end()

    def departed(self, id: UtteranceId, now: float) -> None:
        self._pairing.departed(id, now)

    def messages_to_send(self) -> list[str]:
        out, self._out = self._out, []
        return out

    # Receiving

    def receive(self, message: str | bytes, now: float) -> None:
        if self._failed:
            return
        try:
            m = read(message)
        except Unreadable as exc:
            self._fail(Refusal(Remedy.BACK_OFF, blames=exc.blames), str(exc))
            return
        match m.message_type:
            case "session_started":
                self._ready, self._last_sent_at = True, now
                self._events.append(Ready(self._printable(m.session_id or "")))
            case "partial_transcript" | "final_transcript":
                self._on_partial(m.text or "")
            case "committed_transcript":
                self._on_answer(self._pairing.text(m.text or "", now), now)
            case "committed_transcript_with_timestamps":
                self._on_answer(self._pairing.details(m, now), now)
            case kind if kind in REFUSALS:
                self._fail(REFUSALS[kind], f"{kind}: {m.error or ''}")
            case _:
                pass  # the service adds types every few weeks; the next one must not stop us

    def receive_close(self, code: int | None, reason: str) -> None:
        what = f"closed by the service ({code or 'without a code'}) {reason}".strip()
        if code == 1008:
            self._fail(Refusal(Remedy.REFUSED, "backend_down"), what)
        elif len(self._pairing) or not self._ready:
            self._fail(Refusal(Remedy.BACK_OFF), what)
        else:
            self._fail(Refusal(Remedy.RECONNECT), what)

    def events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    # Time

    def timer(self) -> float | None:
        if self._failed or self._opened_at is None:
            return None
        if not self._ready:
            return self._opened_at + self._settings.connect_timeout_s
        times = (self._last_sent_at + KEEPALIVE_S, self._pairing.take_at(), self._deadline())
        return min(time for time in times if time is not None)

    def handle_timer(self, now: float) -> None:
        if self._opened_at is None:
            self._opened_at = now
        if self._failed:
            return
        if not self._ready:
            limit = self._settings.connect_timeout_s
            if now >= self._opened_at + limit:
                self._fail(Refusal(Remedy.BACK_OFF), f"no session_started within {limit:g} s")
            return
        self._publish_answered(now)
        deadline = self._deadline()
        if deadline is not None and now >= deadline:
            waited = self._settings.answer_timeout_s
            reason = f"a commit was not answered within {waited:g} s"
            self._fail(Refusal(Remedy.RECONNECT), reason)
        elif now >= self._last_sent_at + KEEPALIVE_S:
            self._send_chunk(b"", now)

    # Internals

    def _deadline(self) -> float | None:
        """When to stop waiting for the next answer; None: none is owed, or it has not left yet."""
        since = self._pairing.owed_since()
        return None if since is None else since + self._settings.answer_timeout_s

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
        if (pending := self._pairing.partial(text)) is not None:
            self._events.append(PartialText(pending.id, " ".join([*pending.texts(), text])))

    def _on_answer(self, room: bool, now: float) -> None:
        if not room:
            self._fail(Refusal(Remedy.BACK_OFF, blames=True), "more answers than commits")
        self._publish_answered(now)

    def _publish_answered(self, now: float) -> None:
        while (pending := self._pairing.take(now)) is not None:
            self._events.append(Committed(pending.id, self._answer(pending)))

    def _answer(self, pending: Pending) -> Answer:
        details = pending.details()
        spoken, confidence = words(details, pending.offset_s)
        detected = details[-1].language_code if details and self._detects else None
        return Answer(
            text=" ".join(pending.texts()),
            words=spoken or None,
            language=detected or self._language,
            language_source="detected" if detected else "configured" if self._language else None,
            confidence=confidence,
        )

    def _fail(
        self,
        refusal: Refusal,
        reason: str,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        if self._failed:
            return
        self._failed = True
        pending = self._pairing.next()
        next_id = pending.id if pending is not None else None
        self._events.append(
            Failed(
                refusal.remedy,
                self._printable(reason),
                blamed=next_id if refusal.blames else None,
                alert=refusal.alert,
                retry_after_s=retry_after_s,
                overloaded=refusal.overloaded,
            )
        )

    def _printable(self, reason: str) -> str:
        """One short line that does not hold the key, whatever the peer sent."""
        reason = "".join(char if char.isprintable() else " " for char in reason)
        reason = " ".join(reason.split())
        for secret in (self._key, quote(self._key, safe="")):
            reason = reason.replace(secret, "***") if secret else reason
        return reason[:MAX_REASON]
