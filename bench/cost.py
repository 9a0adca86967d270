"""What a process has used, by the kernel's account."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HOUR = 3600


@dataclass(frozen=True)
class Cost:
    """Since the process began: CPU seconds and voluntary context switches of all its threads (of
    those that live, the switches); memory now, and at its highest."""

    cpu_s: float
    switches: int
    rss_mb: float
    peak_mb: float


def cost(pid: int) -> Cost:
    """What the process `pid` has used so far."""
    status = _status(Path(f"/proc/{pid}/status"))
    threads = [_status(task / "status") for task in Path(f"/proc/{pid}/task").iterdir()]
    return Cost(
        cpu_s=time.clock_gettime(_cpu_clock(pid)),
        switches=sum(int(each["voluntary_ctxt_switches"]) for each in threads),
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        peak_mb=int(status["VmHWM"].split()[0]) / 1024,
    )


def all_of(pids: Iterable[int]) -> Cost:
    """What these processes have used together; their highest memory may not have been at once."""
    each = [cost(pid) for pid in pids]
    return Cost(
        cpu_s=sum(one.cpu_s for one in each),
        switches=sum(one.switches for one in each),
        rss_mb=sum(one.rss_mb for one in each),
        peak_mb=sum(one.peak_mb for one in each),
    )


@dataclass(frozen=True)
class Pace:
    """What a process used from one look at it to another, for each hour or second between them."""

    cpu_s_per_h: float
    switches_per_s: float
    peak_mb: float


def pace(before: Cost, after: Cost, seconds: float) -> Pace:
    """See `Pace`."""
    return Pace(
        (after.cpu_s - before.cpu_s) / seconds * HOUR,
        (after.switches - before.switches) / seconds,
        after.peak_mb,
    )


@dataclass(frozen=True)
class Spread:
    """The median of some values, and from where to where they go."""

    median: float
    least: float
    most: float
    digits: int

    def __str__(self) -> str:
        middle, least, most = (
            f"{each:.{self.digits}f}" for each in (self.median, self.least, self.most)
        )
        return middle if least == most == middle else f"{middle} ({least}–{most})"


def spread(values: Sequence[float], digits: int = 1) -> Spread:
    """Of at least one value; shown with so many digits."""
    return Spread(statistics.median(values), min(values), max(values), digits)


def _cpu_clock(pid: int) -> int:
    """The clock of another process's CPU time, in nanoseconds, where /proc counts in 10 ms:
    clock_getcpuclockid(3), which Python gives for threads only."""
    return (~pid << 3) | 2


def _status(path: Path) -> dict[str, str]:
    lines = (line.split(":", 1) for line in path.read_text().splitlines())
    return {name: value.strip() for name, value in lines}
