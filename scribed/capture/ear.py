"""From blocks of sound to utterances: the VAD, the gate and the levels, brought together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scribed.capture.conditioning import Conditioner
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.levels import Meter, quietest
from scribed.capture.proof import Proof, Sound
from scribed.capture.segmenter import Segmenter
from scribed.capture.trace import Trace, Witness
from scribed.interfaces import Adapting, Judge, Remembering, Vad
from scribed.model import (
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    Verdict,
    pcm_bytes,
    seconds,
)
from scribed.recording import Stand

METER_EVERY = 5
"""Levels are measured on one frame in so many: 10 a second are plenty, and need no numpy."""

PART_MS = 100
"""So much is heard at once, however much comes: an utterance's levels are those of its frames."""


_REFUSED = (Verdict.FAINT, Verdict.REFUSED)


class Ear:
    """Cuts utterances out of what it hears, each end with the levels of what it ends.

    `silent_s` is that of `Proof`. With a `conditioner` the VAD and the utterances get what it makes
    of the sound; levels and proof are always those of the sound as the microphone gave it.
    `witness` is told each decision, and the sound as the VAD got it.
    """

    def __init__(
        self,
        vad: Vad,
        gate: Gate,
        identify: Callable[[float, UtteranceId | None], UtteranceStarted],
        *,
        silent_s: float | None = None,
        conditioner: Conditioner | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._hear_with(vad)
        self._meter = Meter()
        self._conditioner = conditioner
        self._proof = Proof(silent_s, believes_vad=conditioner is None)
        self._segmenter = Segmenter(gate, identify=identify, quietest=quietest)
        self._frame_bytes = pcm_bytes(gate.frame_ms)
        self._part_bytes = PART_MS // gate.frame_ms * self._frame_bytes
        self._frame_s = gate.frame_ms / 1000
        self._metered_samples = METER_EVERY * self._frame_bytes // SAMPLE_BYTES
        self._frames = 0
        self.refused_frames = 0  #: that webrtcvad took for a voice, and the second stage did not
        self._trace, self._witness = Trace(), witness
        if witness is not None:
            self._segmenter.trace = self._trace

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
            self._hear_with(new_vad())
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
        if self._witness is None:
            return self._with_levels(self._segmenter.close(reason))
        self._trace.note(f"close {reason.value}")
        events = self._segmenter.close(reason)
        self._witness.noted(self._trace.take().notes)
        return self._with_levels(events)

    def reset(self) -> None:
        """What is heard next does not follow what was heard before."""
        self._vad.reset()
        self._proof.anew()
        self._begin_anew("reset")

    def resume(self) -> None:
        """What is heard next follows after a pause, in which it was at most overheard."""
        if isinstance(self._vad, Adapting):
            self._vad.resume()
        else:
            self._vad.reset()
        self._begin_anew("again")

    def overhear(self, block: Block) -> None:
        """Look whether it is sound at all; it is not to be listened to."""
        self._proof.part(block.pcm)
        every = METER_EVERY * self._frame_bytes
        for start in range(0, len(block.pcm), every):
            frame = block.pcm[start : start + self._frame_bytes]
            self._meter.look(frame)
            self._proof.frame(frame, voiced=False, stands_for=self._metered_samples)

    def lose(self) -> None:
        """The source is gone, and what was wrong with its sound."""
        self._proof.forget()

    def stand(self) -> Stand | None:
        """How the gate stands, for `go_on_from()`; None where that cannot be told."""
        gate = self._segmenter.stand()
        vad = self._vad.state() if gate and isinstance(self._vad, Remembering) else None
        return None if gate is None or vad is None else Stand(vad, gate)

    def go_on_from(self, stand: Stand, before: Block) -> None:
        """Stand so, as if the same had been heard before; `before`: see `Segmenter.go_on_from()`.

        Raises `ValueError` where the VAD is another one: it remembers nothing then.
        """
        self._segmenter.go_on_from(stand.gate, before)
        if not isinstance(self._vad, Remembering):
            raise ValueError("this VAD cannot go on from where another was")  # noqa: TRY004 -- said
        self._vad.restore(stand.vad)

    def _hear(self, block: Block) -> list[GateEvent]:
        if (witness := self._witness) is not None and witness.wants_stand:
            witness.stands(self.stand())
        self._proof.part(block.pcm)
        pcm = gate_pcm = block.pcm
        if self._conditioner is None:
            events = self._segmenter.feed(block, self._decide(pcm, pcm))
        else:
            gate_pcm, uplink_pcm = self._conditioner(pcm)
            decisions = self._decide(gate_pcm, pcm)
            events = self._segmenter.feed(block._replace(pcm=uplink_pcm), decisions)
        if witness is not None:
            witness.heard(block._replace(pcm=gate_pcm), self._trace.take())
        return self._with_levels(events) if events else events

    def _decide(self, pcm: bytes, heard: bytes) -> list[bool]:
        """Ask the VAD about each frame of `pcm`, and measure one in `METER_EVERY` of `heard`."""
        decisions = []
        for start in range(0, len(pcm), self._frame_bytes):
            frame = pcm[start : start + self._frame_bytes]
            voiced = self._vad(frame)
            decisions.append(voiced)
            if not voiced and self._judge is not None:
                self.refused_frames += self._judge.verdict in _REFUSED
            if self._witness is not None:
                self._trace.voice(self._said(voiced=voiced))
            self._frames += 1
            if self._frames % METER_EVERY == 0:
                frame = heard[start : start + self._frame_bytes]
                self._meter.add(frame, voiced=voiced)
                self._proof.frame(frame, voiced=voiced, stands_for=self._metered_samples)
        return decisions

    def _begin_anew(self, note: str) -> None:
        if self._conditioner:
            self._conditioner.reset()
        if self._witness is not None:
            self._witness.noted([(0, note)])

    def _hear_with(self, vad: Vad) -> None:
        self._vad = vad
        self._judge: Judge | None = vad if isinstance(vad, Judge) else None

    def _said(self, *, voiced: bool) -> str:
        verdict = Verdict.VOICED if voiced else Verdict.UNVOICED
        if self._judge is not None:
            verdict = self._judge.verdict
        return verdict.value

    def _with_levels(self, events: list[GateEvent]) -> list[GateEvent]:
        for n, event in enumerate(events):
            if isinstance(event, UtteranceStarted):
                self._meter.open()
            elif isinstance(event, UtteranceEnded):
                events[n] = replace(
                    event, level_dbfs=self._meter.utterance_dbfs, snr_db=self._meter.snr_db
                )
        return events
