"""The capture thread: owns the source, the VAD and the gate; cuts sound into utterances.

It waits for nobody but the microphone: what it hands on goes into mailboxes. Only a source that is
not live (a file, a pipe) waits for room, where a microphone would drop and count. It sleeps for as
long as no decision can fall due, at most `READ_S`, and decides frame by frame all the same.

While it is muted a microphone is closed, a pipe is read on and what it brings thrown away (there is
a live microphone at its other end, as in `arecord | scribed run`), and a file stands still.
"""

from __future__ import annotations

import collections
import select
import time
from collections.abc import Callable
from typing import Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.capture.conditioning import Conditioner
from scribed.capture.ear import Ear
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.hearing import Hearing, SourceEnded
from scribed.capture.heed import NOT_LISTENING, Heed
from scribed.capture.keeping import Keeping
from scribed.capture.losses import Losses
from scribed.capture.numbering import Numbering
from scribed.capture.orders import Flush, Listen, Mute, Retune, Robot, too_late
from scribed.capture.posting import Posting
from scribed.capture.presence import Presence
from scribed.capture.proof import Sound
from scribed.capture.recorder import Recorder
from scribed.capture.waits import READ_S, Waits
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput, Source, Vad
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Attention,
    Block,
    Device,
    EndReason,
    Retuned,
    RobotDoes,
    SeqReserved,
    UtteranceId,
    UtteranceStarted,
)
from scribed.recording import Record, RecordingKept
from scribed.worker import Budget, Mailbox, Stop, Worker

__all__ = ("Capture", "Flush", "Listen", "Mute", "Retune", "Robot")

Order = Mute | Flush | Robot | Listen | Record

REOPEN_FIRST_S, REOPEN_MAX_S = 0.25, 2.0
OPEN_BOUND_S = 10.0
"""How long opening a device may block: a sound server that hangs is found by its own timeout."""
RETUNE_S = 30.0
"""How long a changed configuration waits at most for a moment at which nobody is engaged: longer
than an utterance lasts. Then what is open is cut: a noise must not keep the gate from being mended
that it holds open."""
MUTED_S = 5.0
"""How long it sleeps at a time while it is muted: mail wakes it."""


