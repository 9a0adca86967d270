"""From blocks of sound to utterances: the VAD, the gate and the levels, brought together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from scribed.capture.conditioning import Conditioner
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.levels import Meter, quietest
from scribed.capture.proof import Fault, Proof, Sound
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
LULL_PARTS = 4
"""So many parts in which nobody speaks may wait for the next, and so many in which somebody does
for being measured: what is said of the sound is half a second old at most."""


_VOICED, _UNVOICED = Verdict.VOICED, Verdict.UNVOICED
_FAINT, _REFUSED = Verdict.FAINT, Verdict.REFUSED


def _patience_s(gate: Gate) -> float:
    """How much may be heard at once while nobody speaks."""
    return gate.frames(gate.hangover_ms) * gate.frame_ms / 1000


class _Plain:
    """Asks a VAD that does not say why, as a `Judge` is asked."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad

    def ask(self, pcm: bytes, frame_bytes: int) -> list[bool]:
        return [self._vad(pcm[at : at + frame_bytes]) for at in range(0, len(pcm), frame_bytes)]

    @staticmethod
    def judge(_pcm: bytes, _frame_bytes: int, asked: Sequence[bool]) -> list[Verdict]:
        return [_VOICED if voiced else _UNVOICED for voiced in asked]


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
        self._frame_s, self._calm_s = gate.frame_ms / 1000, _patience_s(gate)
        self._metered_samples = METER_EVERY * self._frame_bytes // SAMPLE_BYTES
        self._frames = 0
        self._lull: list[tuple[Block, list[bool]]] = []  # heard, asked about, and no more than that
        self._calm = True  # nobody speaks, nor may begin to: nothing comes of a lull
        self._unmeasured: list[tuple[bytes, list[bool]]] = []  # with what was decided of its frames
        self.refused_frames = 0  #: that webrtcvad took for a voice, and the second stage did not
        self._trace, self._witness = Trace(), witness
        if witness is not None:
            self._segmenter.trace = self._trace

    def retune(self, gate: Gate, *, silent_s: float | None) -> None:
        """Hear by other settings from now on; only while nobody is engaged, and with frames of the
        same length."""
        self._catch_up()
        self._proof.retune(silent_s, believes_vad=self._conditioner is None)
        self._segmenter.retune(gate)
        self._calm_s = _patience_s(gate)

    def renew(
        self,
        new_vad: Callable[[], Vad] | None,
        new_conditioner: Callable[[], Conditioner | None] | None,
    ) -> None:
        """Ask another VAD from now on, or condition the sound otherwise, before `retune()`; None:
        as it is."""
        self._catch_up()
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
        return self._calm_s if self._calm else self._segmenter.patience * self._frame_s

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

    @property
    def fault(self) -> Fault | None:
        """What is wrong with the sound."""
        return self._proof.fault

    def hear(self, block: Block) -> list[GateEvent]:
        """Take the frames of `block`; return what they caused."""
        if len(block.pcm) <= self._part_bytes:
            return self._hear_part(block)
        events: list[GateEvent] = []
        for start in range(0, len(block.pcm), self._part_bytes):
            pcm = block.pcm[start : start + self._part_bytes]
            position = block.position + start // SAMPLE_BYTES
            events += self._hear_part(Block(pcm, position, block.at + seconds(start)))
        return events

    def close(self, reason: EndReason) -> list[GateEvent]:
        """End the open utterance, if any, for a reason outside the gate; forget the pre-roll."""
        self._catch_up()
        self._calm = True
        if self._witness is None:
            return self._with_levels(self._segmenter.close(reason))
        self._trace.note(f"close {reason.value}")
        events = self._segmenter.close(reason)
        self._witness.noted(self._trace.take().notes)
        return self._with_levels(events)

    def reset(self) -> None:
        """What is heard next does not follow what was heard before."""
        self._catch_up()
        self._vad.reset()
        self._proof.anew()
        self._begin_anew("reset")

    def resume(self) -> None:
        """What is heard next follows after a pause, in which it was at most overheard."""
        self._catch_up()
        if isinstance(self._vad, Adapting):
            self._vad.resume()
        else:
            self._vad.reset()
        self._begin_anew("again")

    def overhear(self, block: Block) -> None:
        """Look whether it is sound at all; it is not to be listened to."""
        self._catch_up()
        self._proof.part(block.pcm)
        every = METER_EVERY * self._frame_bytes
        for start in range(0, len(block.pcm), every):
            frame = block.pcm[start : start + self._frame_bytes]
            self._meter.look(frame)
            self._proof.frame(frame, voiced=False, stands_for=self._metered_samples)

    def lose(self) -> None:
        """The source is gone, and what was wrong with its sound."""
        self._catch_up()
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

    def _hear_part(self, block: Block) -> list[GateEvent]:
        """In a lull only the VAD is asked at once. All else is done with what follows, in one go:
        what comes back to it ten times a second finds none of its code in the caches."""
        if self._conditioner is not None or self._witness is not None:
            return self._hear(block)
        asked = self._ask(block.pcm, self._frame_bytes)
        if self._calm and len(self._lull) < LULL_PARTS and True not in asked:
            self._lull.append((block, asked))
            return []
        self._end_lull()
        return self._hear(block, asked)

    def _catch_up(self) -> None:
        """Do what was left for later."""
        self._end_lull()
        self._measure()

    def _end_lull(self) -> None:
        lull, self._lull = self._lull, []
        for block, asked in lull:
            self._hear(block, asked)

    def _hear(self, block: Block, asked: list[bool] | None = None) -> list[GateEvent]:
        if (witness := self._witness) is not None and witness.wants_stand:
            witness.stands(self.stand())
        gate_pcm = block.pcm
        if self._conditioner is None:
            decisions = self._decide(gate_pcm, asked)
            events = self._segmenter.feed(block, decisions)
        else:
            gate_pcm, uplink_pcm = self._conditioner(block.pcm)
            decisions = self._decide(gate_pcm, None)
            events = self._segmenter.feed(block._replace(pcm=uplink_pcm), decisions)
        self._unmeasured.append((block.pcm, decisions))
        if witness is not None or len(self._unmeasured) > LULL_PARTS:
            self._measure()
        if witness is not None:
            witness.heard(block._replace(pcm=gate_pcm), self._trace.take())
        self._calm = not (self._segmenter.is_engaged or self._segmenter.is_stirring)
        return self._with_levels(events) if events else events

    def _decide(self, pcm: bytes, asked: list[bool] | None) -> list[bool]:
        """What the VAD says of each frame of `pcm`."""
        if asked is None:
            asked = self._ask(pcm, self._frame_bytes)
        verdicts = self._judge(pcm, self._frame_bytes, asked)
        decisions = [verdict is _VOICED for verdict in verdicts]
        if _FAINT in verdicts or _REFUSED in verdicts:
            self.refused_frames += verdicts.count(_FAINT) + verdicts.count(_REFUSED)
        if self._witness is not None:
            self._trace.voices(verdicts)
        return decisions

    def _measure(self) -> None:
        """Look for silence in all that was heard, and measure one frame in `METER_EVERY`."""
        unmeasured, self._unmeasured = self._unmeasured, []
        for pcm, decisions in unmeasured:
            self._proof.part(pcm)
            first = METER_EVERY - 1 - self._frames % METER_EVERY
            for n in range(first, len(decisions), METER_EVERY):
                frame = pcm[n * self._frame_bytes : (n + 1) * self._frame_bytes]
                self._meter.add(frame, voiced=decisions[n])
                self._proof.frame(frame, voiced=decisions[n], stands_for=self._metered_samples)
            self._frames += len(decisions)

    def _begin_anew(self, note: str) -> None:
        if self._conditioner:
            self._conditioner.reset()
        if self._witness is not None:
            self._witness.noted([(0, note)])

    def _hear_with(self, vad: Vad) -> None:
        self._vad = vad
        judge = vad if isinstance(vad, Judge) else _Plain(vad)
        self._ask, self._judge = judge.ask, judge.judge

    def _with_levels(self, events: list[GateEvent]) -> list[GateEvent]:
        for n, event in enumerate(events):
            if isinstance(event, UtteranceStarted):
                self._measure()
                self._meter.open()
            elif isinstance(event, UtteranceEnded):
                self._measure()
                events[n] = replace(
                    event, level_dbfs=self._meter.utterance_dbfs, snr_db=self._meter.snr_db
                )
        return events
