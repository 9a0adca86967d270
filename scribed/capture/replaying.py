"""Hearing a recording once more: the same ear, the same sound, the same interventions. Pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

from scribed.capture.conditioning import Conditioner
from scribed.capture.ear import Ear
from scribed.capture.gate import Gate
from scribed.interfaces import Vad
from scribed.model import (
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
    seconds,
)
from scribed.recording import CLOSED, DONE_TO_IT, Decisions, Note, Recording, Stand


class Notebook:
    """A `Witness` that writes down everything; `before` has the voices of frames that are over."""

    wants_stand = False

    def __init__(self, before: str = "") -> None:
        self._voices, self._gate = [before], [CLOSED * len(before)]
        self._notes: list[Note] = []
        self.frames = len(before)

    def stands(self, stand: Stand | None) -> None:
        """It was not asked for."""

    def heard(self, block: Block, decisions: Decisions) -> None:
        self._notes += [(self.frames + frame, words) for frame, words in decisions.notes]
        self._voices.append(decisions.voices)
        self._gate.append(decisions.gate)
        self.frames += len(decisions.gate)

    def noted(self, notes: Sequence[Note]) -> None:
        self._notes += [(self.frames, words) for _, words in notes]

    @property
    def pieces(self) -> int:
        """How often something was heard."""
        return len(self._gate)

    def since(self, pieces: int) -> Decisions:
        """What was decided since there were so many; without notes."""
        return Decisions("".join(self._voices[pieces:]), "".join(self._gate[pieces:]))

    @property
    def decisions(self) -> Decisions:
        return Decisions("".join(self._voices), "".join(self._gate), tuple(self._notes))


def new_ear(vad: Vad, gate: Gate, witness: Notebook, conditioner: Conditioner | None = None) -> Ear:
    """An ear whose utterances are nobody's."""
    numbers = itertools.count(1)

    def identify(at: float, continues: UtteranceId | None) -> UtteranceStarted:
        seq = next(numbers)
        return UtteranceStarted(UtteranceId(str(seq)), seq, at, continues=continues)

    return Ear(vad, gate, identify, conditioner=conditioner, witness=witness)


def replay(recording: Recording, vad: Vad, gate: Gate, *, alike: bool = True) -> Decisions:
    """What a gate with these settings decides about it: with the recording's own, and where it has
    a `stand`, the same as it did then. `gate.frame_ms` is the recording's.

    Raises `ValueError` where the VAD cannot go on from where the recorded one was; unless it need
    not be `alike`: then it begins anew.
    """
    stand, pcm, frame_bytes = recording.stand, recording.pcm, pcm_bytes(gate.frame_ms)
    before = "" if stand is None else stand.gate.before
    notebook = Notebook(before)
    ear = new_ear(vad, gate, notebook)
    if stand is not None:
        try:
            ear.go_on_from(stand, Block(pcm[: len(before) * frame_bytes], 0, 0.0))
        except ValueError:
            if alike:
                raise
    done = defaultdict(list)
    for frame, words in recording.decisions.notes:
        done[frame].append(words.split(" "))
    lost = 0
    for frame in range(len(before), len(pcm) // frame_bytes + 1):
        for word, *values in done[frame]:
            if word == "lost":
                lost += int(values[0])
            elif word in DONE_TO_IT:
                _do(ear, word, values)
        start = frame * frame_bytes
        if part := pcm[start : start + frame_bytes]:
            position = start // SAMPLE_BYTES + lost
            ear.hear(Block(part, position, seconds(start)))
    return notebook.decisions


def _do(ear: Ear, word: str, values: list[str]) -> None:
    match word:
        case "reset":
            ear.reset()
        case "again":
            ear.resume()
        case _:
            ear.close(EndReason(values[0]))
