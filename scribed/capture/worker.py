"""The capture thread: owns the source, the VAD and the gate; cuts sound into utterances.

It waits for nobody but the microphone: what it hands on goes into mailboxes. Only a source that is
not live (a file, a pipe) waits for room, where a microphone would drop and count. It sleeps for as
long as no decision can fall due, at most `READ_S`, and decides frame by frame all the same.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.capture.levels import Meter, quietest
from scribed.capture.segmenter import Gate, Segmenter
from scribed.capture.waits import READ_S, Waits
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput, Source, Vad
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Alert,
    AlertCleared,
    Block,
    Device,
    EndReason,
    Event,
    SegmentEvent,
    SeqReserved,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)
from scribed.worker import Budget, Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

REOPEN_FIRST_S, REOPEN_MAX_S = 0.25, 2.0
OPEN_BOUND_S = 10.0
"""How long opening a device may block: a sound server that hangs is found by its own timeout."""
STUCK_FACTOR = 1.5
"""Live sound is dropped when so many times the budget waits."""
NO_DEVICE_REMEDY = "plug the microphone in, or correct audio.device"
SPARE_BYTES = 1 << 20
"""A file or pipe is read on only while so much is free: what one read can post must not make the
uplink give up what waits."""
SEQ_LOW = 32
"""Ask for more numbers when so few are left."""
METER_EVERY = 5
"""Levels are measured on one frame in so many: 10 a second are plenty, and need no numpy."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What capture reports: replaced whole, for the supervisor to look at."""

    device: Device
    last_frame_at: float | None = None
    samples: int = 0  #: heard since the start
    lost_samples: int = 0  #: that the device had and we did not get
    dropped_samples: int = 0  #: that we got and had no room for
    detected: int = 0  #: utterances opened
    is_open: bool = False
    level_dbfs: float | None = None
    noise_floor_dbfs: float | None = None


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """A file or pipe has been heard to its end, or cannot be heard: `error` says why."""

    error: str | None = None


