"""One source on its way to text: capture and uplink as in the daemon, with this at their end.

There is no store, so nothing outlives the process but what was written: what is not written is
heard again by a later run, which begins where this one says.
"""

from __future__ import annotations

from typing import Any

from scribed import clock
from scribed.capture.hearing import SourceEnded
from scribed.capture.sources.ffmpeg import PATIENCE_S
from scribed.capture.worker import Capture
from scribed.config import Config
from scribed.interfaces import Warned
from scribed.model import (
    Alert,
    Closed,
    Event,
    Final,
    Link,
    LinkState,
    SeqReserved,
    UtteranceId,
    UtteranceStarted,
)
from scribed.parts import Provider, conditioner, gate, vad
from scribed.service.names import new_id
from scribed.transcribe.formats import Spoken
from scribed.transcribe.opener import Opener
from scribed.transcribe.order import Order, Told
from scribed.transcribe.output import Outlet
from scribed.transcribe.remarks import remarked, words
from scribed.transcribe.settings import adapted
from scribed.transcribe.sound import Sound, plain
from scribed.uplink.providers.chunking import chunk_bytes
from scribed.uplink.worker import Drain, Uplink
from scribed.worker import Budget, Crashed, Finished, Mailbox, Stop

AHEAD_BYTES = 8 << 20
"""Audio that may wait for its text, four minutes of it: a file is read on only behind that."""
NO_PROGRESS_S = 60.0
"""What waits for so long without any answer is given up."""
CAPTURE_STOP_S = 1.0
"""How long capture has to end: it wakes every 100 ms, but may be opening a stream."""
LIVE_GRACE_S = 10.0
"""After a stop: how long what was said last may take, where it cannot be heard again."""
STREAM_STALL_S = PATIENCE_S + 1.0
"""A stream comes in pieces; its source itself says when it hangs."""
ENDLESS = 1 << 62


class Discard(Mailbox[Any]):
    """Where the daemon has its store: takes everything, and keeps nothing."""

    def put(self, item: Any, *, wake: bool = True, spare: int = 0) -> bool:
        return True


