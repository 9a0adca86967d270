"""OpenMind's proxy, on any of its routes: one connection's protocol, sans I/O.

There is no commit: an utterance ends with silence, which the service's own ear is to hear, and a
final follows. Where none comes for `settle_s` the last partial is the text, a guess; and where
nothing does, that nobody spoke, if it is known that somebody listens. Whose a text is,
`openmind_turns` tells; words that were left without their final may yet come with the next
utterance, so that none is sent on such a connection.

Facts: OpenMind's API reference and OM1's clients of 2026. No document tells the code of the close
after silence, or what becomes of open speech when the service restarts recognition.
"""

from __future__ import annotations

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import Committed, Failed, PartialText, Ready, Request, SessionEvent, Warned
from scribed.model import UtteranceId
from scribed.uplink.providers.elevenlabs_messages import Refusal, Unreadable
from scribed.uplink.providers.openmind_errors import (
    refusal_of_close,
    refusal_of_text,
    refusal_of_upgrade,
)
from scribed.uplink.providers.openmind_framing import Framing
from scribed.uplink.providers.openmind_messages import Kind, Message, read, said_by_upgrade
from scribed.uplink.providers.openmind_route import ROUTES, language, url
from scribed.uplink.providers.openmind_scrub import Scrub
from scribed.uplink.providers.openmind_turns import Taken, Turns

GREETING_S = 5.0
"""How long to wait for `connection`; old hosts do not send it."""
MAX_RATE = 2.0
"""Seconds of audio in a second: Google gives up streams that are sent much faster than spoken."""
MAX_ERRORS = 8
"""Errors that nobody knows, on one connection, before it is given up."""