class Capture(Worker):
    """See the module.

    `open_source` opens the configured source or raises `SourceError`; where `reopen` is true (a
    microphone) it is tried again for ever, else (a file, a pipe) that is the end.
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
        uplink: Mailbox[Any],
        delivery: Mailbox[Any],
        budget: Budget,
        supervisor: Mailbox[Any],
    ) -> None:
        super().__init__("capture", supervisor)
        self.inbox: Mailbox[Stop | SeqReserved] = Mailbox()
        self.report = Hearing(Device(""))
        self._open_source, self._vad = open_source, vad
        self._reopen, self._chunk_bytes = reopen, chunk_bytes
        self._unposted: list[UtteranceAudio] = []
        self._unposted_bytes = 0
        self._segmenter = Segmenter(gate, identify=self._identify, quietest=quietest)
        self._frame_bytes = RATE * gate.frame_ms // 1000 * SAMPLE_BYTES
        self._frame_s = gate.frame_ms / 1000
        self._new_id, self._want_numbers = new_id, want_numbers
        self._next_seq, self._reserved_end = next_seq, reserved.end
        self._asked_at = -1
        self._stall_s = stall_s
        self._uplink, self._delivery, self._budget = uplink, delivery, budget
        self._meter = Meter()
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_MAX_S)
        self._frames = 0
        self._expected: int | None = None
        self._absence: str | None = None  # why there is no microphone
        self._stopping = self._dropping = self._hears = False

    def work(self) -> None:
        while not self._stopping:
            try:
                source = self._open()
            except SourceError as exc:
                if not self._reopen:
                    self._end(Device(""), str(exc))
                    return
                self._miss(exc)
                self._rest(max(self._backoff.next_delay(), REOPEN_FIRST_S / 2))
                continue
            try:
                self._listen(source)
            except EndOfInput:
                self._end(source.device, None)
                return
            except SourceError as exc:
                if self._hears or not self._reopen:
                    self._lost(source, exc)
                else:
                    self._miss(exc)  # it opens, and gives nothing: no better than none
                if not self._reopen:
                    self._end(source.device, str(exc))
                    return
                self._rest(REOPEN_FIRST_S / 2)
            finally:
                source.close()
        self._post(self._segmenter.close(EndReason.SHUTDOWN))

    @property
    def next_seq(self) -> int:
        """The number of the next utterance; to be asked when the thread has ended."""
        return self._next_seq

    # The source comes and goes

    def _open(self) -> Source:
        self.beat(OPEN_BOUND_S)
        source = self._open_source()
        self._vad.reset()
        self._expected, self._hears = None, False
        if self._absence is None:
            self._report_device(source.device, "open")
        return source

    def _miss(self, exc: SourceError) -> None:
        """There is no microphone: say why, once for each reason, and go on looking."""
        why = str(exc)
        if why != self._absence:
            self._absence = why
            logger.error("no microphone: %s", why)
            self._report_device(self.report.device, "absent")
            self.supervisor.put(Alert("no_device", why, NO_DEVICE_REMEDY))

    def _end(self, device: Device, error: str | None) -> None:
        """Nothing more will come."""
        self._post(self._segmenter.close(EndReason.FLUSH))
        self._report_device(device, "closed")
        self.supervisor.put(SourceEnded(error))

    def _found(self, source: Source) -> None:
        """Frames really arrive: only that proves that the device is there."""
        self._hears = True
        self._backoff.reset()
        if self._absence is not None:
            self._absence = None
            self.supervisor.put(AlertCleared("no_device"))
        device = source.device
        logger.info("hears %s (%s Hz, channels: %s)", device.name, device.rate, device.channels)
        self._report_device(device, "open")  # again: now it is known to hear
        self.supervisor.put(Event("device_found", {"device": device.name}))

    def _lost(self, source: Source, exc: SourceError) -> None:
        """The device went away in the middle: what was heard is still worth its transcript."""
        self._post(self._segmenter.close(EndReason.DEVICE_LOST))
        logger.warning("microphone lost: %s", exc)
        self._report_device(source.device, "lost")
        self.supervisor.put(Event("device_lost", {"device": source.device.name, "why": str(exc)}))

    def _report_device(self, device: Device, state: str) -> None:
        self.report = replace(self.report, device=replace(device, state=state))
        self.supervisor.put(self.report.device)

    # Listening

    def _listen(self, source: Source) -> None:
        """Read until the source ends (`EndOfInput`), is lost (`SourceError`), or we are stopped."""
        waits = Waits(self.inbox, source, self._frame_s)
        heard_at = clock.now()
        while not self._stopping:
            self.beat()
            block = source.read()
            if block is not None:
                heard_at = clock.now()
                self._hear(block, live=source.live)
                if not self._hears:
                    self._found(source)
            elif source.live and clock.now() - heard_at > self._stall_s:
                name = source.device.name
                raise SourceError(f"{name}: no frames for {self._stall_s} s; it is opened again")
            if waits.wait(block, self._segmenter.patience * self._frame_s):
                self._take_mail()

    def _hear(self, block: Block, *, live: bool) -> None:
        samples = len(block.pcm) // SAMPLE_BYTES
        lost = 0 if self._expected is None else block.position - self._expected
        if lost:
            self._gap(lost, "overrun")
        self._expected = block.position + samples
        if live and not self._has_room(samples):
            return
        events = self._segmenter.feed(block, self._decide(block.pcm))
        self._post(events)
        self.report = replace(
            self.report,
            last_frame_at=block.at + samples / RATE,
            samples=self.report.samples + samples,
            is_open=self._segmenter.is_open,
            level_dbfs=self._meter.level_dbfs,
            noise_floor_dbfs=self._meter.noise_floor_dbfs,
        )
        if not live:
            self._wait_for_room()

    def _decide(self, pcm: bytes) -> list[bool]:
        """Ask the VAD about each frame, and measure one in `METER_EVERY`."""
        decisions = []
        for start in range(0, len(pcm), self._frame_bytes):
            frame = pcm[start : start + self._frame_bytes]
            voiced = self._vad(frame)
            decisions.append(voiced)
            self._frames += 1
            if self._frames % METER_EVERY == 0:
                self._meter.add(frame, voiced=voiced)
        return decisions

    def _gap(self, samples: int, cause: str) -> None:
        lost_ms = round(samples * 1000 / RATE)
        logger.warning("lost %d ms of sound (%s)", lost_ms, cause)
        self.report = replace(self.report, lost_samples=self.report.lost_samples + samples)
        self.supervisor.put(Event("audio_gap", {"lost_ms": lost_ms, "cause": cause}))

    # Room

    def _has_room(self, samples: int) -> bool:
        """Whether live sound may be handed on; else it is dropped, newest first, and counted.

        The uplink evicts what is oldest at the budget's limit; only where it is stuck (DNS,
        connect) does more than that wait.
        """
        full = self._budget.used >= self._budget.limit * STUCK_FACTOR
        if full:
            if not self._dropping:
                logger.error("no room for more sound: the uplink is stuck; speech is dropped")
                self._post(self._segmenter.close(EndReason.GAP))
            dropped = self.report.dropped_samples + samples
            self.report = replace(self.report, dropped_samples=dropped)
        self._dropping = full
        return not full

    def _wait_for_room(self) -> None:
        while not self._stopping and not self._budget.wait_for_room(READ_S, SPARE_BYTES):
            self.beat()
            self._take_mail()

    # Mail

    def _post(self, events: list[SegmentEvent]) -> None:
        """Hand on what was heard; audio in pieces of a chunk, since the uplink sends no smaller."""
        for event in events:
            match event:
                case UtteranceAudio(pcm=pcm):
                    self._unposted.append(event)
                    self._unposted_bytes += len(pcm)
                    if self._unposted_bytes >= self._chunk_bytes:
                        self._post_audio()
                    continue
                case UtteranceStarted():
                    self._meter.open()
                case UtteranceEnded():
                    self._post_audio()
                    event = replace(  # noqa: PLW2901 -- the same event, with its levels
                        event, level_dbfs=self._meter.utterance_dbfs, snr_db=self._meter.snr_db
                    )
            self._uplink.put(event)
            self._delivery.put(event)

    def _post_audio(self) -> None:
        if not self._unposted:
            return
        pcm = b"".join(audio.pcm for audio in self._unposted)
        self._budget.charge(len(pcm))
        self._uplink.put(UtteranceAudio(self._unposted[0].id, pcm))
        self._unposted, self._unposted_bytes = [], 0

    def _identify(self, at: float, continues: UtteranceId | None) -> UtteranceStarted:
        seq = self._next_seq
        self._next_seq += 1
        if self._reserved_end - self._next_seq < SEQ_LOW and self._asked_at < self._reserved_end:
            self._asked_at = self._reserved_end
            self._want_numbers(self._next_seq)
        self.report = replace(self.report, detected=self.report.detected + 1)
        return UtteranceStarted(self._new_id(), seq, at, clock.mono_offset(), continues)

    def _take_mail(self) -> None:
        for item in self.inbox.drain():
            match item:
                case Stop():
                    self._stopping = True
                case SeqReserved(end=end):
                    self._reserved_end = end

    def _rest(self, seconds: float) -> None:
        self.beat(seconds)
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        if poller.poll(seconds * 1000):
            self._take_mail()