class Job:
    """Used by the main thread only. What is told goes to `outlet`, where an earlier run may have
    left off: it is heard from there on, at most `speed` times as fast as it was spoken.

    `inbox` is what the threads say, for `take()`; `tick()` is called from time to time.
    """

    def __init__(
        self,
        sound: Sound,
        config: Config,
        provider: Provider,
        *,
        outlet: Outlet,
        speed: float,
    ) -> None:
        self.sound, self.outlet = sound, outlet
        self.start_s = start_s = outlet.mark.done_s
        self.inbox: Mailbox[Any] = Mailbox(limit=1_000_000)  # the budget bounds it
        self.failure: str | None = None  #: why not everything could be heard, or told
        self.last_error: str | None = None  #: what last went wrong with the link
        self.remarks: list[str] = []  #: what the service does not do as it was asked
        self.lost_ms = 0  #: sound that a device had and we did not get
        self.is_complete = False  #: the source was heard to its end
        self._grace_s = config.shutdown.grace_s
        self._lost_at: float | None = None
        self._heard_anything = self._draining = False
        self._stop_capture_by: float | None = None
        config = adapted(config, is_device=sound.is_device)
        began = clock.now()
        self.order = Order(began, start_s, config.vad.hangover_ms / 1000)
        self._nowhere = Discard()
        budget = Budget(AHEAD_BYTES)
        self._uplink = Uplink(
            config=config,
            new_session=lambda before: remarked(provider.session(before), self.inbox.put),
            connect=provider.connect,
            check=provider.check,
            store=self._nowhere,
            delivery=self.inbox,
            budget=budget,
            supervisor=self.inbox,
            clock_synced=lambda: None,
        )
        judge, shapes = vad(config)(), conditioner(config.audio)
        self._capture = Capture(
            open_source=Opener(
                sound,
                began=began,
                start_s=start_s,
                speed=speed,
                frame_ms=config.audio.frame_ms,
                skip=judge if shapes is None else lambda pcm: judge(shapes(pcm).gate),
            ),
            reopen=sound.may_be_live,
            chunk_bytes=chunk_bytes(config.provider),
            vad=judge,
            gate=gate(config),
            new_id=lambda: UtteranceId(new_id()),
            next_seq=outlet.mark.utterances + 1,
            reserved=SeqReserved(ENDLESS),
            want_numbers=lambda _next_seq: None,
            stall_s=config.audio.stall_s if sound.is_device else STREAM_STALL_S,
            store=self._nowhere,
            uplink=self._uplink.inbox,
            delivery=self.inbox,
            budget=budget,
            supervisor=self.inbox,
            mark=lambda _at: None,
            conditioner=shapes,
        )

    def start(self) -> None:
        """Begin to hear."""
        self._uplink.start()
        self._capture.start()

    @property
    def is_over(self) -> bool:
        """Nothing more will come."""
        return self._draining and not self._uplink.is_alive()

    @property
    def heard_s(self) -> float:
        """How far it was heard."""
        at = self._capture.report.last_frame_at
        return self.order.done_s if at is None else self.order.since_beginning(at)

    @property
    def trouble(self) -> str | None:
        """Why it waits, if it does."""
        if self._lost_at is not None:
            return "it is away"
        link = self._uplink.report.link
        return link.last_error if link.state is LinkState.BACKOFF else None

    @property
    def waited_for(self) -> str | None:
        """What was wrong with the link when it was last tried; None: nothing."""
        return self._uplink.report.link.last_error

    def take(self, item: object) -> None:
        """Take what a thread said. Raises what a thread has crashed by: a bug."""
        match item:
            case Crashed(exception=exception):
                raise exception
            case UtteranceStarted() | Final() | Closed():
                self._tell(self.order.take(item, leave_cut=self.sound.repeats))
                self.outlet.passed(self.order.done_s)
            case SourceEnded(error=error):
                error = error or self.sound.failure
                self.is_complete = error is None
                self.failure = self.failure or (error and plain(error, self.sound.name))
                self._drain(float("inf"))
            case Event(event="device_found"):
                self._heard_anything = True
            case Event(event="audio_gap", detail=detail):
                self.lost_ms += int(str(detail["lost_ms"]))
            case Alert(code="no_device", message=message) if not self._heard_anything:
                # Not there from the first: a mistake, and not a microphone that comes back.
                self.fail(plain(message, self.sound.name))
            case Warned():
                self.remarks.append(words(item))
            case Link(last_error=str(error)):
                self.last_error = error
            case Finished(worker="capture"):
                self._drain(clock.now() + self._patience_s)
            case _:
                pass

    def tick(self) -> None:
        """Look whether it goes on, and has ended in time."""
        now, report = clock.now(), self._uplink.report
        if self._stop_capture_by is not None and now >= self._stop_capture_by:
            self._drain(now + self._patience_s)
        if report.link.state is LinkState.REFUSED:
            self.fail(report.link.last_error or "the service refuses us")
        elif report.tally.utterances and now - report.tally.progress_at > NO_PROGRESS_S:
            why = self.trouble or "the service answers nothing"
            self.fail(f"no text for {NO_PROGRESS_S:.0f} s: {why}")
        if self._capture.report.device.state not in ("absent", "lost"):
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = now
        elif now - self._lost_at > NO_PROGRESS_S:
            self.fail(f"it is away since {NO_PROGRESS_S:.0f} s")

    def stop(self) -> None:
        """End soon, with what was said so far."""
        if self._stop_capture_by is None:
            self._stop_capture_by = clock.now() + CAPTURE_STOP_S
            self._capture.inbox.put(Stop())

    def fail(self, why: str) -> None:
        """End soon: there is no point in going on."""
        if self.failure is None:
            self.failure = why
            self.stop()

    def finish(self, *, wait_s: float = CAPTURE_STOP_S) -> None:
        """After the end: take what is left, and free what it had."""
        for worker in (self._capture, self._uplink):
            worker.join(wait_s)
        for item in self.inbox.drain():
            self.take(item)
        self.order.give_up()
        if not self._capture.is_alive() and not self._uplink.is_alive():
            for mailbox in (self._capture.inbox, self._uplink.inbox, self.inbox, self._nowhere):
                mailbox.close()

    @property
    def _patience_s(self) -> float:
        return self._grace_s if self.sound.repeats else LIVE_GRACE_S

    def _drain(self, deadline: float) -> None:
        """Nothing more will be heard: wait for the answers."""
        if not self._draining or self._stop_capture_by is not None:
            self._uplink.inbox.put(Drain(deadline))
            self._stop_capture_by = None
        self._draining = True

    def _tell(self, told: list[Told]) -> None:
        since = self.order.since_beginning
        for each in told:
            final = each.final
            start_ms = round(since(final.started.at) * 1000)
            end_ms = round(since(final.ended.at) * 1000)
            spoken = Spoken(self.sound.name, final.started.seq, start_ms, end_ms, final)
            self.outlet.write(spoken, each.done_s)
