"""From blocks of sound to utterances: the VAD, the gate and the levels, brought together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scribed.capture.conditioning import Conditioner
from scribed.capture.levels import Meter, quietest
from scribed.capture.proof import Proof, Sound
from scribed.capture.segmenter import Gate, GateEvent, Segmenter
from scribed.interfaces import Vad
from scribed.model import (
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
    seconds,
)

METER_EVERY = 5
"""Levels are measured on one frame in so many: 10 a second are plenty, and need no numpy."""

PART_MS = 100
"""So much is heard at once, however much comes: an utterance's levels are those of its frames."""


class Ear:
    """Cuts utterances out of what it hears, each end with the levels of what it ends.

    `silent_s` is that of `Proof`. With a `conditioner` the VAD and the utterances get what it makes
    of the sound; levels and proof are always those of the sound as the microphone gave it.
    """

    def __init__(
        self,
        vad: Vad,
        gate: Gate,
        identify: Callable[[float, UtteranceId | None], UtteranceStarted],
        *,
        silent_s: float | None = None,
        conditioner: Conditioner | None = None,
    ) -> None:
        self._vad, self._meter = vad, Meter()
        self._conditioner = conditioner
        self._proof = Proof(silent_s, believes_vad=conditioner is None)
        self._segmenter = Segmenter(gate, identify=identify, quietest=quietest)
        self._frame_bytes = pcm_bytes(gate.frame_ms)
        self._part_bytes = PART_MS // gate.frame_ms * self._frame_bytes
        self._frame_s = gate.frame_ms / 1000
        self._metered_samples = METER_EVERY * self._frame_bytes // SAMPLE_BYTES
        self._frames = 0

    def retune(self, gate: Gate, *, silent_s: float | None) -> None:
        """Hear by other settings from now on; only while nobody is engaged, and with frames of the
        same length."""
        self._proof.retune(silent_s, believes_vad=self._conditioner is None)
        self._segmenter.retune(gate)

    def renew(
        self,
        new_vad: Callable[[], Vad] | None,
        new_conditioner: Callable[[], Conditioner | None] | None,
    ) -> None:
        """Ask another VAD from now on, or condition the sound otherwise, before `retune()`; None:
        as it is."""
        if new_vad is not None:
            self._vad = new_vad()
        if new_conditioner is not None:
            self._conditioner = new_conditioner()

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._segmenter.is_open

    @property
    def is_engaged(self) -> bool:
        """Whether somebody speaks: an utterance is open, or may become one."""
        return self._segmenter.is_engaged

    @property
    def is_stirring(self) -> bool:
        """Whether somebody may begin to speak: there were voices just now."""
        return self._segmenter.is_stirring

    @property
    def patience_s(self) -> float:
        """How much may be heard at once without a later decision."""
        return self._segmenter.patience * self._frame_s

    @property
    def level_dbfs(self) -> float | None:
        """The level of the frame that was measured last."""
        return self._meter.level_dbfs

    @property
    def noise_floor_dbfs(self) -> float | None:
        """None: no frame without a voice yet."""
        return self._meter.noise_floor_dbfs

    @property
    def sound(self) -> Sound:
        """What else was measured, and what is wrong with it."""
        return self._proof.sound

    def hear(self, block: Block) -> list[GateEvent]:
        """Take the frames of `block`; return what they caused."""
        if len(block.pcm) <= self._part_bytes:
            return self._hear(block)
        events: list[GateEvent] = []
        for start in range(0, len(block.pcm), self._part_bytes):
            pcm = block.pcm[start : start + self._part_bytes]
            position = block.position + start // SAMPLE_BYTES
            events += self._hear(Block(pcm, position, block.at + seconds(start)))
        return events

    def close(self, reason: EndReason) -> list[GateEvent]:
        """End the open utterance, if any, for a reason outside the gate; forget the pre-roll."""
        return self._with_levels(self._segmenter.close(reason))

    def reset(self) -> None:
        """What is heard next does not follow what was heard before."""
        self._vad.reset()
        if self._conditioner:
            self._conditioner.reset()
        self._proof.anew()

    def lose(self) -> None:
        """The source is gone, and what was wrong with its sound."""
        self._proof.forget()

    def _hear(self, block: Block) -> list[GateEvent]:
        self._proof.part(block.pcm)
        pcm = block.pcm
        if self._conditioner is None:
            events = self._segmenter.feed(block, self._decide(pcm, pcm))
        else:
            conditioned = self._conditioner(pcm)
            decisions = self._decide(conditioned.gate, pcm)
            events = self._segmenter.feed(block._replace(pcm=conditioned.uplink), decisions)
        return self._with_levels(events) if events else events

    def _decide(self, pcm: bytes, heard: bytes) -> list[bool]:
        """Ask the VAD about each frame of `pcm`, and measure one in `METER_EVERY` of `heard`."""
        decisions = []
        for start in range(0, len(pcm), self._frame_bytes):
            frame = pcm[start : start + self._frame_bytes]
            voiced = self._vad(frame)
            decisions.append(voiced)
            self._frames += 1
            if self._frames % METER_EVERY == 0:
                frame = heard[start : start + self._frame_bytes]
                self._meter.add(frame, voiced=voiced)
                self._proof.frame(frame, voiced=voiced, stands_for=self._metered_samples)
        return decisions

    def _with_levels(self, events: list[GateEvent]) -> list[GateEvent]:
        for n, event in enumerate(events):
            if isinstance(event, UtteranceStarted):
                self._meter.open()
            elif isinstance(event, UtteranceEnded):
                events[n] = replace(
                    event, level_dbfs=self._meter.utterance_dbfs, snr_db=self._meter.snr_db
                )
        return events
