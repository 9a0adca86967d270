"""What a soak came to, as a file: `scripts/bench soak` puts it into docs/figures.md."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import kept
from tests.faults.report import Figures

REPORT = Path(os.environ.get("SCRIBED_SOAK_REPORT") or kept.ROOT / "build" / "soak.json")


@dataclass
class Soak:
    """Filled while it runs. Memory in MiB, by seconds since the begin, from when it has settled."""

    seconds: float
    commit: str = field(default_factory=kept.commit)
    machine: str = field(default_factory=kept.machine)
    faults: dict[str, int] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: int = 0  #: of sound, left behind
    finals: int = 0  #: in the ledger
    checks: int = 0  #: of the conservation law, by the daemon
    uneven: int = 0  #: of them, those that did not hold

    @property
    def slope(self) -> float:
        """MiB an hour."""
        return slope_per_h(self.memory)

    def write(self, figures: Figures, *, passed: bool) -> None:
        """The report, whether it passed or not."""
        told: dict[str, Any] = asdict(figures) | {
            "commit": self.commit,
            "machine": self.machine,
            "load": round(os.getloadavg()[2], 1),
            "seconds": round(self.seconds),
            "faults_by_kind": self.faults,
            "memory_mib": {
                "first": round(self.memory[0][1], 1),
                "last": round(self.memory[-1][1], 1),
                "slope_per_h": round(self.slope, 2),
            },
            "descriptors": [min(self.descriptors), max(self.descriptors)],
            "threads": [min(self.threads), max(self.threads)],
            "files": self.files,
            "finals": self.finals,
            "checks": self.checks,
            "uneven": self.uneven,
            "passed": passed,
        }
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def slope_per_h(samples: list[tuple[float, float]]) -> float:
    """Least squares through (seconds, value)."""
    n = len(samples)
    mean_t = sum(t for t, _ in samples) / n
    mean_v = sum(v for _, v in samples) / n
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return sum((t - mean_t) * (v - mean_v) for t, v in samples) / spread * 3600