class OpenMindSession:
    """See `scribed.interfaces.Session`; 16 kHz PCM. It never asks for a text early."""

    def __init__(self, settings: ProviderSection, key: str) -> None:
        options = settings.openmind
        self._route = ROUTES[options.route]
        self.model: str = self._route.model
        self.max_rate: float | None = MAX_RATE
        self.ignored_finals = 0  #: texts that came for no utterance
        self.unknown_messages = 0
        self._settings, self._key = settings, key
        self._framing, self._language = Framing(settings), language(settings)
        self._scrub = Scrub(key)
        self._turns = Turns(
            settle_s=options.settle_s,
            answer_timeout_s=settings.answer_timeout_s,
            partials=self._route.partials,
        )
        self._ready = self._failed = False
        self._opened_at: float | None = None
        self._guess_until: float | None = None  # a guess was made, and its final may yet come
        self._guessed = False  # and it was said how to do without
        self._errors = 0  # that did not end the session
        self._unsaid: list[str] = []  # those since the last answer
        self._out: list[str | bytes] = []
        self._events: list[SessionEvent] = []

    # Connecting

    def request(self) -> Request:
        return Request(url(self._settings, self._key), {})

    def refused(self, status: int, body: str, retry_after_s: float | None) -> None:
        said = said_by_upgrade(body)
        refusal = refusal_of_upgrade(status, said, may_retry=retry_after_s is not None)
        self._fail(refusal, f"HTTP {status} {said}".strip(), retry_after_s=retry_after_s)

    # Sending

    def start(self, id: UtteranceId, now: float, *, attempt: int = 1) -> None:
        self._turns.begin(id, attempt)
        if self._guess_until is not None:
            self._fail_after_guess()

    def audio(self, pcm: bytes, now: float) -> None:
        self._turns.last().held += pcm
        self._send(now)

    def pause(self, now: float) -> bool:
        return False  # nothing asks this service for a text

    def end(self, now: float, *, silent: bool = False) -> None:
        self._turns.last().ended = True
        self._send(now)

    def departed(self, id: UtteranceId, now: float) -> None:
        self._turns.departed(id, now)

    def sent_s(self) -> float:
        return self._framing.sent_s()

    def ignored(self) -> int:
        return self.unknown_messages + self.ignored_finals

    def messages_to_send(self) -> list[str | bytes]:
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
        if m.kind is Kind.ERROR or m.kind is Kind.REFUSAL:
            self._on_error(m)
            return
        if m.kind is not Kind.UNKNOWN:
            self._on_ready(m.client_id)
        match m.kind:
            case Kind.PARTIAL:
                self._on_partial(m.text, now)
            case Kind.FINAL:
                self._on_final(m, now)
            case Kind.RESTART:
                self._on_restart(m.text, now)
            case Kind.UNKNOWN:
                self.unknown_messages += 1
            case Kind.CONNECTION | Kind.INFO | Kind.ACTIVITY:
                pass
        self._publish(now)

    def receive_close(self, code: int | None, reason: str) -> None:
        self._publish_complete(ordinary=code in (1000, 1001))
        what = f"closed by the service ({code or 'without a code'}) {reason}".strip()
        refusal = refusal_of_close(code, reason, busy=not self._ready or len(self._turns) > 0)
        if refusal.remedy is Remedy.RECONNECT and (self._unsaid or not self._ready):
            refusal = Refusal(Remedy.BACK_OFF)
        self._fail(refusal, ": ".join([*self._unsaid[-1:], what]))

    def events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    # Time

    def timer(self) -> float | None:
        if self._failed or self._opened_at is None:
            return None
        if not self._ready:
            return self._opened_at + GREETING_S
        times = [time for time in (self._turns.take_at(), self._guess_until) if time is not None]
        return min(times, default=None)

    def handle_timer(self, now: float) -> None:
        if self._opened_at is None:
            self._opened_at = now
        if self._failed:
            return
        if not self._route.greets or now >= self._opened_at + GREETING_S:
            self._on_ready("")
        if self._ready:
            self._publish(now)
        if self._guess_until is not None and now >= self._guess_until:
            self._fail_after_guess()

    # Internals

    def _send(self, now: float) -> None:
        """Send what is here of the utterance whose turn it is."""
        turn = self._turns.first()
        if turn is None or self._failed or turn.sent:
            return
        self._out += self._framing.audio(turn.release(now))
        if turn.ended:
            self._out += self._framing.end()
            turn.sent = True

    def _on_ready(self, client_id: str) -> None:
        if self._ready:
            return
        self._ready = True
        self._events.append(Ready(self._scrub(client_id)))
        if self._settings.openmind.route == "google" and self._language is None:
            self._warn('the google route detects no language: set provider.language, as "de-DE"')

    def _on_partial(self, text: str, now: float) -> None:
        turn = self._turns.partial(text, now)
        if turn is not None and (news := turn.news()) is not None:
            self._events.append(PartialText(turn.id, news))

    def _on_final(self, m: Message, now: float) -> None:
        if not len(self._turns):
            self._turns.unasked(m.text)
            self._ignore_final()
            return
        turn = self._turns.final(m.text, m.type, now)
        if turn is None:
            return
        if turn.too_much:
            self._fail(Refusal(Remedy.BACK_OFF, blames=True), "more text than can have been said")
        elif not turn.ended and (news := turn.news()) is not None:
            self._events.append(PartialText(turn.id, news))

    def _ignore_final(self) -> None:
        """A final for nobody: that of an utterance whose text was guessed, or one too many."""
        self.ignored_finals += 1
        if self._guess_until is None and self.ignored_finals == 1:
            self._warn("a text came after its utterance had been answered, and is ignored")
        self._guess_until = None

    def _on_restart(self, text: str, now: float) -> None:
        self._guess_until = None
        if self._publish_complete():
            self._send(now)  # nothing of the next was sent
        elif len(self._turns):
            self._fail(Refusal(Remedy.RECONNECT), f"restarted in mid-utterance: {text}")

    def _on_error(self, m: Message) -> None:
        refusal, reason = refusal_of_text(m.text), f"error: {m.text}"
        if refusal is not None and refusal.blames and self._settings.openmind.framing == "binary":
            refusal = Refusal(Remedy.REFUSED, "backend_down")
            reason = f'provider.openmind.framing "binary" is not understood, try "json": {m.text}'
        fatal = m.kind is Kind.REFUSAL or not self._ready or self._errors == MAX_ERRORS
        if refusal is not None or fatal:
            self._fail(refusal or Refusal(Remedy.BACK_OFF), reason)
            return
        said = self._scrub(reason)
        self._errors += 1
        self._unsaid.append(said)
        self._warn(said)

    def _publish(self, now: float) -> None:
        while not self._failed and (taken := self._turns.take(now)) is not None:
            if taken.text is None:
                self._on_silence(taken)
                return
            self._tell(taken)
            if taken.guessed:
                self._on_guess(now)
            else:
                self._send(now)

    def _on_silence(self, taken: Taken) -> None:
        """Nothing was heard of an utterance. Nobody spoke, if that is so the second time, and on a
        connection where somebody listens; else the service is slow or deaf. Its text may yet come,
        for which there is no place here any more."""
        remedy = Remedy.RECONNECT
        what = f"nothing was heard of an utterance within {self._turns.silent_s:g} s"
        if taken.turn.attempt > 1:
            if self._turns.proven:
                self._tell(taken)
                what += ": its text could come with the next"
            else:
                remedy = Remedy.BACK_OFF
        self._fail(Refusal(remedy), ": ".join([*self._unsaid[-1:], what]))

    def _publish_complete(self, *, ordinary: bool = False) -> bool:
        """Answer the utterance whose turn it is with what is here, if that is all of it."""
        if (taken := self._turns.take_complete(ordinary=ordinary)) is None:
            return False
        self._tell(taken)
        return True

    def _tell(self, taken: Taken) -> None:
        answer = taken.answer(self._language, self._unsaid)
        self._unsaid = []
        reason = "provider" if taken.is_final else "no_commit"
        self._events.append(Committed(taken.turn.id, answer, final_reason=reason))

    def _on_guess(self, now: float) -> None:
        if not self._guessed:
            self._guessed = True
            self._warn(
                "no final came for what was heard: if that is often so, raise"
                " provider.openmind.trailing_silence_ms or settle_s"
            )
        if len(self._turns):
            self._fail_after_guess()
        else:
            self._guess_until = now + self._settings.openmind.settle_s

    def _fail_after_guess(self) -> None:
        reason = "words without a final are left: they could come with the next utterance"
        self._fail(Refusal(Remedy.RECONNECT), reason)

    def _warn(self, reason: str) -> None:
        self._events.append(Warned(reason))

    def _fail(self, refusal: Refusal, reason: str, *, retry_after_s: float | None = None) -> None:
        if self._failed:
            return
        self._publish_complete()  # what is answered is not asked for again
        self._failed = True
        first = self._turns.first()
        self._events.append(
            Failed(
                refusal.remedy,
                self._scrub(reason),
                blamed=first.id if refusal.blames and first is not None else None,
                alert=refusal.alert,
                retry_after_s=retry_after_s,
                overloaded=refusal.overloaded,
            )
        )
