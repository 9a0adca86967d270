"""The figures that scenarios measure: printed when all have run, for docs/guarantees.md."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Figures:
    """What one scenario came to."""

    scenario: str
    utterances: int = 0  #: that were said
    speech_ms: int = 0  #: of speech that the daemon took
    lost_ms: int = 0  #: of it that nothing ever said anything about
    doubled_ms: int = 0  #: in two different utterances
    misplaced: int = 0  #: texts under another utterance's number
    below_gate_ms: int = 0  #: in pieces too short for the gate, at the cuts of a stop or a kill
    late: int = 0
    ended: int = 0  #: without text
    faults: int = 0
    repeats: int = 0  #: finals and ends that were published again, under the same id
    connects: int = 0
    reconnect_s: float | None = None  #: the longest, from the end of a fault to the next session
    fresh_s: float | None = None  #: the longest, from the end of a fresh phrase to its transcript
    note: str = ""


ALL: list[Figures] = []


def add(figures: Figures) -> None:
    ALL.append(figures)
    if path := os.environ.get("SCRIBED_FIGURES"):
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(figures)) + "\n")


COLUMNS = {
    "said": "utterances",
    "speech": "speech_ms",
    "lost": "lost_ms",
    "doubled": "doubled_ms",
    "wrong": "misplaced",
    "short": "below_gate_ms",
    "late": "late",
    "ended": "ended",
    "faults": "faults",
    "repeats": "repeats",
    "connects": "connects",
    "reconnect": "reconnect_s",
    "fresh": "fresh_s",
}
"""Of the table; speech, lost, doubled and short are ms, reconnect and fresh are s."""


def lines() -> list[str]:
    """A table, one line a scenario."""
    out = [f"{'scenario':40}" + "".join(f"{head:>10}" for head in COLUMNS)]
    for figures in ALL:
        cells = [_cell(getattr(figures, name)) for name in COLUMNS.values()]
        row = f"{figures.scenario:40}" + "".join(f"{cell:>10}" for cell in cells)
        out.append(f"{row}  {figures.note}".rstrip())
    return out


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
