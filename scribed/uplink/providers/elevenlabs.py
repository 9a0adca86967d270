"""ElevenLabs Scribe realtime: one connection's protocol, sans I/O.

With `commit_strategy = "manual"` one utterance is one commit, or one more for each pause in which
its text was asked for early. The service answers commits in order (`pairing` tells whose an answer
is) with a `committed_transcript` and, where timestamps or language detection are on, a
`committed_transcript_with_timestamps`; together, with the extras that were asked for, they are one
`Committed`. A commit of the service's own (it makes one when about 36 s of audio wait) becomes a
part of the utterance that is being sent.

With "vad" and "turn_prediction" all commits are the service's own: behind an utterance goes enough
silence for one, and where none comes we commit after all. The next utterance is held back until one
of the two is done, so that no commit has words of both.

Facts and figures: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import (
    Committed,
    EarlyText,
    Failed,
    PartialText,
    Ready,
    Request,
    SessionEvent,
)
from scribed.model import UtteranceId, pcm_bytes, seconds
from scribed.uplink.providers.elevenlabs_answers import answer
from scribed.uplink.providers.elevenlabs_chunks import Chunks
from scribed.uplink.providers.elevenlabs_extras import (
    FOLLOWING,
    Speakers,
    is_about_logging,
    read_config,
    read_extra,
    wanted,
)
from scribed.uplink.providers.elevenlabs_messages import (
    REFUSALS,
    Message,
    Refusal,
    Unreadable,
    read,
    refusal_of_close,
    refusal_of_status,
    told_by_upgrade,
)
from scribed.uplink.providers.elevenlabs_query import differences, language, url
from scribed.uplink.providers.elevenlabs_remarks import MAX_TYPE, Remarks, printable
from scribed.uplink.providers.pairing import Pairing

KEEPALIVE_S = 10.0
"""The service hangs up 15 s after the last message; pings do not count, an empty chunk does."""
COMMIT_GAP_S = 1.0
"""Many commits in a short time harm the text, says the service: a pause so soon gets none."""
SPARE_SILENCE_S = 0.5
"""Silence sent beyond what makes the service commit."""
OVERDUE_S = 1.0
"""A commit of the service's that is so late is made by us."""
UNSAID_S = 0.25
"""The same where all that is known to have been said was committed before the end."""


