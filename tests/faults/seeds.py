"""Which seeds a scenario runs with: those that failed once, a fixed few, and more in a full run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

REGRESSIONS = Path(__file__).with_name("regressions.txt")


def seeds(scenario: str, few: int, many: int = 0) -> list[Any]:
    """Seeds for `parametrize`: 0 to `few` always, the others up to `many` only in a full run."""
    kept = [seed for name, seed in _kept() if name == scenario]
    always = [*kept, *(seed for seed in range(few) if seed not in kept)]
    slow = [seed for seed in range(few, many) if seed not in kept]
    return [*always, *(pytest.param(seed, marks=pytest.mark.slow) for seed in slow)]


def _kept() -> list[tuple[str, int]]:
    lines = REGRESSIONS.read_text().splitlines() if REGRESSIONS.exists() else []
    rows = [line.partition("#")[0].rsplit(maxsplit=1) for line in lines]
    return [(row[0], int(row[1])) for row in rows if len(row) == 2]
