"""What the gate decides, as it decides it, for whoever watches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from scribed.model import Block, Verdict
from scribed.recording import Decisions, Note, Stand


class Trace:
    """What was decided since the last `take()`, as `scribed.recording.Decisions` has it: the ear
    writes what the VAD said and what is done to the gate, the segmenter what comes of it."""

    def __init__(self) -> None:
        self._voices: list[str] = []
        self._gate: list[str] = []
        self._notes: list[Note] = []

    def voices(self, said: Iterable[Verdict]) -> None:
        """What the VAD said of each frame."""
        self._voices.extend(verdict.value for verdict in said)

    def stood(self, gate: str, frames: int = 1) -> None:
        """How the gate stands behind each of so many frames, a character."""
        self._gate.extend(gate * frames)

    def note(self, words: str) -> None:
        """Something happened at the frame that comes next."""
        self._notes.append((len(self._gate), words))

    def take(self) -> Decisions:
        """All of it; frames count from the last time."""
        taken = Decisions("".join(self._voices), "".join(self._gate), tuple(self._notes))
        self._voices.clear()
        self._gate.clear()
        self._notes.clear()
        return taken


class Witness(Protocol):
    """Is told what an ear hears and decides, by the ear's own thread."""

    wants_stand: bool
    """Whether `stands()` is to be called before the next `heard()`."""

    def stands(self, stand: Stand | None) -> None:
        """How the gate stands; None: that cannot be told now."""
        ...

    def heard(self, block: Block, decisions: Decisions) -> None:
        """The frames of `block`, at most 100 ms, were decided; notes count from its first."""
        ...

    def noted(self, notes: Sequence[Note]) -> None:
        """Something was done to the gate behind what was heard last."""
        ...