class Capture(Worker):
    """See the module.

    `open_source` opens the configured source or raises `SourceError`; where `reopen` is true (a
    microphone) it is tried again for ever, else (a file, a pipe) that is the end.

    What is cut out goes to `store`, then to `uplink` and (but for the audio) to `delivery`. `mark`
    is told the end of the last captured frame before anything is decided about it: it must cost
    nothing, and nor must `begun`, which is that of `Posting`. `last_heard` is what an earlier run
    of this boot told `mark` last. `muted`: start without hearing anything, until `Mute(on=False)`
    comes. `heed` says what of it is listened to. `silent_s` is that of `Proof`, None where the
    source is no microphone, `conditioner` of `Ear`. With a `recorder` the last seconds are recorded
    on request (`Record`): the store writes them.
    """

    def __init__(
        self,
        *,
        open_source: Callable[[], Source],
        reopen: bool,
        chunk_bytes: int,
        vad: Vad,
        gate: Gate,
        new_id: Callable[[], UtteranceId],
        next_seq: int,
        reserved: SeqReserved,
        want_numbers: Callable[[int], object],
        stall_s: float,
        store: Mailbox[Any],
        uplink: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
        mark: Callable[[float], None],
        begun: Callable[[UtteranceStarted], object] = lambda _: None,
        last_heard: float | None = None,
        muted: bool = False,
        heed: Heed | None = None,
        silent_s: float | None = None,
        conditioner: Conditioner | None = None,
        recorder: Recorder | None = None,
        mono_offset: Callable[[], float] = clock.mono_offset,
    ) -> None:
        super().__init__("capture", supervisor)
        self.inbox: Mailbox[Stop | SeqReserved | RecordingKept | Retune | Order] = Mailbox()
        self._heed = heed or Heed()
        self._device = Device("")
        self._deaf_to = self._heed.deaf_to(clock.now())
        self._last_frame_at: float | None = None
        self._samples = 0
        self._mail = select.poll()
        self._mail.register(self.inbox, select.POLLIN)
        self._open_source, self._reopen = open_source, reopen
        self._goes_on = reopen  # what was opened last: a download begins where it ended, not anew
        self._frame_s, self._stall_s = gate.frame_ms / 1000, stall_s
        self._numbering = Numbering(new_id, next_seq, reserved, want_numbers)
        self._keeping = Keeping(recorder, store)
        self._ear = Ear(
            vad,
            gate,
            self._numbering.identify,
            silent_s=silent_s,
            conditioner=conditioner,
            witness=recorder,
        )
        self._posting = Posting(
            store=store,
            uplink=uplink,
            delivery=delivery,
            budget=budget,
            chunk_bytes=chunk_bytes,
            begun=begun,
        )
        self._mark = mark
        self._losses = Losses(
            supervisor.put, last_heard=None if muted else last_heard, mono_offset=mono_offset
        )
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_MAX_S)
        self._expected: int | None = None
        self._presence = Presence(self._show, supervisor.put)
        self._stopping, self._muted = False, muted
        self._orders: collections.deque[Order] = collections.deque()
        self._closing: list[Mute] = []  # to be answered when the source is closed
        self._retune: Retune | None = None
        self._retune_by = 0.0

    def work(self) -> None:
        try:
            while not self._stopping and self._once():
                pass
            self._cut_short(EndReason.SHUTDOWN)
        finally:
            self._refuse()

    @property
    def next_seq(self) -> int:
        """The number of the next utterance; to be asked when the thread has ended."""
        return self._numbering.next_seq

    @property
    def report(self) -> Hearing:
        """How it hears, for any thread: made when it is asked for, and not for each tenth of a
        second. Each figure is replaced whole; two may be a read apart."""
        return Hearing(
            self._device,
            last_frame_at=self._last_frame_at,
            samples=self._samples,
            lost_samples=self._losses.lost_samples,
            dropped_samples=self._losses.dropped_samples,
            detected=self._numbering.detected,
            refused_frames=self._ear.refused_frames,
            is_open=self._ear.is_open,
            level_dbfs=None if self._muted else self._ear.level_dbfs,
            noise_floor_dbfs=self._ear.noise_floor_dbfs,
            deaf_to=self._deaf_to,
            sound=Sound() if self._muted else self._ear.sound,
        )

    # The source comes and goes

    def _once(self) -> bool:
        """Open the source and hear it for as long as it lasts; whether to go on."""
        if self._muted and self._goes_on:
            self._stay_closed()
            return True
        try:
            source = self._open()
        except SourceError as exc:
            if not self._reopen:
                self._end(Device(""), str(exc))
                return False
            self._ear.lose()
            self._presence.missed(str(exc))
            self._rest(max(self._backoff.next_delay(), REOPEN_FIRST_S / 2))
            return True
        try:
            self._listen(source)
        except EndOfInput:
            self._end(source.device, None)
            return False
        except SourceError as exc:
            self._ear.lose()
            if self._presence.hears or not self._goes_on:
                # What was heard is still worth its transcript.
                self._cut_short(EndReason.DEVICE_LOST)
                self._presence.lost(source.device, str(exc))
            else:  # it opens, and gives nothing: no better than none
                self._presence.missed(str(exc))
            if not self._goes_on:
                self._end(source.device, str(exc))
                return False
            self._rest(REOPEN_FIRST_S / 2)
        finally:
            source.close()
        return True

    def _open(self) -> Source:
        self.beat(OPEN_BOUND_S)
        source = self._open_source()
        self._goes_on = self._reopen and source.live
        self._ear.reset()
        self._losses.listen_anew()
        self._expected = None
        self._presence.opened(source.device, muted=self._muted)
        return source

    def _end(self, device: Device, error: str | None) -> None:
        """Nothing more will come."""
        self._cut_short(EndReason.FLUSH)
        self._presence.ended(device)
        self.supervisor.put(SourceEnded(error))

    def _show(self, device: Device) -> None:
        self._device = device
        self.supervisor.put(device)

    # Listening

    def _listen(self, source: Source) -> None:
        """Read until the source ends (`EndOfInput`) or is lost (`SourceError`), we stop or mute."""
        waits = Waits(self.inbox, source, self._frame_s)
        goes_on = source.live or bool(source.pollable())  # with us or without
        if not goes_on:
            self._losses.waits_for_us()
        heard_at = time.monotonic()  # in which a suspend is no time without frames
        while not self._stopping:
            self.beat()
            if source.live:
                self._losses.look_for_suspend()
            block = source.read() if self._may_read(goes_on, live=source.live) else None
            if block is not None:
                heard_at = time.monotonic()
                self._hear(block, source)
            elif source.live and time.monotonic() - heard_at > self._stall_s:
                name = source.device.name
                raise SourceError(f"{name}: no frames for {self._stall_s} s; it is opened again")
            self._obey()
            if self._retune is not None and self._settle(self._retune):
                return
            if self._muted:
                if self._goes_on:
                    return
                self._tell_muted()
            if waits.wait(block, self._ear.patience_s):
                self._take_mail()

    def _may_read(self, goes_on: bool, *, live: bool) -> bool:
        if self._muted:
            return goes_on
        return live or self._posting.wait_for_room(READ_S)

    def _hear(self, block: Block, source: Source) -> None:
        if self._muted:
            return
        samples = len(block.pcm) // SAMPLE_BYTES
        end_at = block.at + samples / RATE
        self._mark(end_at)
        self._losses.heard(block.at)
        if self._expected is not None and block.position != self._expected:
            self._losses.jumped(block.position - self._expected)
        self._expected = block.position + samples
        if not source.live or self._posting.has_room():
            self._losses.end_drop()
            heeded = self._listen_to(block)
            if heeded is None and self._deaf_to == NOT_LISTENING:
                self._ear.overhear(block)
            events = [] if heeded is None else self._ear.hear(heeded)
            self._last_frame_at = end_at
            self._samples += samples
            self._presence.judged(self._ear.fault)
            if events:
                self._post(events)
        elif self._losses.drop(samples):
            self._cut_short(EndReason.GAP)
        if not self._presence.hears:
            self._backoff.reset()
            self._presence.found(source.device)

    def _listen_to(self, block: Block) -> Block | None:
        """What of `block` is to be listened to; None: nothing."""
        ear = self._ear
        if self._deaf_to is None and self._heed.all_of(block):
            return block
        self._attend(
            self._heed.deaf_to(
                block.at, block.end, engaged=ear.is_engaged, stirring=ear.is_stirring
            )
        )
        return None if self._deaf_to else self._heed.part(block)

    def _attend(self, deaf_to: str | None) -> None:
        """From now on throw away what is heard, or listen again, and say so."""
        was = self._deaf_to
        if deaf_to == was:
            return
        if was is None:
            self._cut_short(EndReason.GATED)
        elif deaf_to is None:
            self._ear.resume()
        self._deaf_to = deaf_to
        self.supervisor.put(Attention(deaf_to))

    def _post(self, events: list[GateEvent]) -> None:
        self._posting.post(self._heed.marked(events))

    def _cut_short(self, reason: EndReason) -> None:
        """End what is open for a reason outside the gate; forget the pre-roll."""
        self._post(self._ear.close(reason))
        if reason is not EndReason.GAP:
            self._losses.end_drop()

    # What it is asked to do

    def _take_mail(self) -> None:
        for item in self.inbox.drain():
            match item:
                case Stop():
                    self._stopping = True
                case SeqReserved(end=end):
                    self._numbering.reserve(end)
                case Retune():
                    self._retune = item.after(self._retune)
                    self._retune_by = clock.now() + RETUNE_S
                case RecordingKept():
                    if waiting := self._keeping.kept():
                        self._orders.append(waiting)
                case Mute() | Flush() | Robot() | Listen() | Record():
                    self._orders.append(item)

    def _obey(self) -> None:
        """Do what was asked for, in order; called when all that was said before has been heard.

        What follows a mute waits until a microphone is closed.
        """
        while self._orders:
            match order := self._orders.popleft():
                case Mute(on=on) if on:
                    self._closing.append(order)
                    if not self._muted:
                        self._mute()
                        return
                case Mute():
                    if self._muted:
                        self._unmute()
                    order.done()
                case _:
                    self._do(order)

    def _do(self, order: Flush | Robot | Listen | Record) -> None:
        match order:
            case Flush():
                flushed = self._ear.is_open
                if flushed:
                    self._cut_short(EndReason.FLUSH)
                order.done(flushed=flushed)
            case Robot(does=does):
                self._heed_robot(does)
                order.done(left_s=self._heed.doings.of(does).left_s(does.id, does.at))
            case Listen(at=at, ttl_s=ttl_s):
                order.done(left_s=self._heed.listen(at, ttl_s))
            case Record():
                self._keeping.take(order, self._device)

    def _settle(self, new: Retune) -> bool:
        """Go by the configuration that has come, once nobody is engaged; whether the source is to
        be opened anew for it."""
        if self._ear.is_engaged and clock.now() < self._retune_by:
            return False
        if self._ear.is_engaged:
            self._cut_short(EndReason.FLUSH)
        self._retune = None
        self._ear.renew(new.new_vad, new.new_conditioner)
        self._ear.retune(new.gate, silent_s=new.silent_s)
        self._keeping.retune(new.gate_settings)
        self._heed.retune(new.echo, new.motion, new.listen)
        self._posting.retune(new.chunk_bytes)
        self._stall_s = new.stall_s
        if new.open_source is not None:
            self._open_source = new.open_source
            self._backoff.reset()
        self.supervisor.put(Retuned(self.name, new.number))
        return new.open_source is not None

    def _heed_robot(self, does: RobotDoes) -> None:
        """Its own words are not to stand in one text with those of somebody else."""
        if self._heed.take(does) and self._ear.is_open:
            self._cut_short(EndReason.GATED)
        if deaf_to := self._heed.deaf_to(does.at, engaged=True):
            self._attend(deaf_to)

    def _mute(self) -> None:
        self._muted = True
        self._cut_short(EndReason.MUTED)
        self._ear.reset()  # a second stage, or what conditions the sound, has some of it too
        self._keeping.wipe()
        self._losses.heard(clock.now())  # what a restart had cost ends here, if nothing was heard

    def _unmute(self) -> None:
        self._tell_muted()
        self._muted = False
        self._expected = None
        self._ear.reset()
        self._losses.listen_anew()
        self._mark(clock.now())  # nothing was missed: it was not to be heard
        self._presence.unmuted(opens_again=self._goes_on)

    def _tell_muted(self) -> None:
        """Nothing is heard any more: say so, to whoever asked for it too."""
        self._presence.muted()
        while self._closing:
            self._closing.pop().done()

    def _stay_closed(self) -> None:
        while self._muted and not self._stopping:
            self._tell_muted()
            if self._orders:
                self._obey()
            else:
                self._rest(MUTED_S)

    def _rest(self, seconds: float) -> None:
        self.beat(seconds)
        if self._mail.poll(seconds * 1000):
            self._take_mail()
            self._obey()
            if self._retune is not None:
                self._settle(self._retune)

    def _refuse(self) -> None:
        """Answer what came too late: there is nothing to mute or to flush."""
        self._take_mail()
        if self._muted:
            self._tell_muted()
        for order in self._orders:
            too_late(order)
