"""The capture thread: owns the source, the VAD and the gate; cuts sound into utterances.

It waits for nobody but the microphone: what it hands on goes into mailboxes. Only a source that is
not live (a file, a pipe) waits for room, where a microphone would drop and count. It sleeps for as
long as no decision can fall due, at most `READ_S`, and decides frame by frame all the same.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.capture.conditioning import Conditioner
from scribed.capture.ear import Ear
from scribed.capture.gate import Gate
from scribed.capture.hearing import Hearing, SourceEnded
from scribed.capture.heed import Heed
from scribed.capture.keeping import Keeping
from scribed.capture.listening import Listening
from scribed.capture.losses import Losses
from scribed.capture.muting import Muting
from scribed.capture.numbering import Numbering
from scribed.capture.obeying import Obeying, Order
from scribed.capture.orders import Flush, Listen, Mute, Retune, Robot
from scribed.capture.posting import Posting
from scribed.capture.presence import Presence
from scribed.capture.proof import Sound
from scribed.capture.retuning import Retuning
from scribed.capture.waits import READ_S, Waits
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput, Source, Vad
from scribed.model import (
    Block,
    Device,
    EndReason,
    Retuned,
    SeqReserved,
    UtteranceId,
    UtteranceStarted,
)
from scribed.recording import Record, RecordingKept
from scribed.worker import Budget, Mailbox, Stop, Worker

if TYPE_CHECKING:
    from scribed.capture.recorder import Recorder

REOPEN_FIRST_S, REOPEN_MAX_S = 0.25, 2.0
OPEN_BOUND_S = 10.0
"""How long opening a device may block: a sound server that hangs is found by its own timeout."""
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
        self._mail = select.poll()
        self._mail.register(self.inbox, select.POLLIN)
        self._open_source, self._reopen = open_source, reopen
        # What was opened last is opened again (a download begins where it ended, not anew), and
        # goes on with us or without.
        self._comes_back = self._goes_on = reopen
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_MAX_S)
        self._frame_s, self._stall_s = gate.frame_ms / 1000, stall_s
        self._stopping = False
        self._numbering = Numbering(new_id, next_seq, reserved, want_numbers)
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
        self._losses = Losses(
            supervisor.put, last_heard=None if muted else last_heard, mono_offset=mono_offset
        )
        self._listening = Listening(
            self._ear, heed or Heed(), self._posting, self._losses, mark=mark, tell=supervisor.put
        )
        self._presence = Presence(supervisor.put)
        self._keeping = Keeping(recorder, store)
        self._muting = Muting(self._listening, self._presence, self._keeping, on=muted)
        self._obeying = Obeying(self._listening, self._muting, self._keeping, self._presence)
        self._retuning = Retuning()

    def work(self) -> None:
        try:
            while not self._stopping and self._once():
                pass
            self._listening.cut_short(EndReason.SHUTDOWN)
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
        muted = self._muting.on
        return Hearing(
            self._presence.device,
            last_frame_at=self._listening.last_frame_at,
            samples=self._listening.samples,
            lost_samples=self._losses.lost_samples,
            dropped_samples=self._losses.dropped_samples,
            detected=self._numbering.detected,
            refused_frames=self._ear.refused_frames,
            is_open=self._ear.is_open,
            level_dbfs=None if muted else self._ear.level_dbfs,
            noise_floor_dbfs=self._ear.noise_floor_dbfs,
            deaf_to=self._listening.deaf_to,
            sound=Sound() if muted else self._ear.sound,
        )

    # The source comes and goes

    def _once(self) -> bool:
        """Open the source and hear it for as long as it lasts; whether to go on."""
        if self._muting.on and self._comes_back:
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
            if self._presence.hears or not self._comes_back:
                # What was heard is still worth its transcript.
                self._listening.cut_short(EndReason.DEVICE_LOST)
                self._presence.lost(source.device, str(exc))
            else:  # it opens, and gives nothing: no better than none
                self._presence.missed(str(exc))
            if not self._comes_back:
                self._end(source.device, str(exc))
                return False
            self._rest(REOPEN_FIRST_S / 2)
        finally:
            source.close()
        return True

    def _open(self) -> Source:
        self.beat(OPEN_BOUND_S)
        source = self._open_source()
        self._comes_back = self._reopen and source.live
        self._goes_on = source.live or bool(source.pollable())
        if not self._goes_on:
            self._losses.waits_for_us()
        self._listening.begin()
        self._presence.opened(source.device, muted=self._muting.on, closes=self._comes_back)
        return source

    def _end(self, device: Device, error: str | None) -> None:
        """Nothing more will come."""
        self._listening.cut_short(EndReason.FLUSH)
        self._presence.ended(device)
        self.supervisor.put(SourceEnded(error))

    def _stay_closed(self) -> None:
        while self._muting.on and not self._stopping:
            self._muting.tell()
            if not self._obeying.obey():
                self._rest(MUTED_S)

    def _rest(self, seconds: float) -> None:
        self.beat(seconds)
        if self._mail.poll(seconds * 1000):
            self._take_mail()
            self._obeying.obey()
            self._retune()

    # While it is there

    def _listen(self, source: Source) -> None:
        """Read until the source ends (`EndOfInput`) or is lost (`SourceError`), we stop or mute."""
        waits = Waits(self.inbox, source, self._frame_s)
        heard_at = time.monotonic()  # in which a suspend is no time without frames
        while not self._stopping:
            self.beat()
            block = self._read(source)
            if block is not None:
                heard_at = time.monotonic()
                if not self._muting.on:
                    self._listening.hear(block, live=source.live)
                    self._presence.judged(self._ear.fault)
                    if not self._presence.hears:
                        self._found(source.device)
            elif source.live and time.monotonic() - heard_at > self._stall_s:
                name = source.device.name
                raise SourceError(f"{name}: no frames for {self._stall_s} s; it is opened again")
            self._obeying.obey()
            if self._retuning.waiting is not None and self._retune():
                return
            if self._muting.on:
                if self._comes_back:
                    return
                self._muting.tell()
            if waits.wait(block, self._ear.patience_s):
                self._take_mail()

    def _read(self, source: Source) -> Block | None:
        if source.live:
            self._losses.look_for_suspend()
        if self._muting.on:
            may_read = self._goes_on
        else:
            may_read = source.live or self._posting.wait_for_room(READ_S)
        return source.read() if may_read else None

    def _found(self, device: Device) -> None:
        self._backoff.reset()
        self._presence.found(device)

    def _take_mail(self) -> None:
        for item in self.inbox.drain():
            match item:
                case Stop():
                    self._stopping = True
                case SeqReserved(end=end):
                    self._numbering.reserve(end)
                case Retune():
                    self._retuning.take(item, clock.now())
                case RecordingKept():
                    if waiting := self._keeping.kept():
                        self._obeying.take(waiting)
                case Mute() | Flush() | Robot() | Listen() | Record():
                    self._obeying.take(item)

    def _retune(self) -> bool:
        """Go by the configuration that has come, if it is its moment; whether the source is to be
        opened anew for it."""
        new = self._retuning.due(clock.now(), engaged=self._ear.is_engaged)
        if new is None:
            return False
        self._listening.retune(new)
        self._keeping.retune(new.gate_settings)
        self._stall_s = new.stall_s
        if new.open_source is not None:
            self._open_source = new.open_source
            self._backoff.reset()
        self.supervisor.put(Retuned(self.name, new.number))
        return new.open_source is not None

    def _refuse(self) -> None:
        """Answer what came too late."""
        self._take_mail()
        if self._muting.on:
            self._muting.tell()
        self._obeying.refuse()