class ElevenLabsSession:
    """See `scribed.interfaces.Session`; 16 kHz PCM.

    `token`: goes into the URL instead of the key into a header. `previous_text`: what was said just
    before, for the service to understand the first words in its light.
    """

    def __init__(
        self, settings: ProviderSection, key: str, *, token: str = "", previous_text: str = ""
    ) -> None:
        options = settings.elevenlabs
        self.model: str = options.model_id
        self.max_rate: float | None = None
        self._settings, self._key, self._token = settings, key, token
        self._language = language(settings)
        self._detects = options.include_language_detection
        self._by_service = options.commit_strategy != "manual"
        self._silence_s = options.vad_silence_threshold_secs
        self._pairing = Pairing(
            in_pairs=options.include_timestamps or options.include_language_detection,
            by_service=self._by_service,
            extras=wanted(options),
        )
        self._chunks = Chunks(settings.chunk_ms, previous_text)
        self._held: bytearray | None = None  # audio of an utterance whose turn has not come
        self._speakers = Speakers()
        self._remarks = Remarks()
        self._ready = self._failed = False
        self._opened_at: float | None = None
        self._events: list[SessionEvent] = []

    @property
    def unknown(self) -> dict[str, int]:
        """How many messages nobody acted on, by their type."""
        return self._remarks.unknown

    @property
    def late(self) -> int:
        """Texts and extras that came when nobody waited for them any more, and were dropped."""
        return self._pairing.late

    # Connecting

    def request(self) -> Request:
        if self._settings.elevenlabs.auth == "token":
            return Request(url(self._settings, self._token))
        return Request(url(self._settings, ""), {"xi-api-key": self._key})

    def refused(self, status: int, body: str, retry_after_s: float | None) -> None:
        refusal = refusal_of_status(status, may_retry=retry_after_s is not None)
        self._fail(refusal, told_by_upgrade(status, body), retry_after_s=retry_after_s)

    # Sending

    def start(self, id: UtteranceId, now: float, *, attempt: int = 1) -> None:
        if self._by_service and self._pairing.next() is not None:
            self._release(now)
            self._held = bytearray()
        self._pairing.begin(id, self._chunks.offset_s, now)

    def audio(self, pcm: bytes, now: float) -> None:
        if self._held is None:
            self._chunks.audio(pcm, now)
        else:
            self._held += pcm

    def pause(self, now: float) -> bool:
        pending = self._pairing.last()
        if self._failed or self._by_service or self._pairing.any_owed():
            return False
        enough = self._chunks.can_pause and now >= self._chunks.committed_at + COMMIT_GAP_S
        if pending is None or pending.ended or not enough:
            return False
        self._pairing.ask(pending, self._chunks.commit(now, pad=False), pause=True)
        return True

    def end(self, now: float, *, silent: bool = False) -> None:
        pending = self._pairing.last()
        if pending is None:
            return
        self._release(now)
        if self._by_service:
            pending.sent_to(self._chunks.offset_s)
            self._chunks.silence(pcm_bytes((self._silence_s + SPARE_SILENCE_S) * 1000), now)
        elif not (silent and pending.was_paused and not self._chunks.uncommitted):
            self._pairing.ask(pending, self._chunks.commit(now))
        self._pairing.end(now)
        self._publish_answered(now)

    def departed(self, id: UtteranceId, now: float) -> None:
        self._pairing.departed(id, now)

    def sent_s(self) -> float:
        return seconds(self._chunks.sent_bytes)

    def ignored(self) -> int:
        return sum(self.unknown.values()) + self.late

    def messages_to_send(self) -> list[str | bytes]:
        out, self._chunks.out = self._chunks.out, []
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
            case "partial_transcript" | "final_transcript" | "final_transcript_with_timestamps":
                self._on_partial(m.text or "")
            case "committed_transcript":
                self._on_answer(self._pairing.text(m.text or "", now), now)
            case "committed_transcript_with_timestamps":
                self._on_answer(self._pairing.details(m, now), now)
            case "session_started":
                self._on_started(m, message, now)
            case kind if kind in REFUSALS:
                self._fail(REFUSALS[kind], f"{kind}: {m.error or ''}")
            case kind if kind in FOLLOWING or kind in ("warning", "speakers_merged"):
                self._on_extra(kind, message, now)
            case kind:
                # The service adds types every few weeks; the next one must not stop us.
                self._remarks.count(self._printable(kind) if len(kind) <= MAX_TYPE else kind)

    def receive_close(self, code: int | None, reason: str) -> None:
        what = f"closed by the service ({code or 'without a code'}) {reason}".strip()
        busy = len(self._pairing) > 0 or not self._ready
        self._fail(refusal_of_close(code, reason, busy=busy), what)

    def events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    # Time

    def timer(self) -> float | None:
        if self._failed or self._opened_at is None:
            return None
        if not self._ready:
            return self._opened_at + self._settings.connect_timeout_s
        at = self._chunks.last_sent_at + KEEPALIVE_S
        for time in (self._pairing.take_at(), self._deadline(), self._overdue()):
            if time is not None and time < at:
                at = time
        return at

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
        self._commit_overdue(now)
        deadline = self._deadline()
        if deadline is not None and now >= deadline:
            waited = self._settings.answer_timeout_s
            reason = f"a commit was not answered within {waited:g} s"
            self._fail(Refusal(Remedy.RECONNECT), reason)
        elif now >= self._chunks.last_sent_at + KEEPALIVE_S:
            self._chunks.keep_alive(now)

    # Internals

    def _deadline(self) -> float | None:
        """When to stop waiting for the next answer; None: none is owed, or it has not left yet."""
        since = self._pairing.owed_since()
        return None if since is None else since + self._settings.answer_timeout_s

    def _overdue(self) -> float | None:
        """When to commit what the service did not; None: there is nothing."""
        if not self._by_service or (found := self._pairing.uncommitted()) is None:
            return None
        said = found.texts() and not found.open
        return (found.departed_at or 0.0) + (UNSAID_S if said else self._silence_s + OVERDUE_S)

    def _commit_overdue(self, now: float) -> None:
        at, pending = self._overdue(), self._pairing.uncommitted()
        if at is not None and now >= at and pending is not None:
            self._chunks.commit(now, certain=False)
            self._pairing.ask(pending)
            self._pairing.departed(pending.id, now)
            self._release(now)

    def _release(self, now: float) -> None:
        """Send what was held back of the utterance that was begun last."""
        pending = self._pairing.last()
        if self._held is None or pending is None:
            return
        held, self._held = bytes(self._held), None
        pending.offset_s, pending.begun_at = self._chunks.offset_s, now
        self._chunks.audio(held, now)

    def _on_started(self, m: Message, message: str | bytes, now: float) -> None:
        if not self._ready:
            for name, asked, used in differences(self._settings, read_config(message)):
                alert = "provider_keeps_data" if name == "enable_logging" else None
                self._warn(f"the service uses {name} = {used}, asked for {asked}", alert)
        self._ready, self._chunks.last_sent_at = True, now
        self._events.append(Ready(self._printable(m.session_id or "")))

    def _on_partial(self, text: str) -> None:
        if (pending := self._pairing.partial(text)) is not None:
            self._events.append(PartialText(pending.id, " ".join([*pending.texts(), text])))

    def _on_answer(self, room: bool, now: float) -> None:
        if self._pairing.unasked:
            self._pairing.unasked = False
            self._chunks.cut()
        self._publish_answered(now)
        if not room:
            self._fail(Refusal(Remedy.BACK_OFF, blames=True), "more answers than commits")

    def _on_extra(self, kind: str, message: str | bytes, now: float) -> None:
        extra = read_extra(message)
        if extra is None:
            self._remarks.count(kind)
        elif kind in FOLLOWING:
            self._pairing.follow(kind, extra)
            self._publish_answered(now)
        elif kind == "speakers_merged":
            self._speakers.merge(extra.from_speaker_id or "", extra.to_speaker_id or "")
        elif warning := self._printable(extra.warning or ""):
            keeps = not self._settings.elevenlabs.enable_logging and is_about_logging(warning)
            self._warn(f"the service warns: {warning}", "provider_keeps_data" if keeps else None)
            self._remarks.note(warning)

    def _publish_answered(self, now: float) -> None:
        if self._failed:
            return
        while (pending := self._pairing.take(now)) is not None:
            reason = "provider" if pending.by_provider else None
            whole = answer(
                pending,
                language=self._language,
                detects=self._detects,
                speakers=self._speakers,
                warnings=self._remarks.take(),
            )
            self._events.append(Committed(pending.id, whole, reason))
        if self._held is not None and self._pairing.next() is self._pairing.last():
            self._release(now)
        if (pending := self._pairing.early) is not None:
            self._pairing.early = None
            self._events.append(EarlyText(pending.id, " ".join(pending.texts())))

    def _warn(self, reason: str, alert: str | None) -> None:
        if (warned := self._remarks.warned(self._printable(reason), alert)) is not None:
            self._events.append(warned)

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
        return printable(reason, self._key, self._token)
