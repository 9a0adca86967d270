"""Two hours of random faults, one every 5 to 20 s: nothing lost, nothing grows.

`scripts/test --soak`; `SCRIBED_SOAK_S` is another duration in seconds. Its report is
build/soak.json (`SCRIBED_SOAK_REPORT`: another file); `scripts/bench soak` makes a table of it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults import report
from tests.faults.bench import Bench
from tests.faults.soak import Soak

DURATION_S = float(os.environ.get("SCRIBED_SOAK_S", "7200"))
GROWTH_MIB_PER_H = 1.0
SETTLED_S = 300.0
"""After so long memory is what it stays: the first outages have filled what they fill."""


class Faults:
    """One of each kind; each ends what it has begun."""

    def __init__(self, bench: Bench, chance: random.Random) -> None:
        self._bench, self._chance = bench, chance
        self.counts: dict[str, int] = {}

    def strike(self) -> None:
        kinds: list[Callable[[], None]] = [
            self.reset,
            self.finish,
            self.link_down,
            self.half_open,
            self.refused,
            self.broker_killed,
            self.slow_link,
        ]
        kind = self._chance.choice(kinds)
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        self._bench.faults += 1
        kind()

    def _while(self, longest_s: float) -> None:
        threading.Event().wait(self._chance.uniform(0.2, longest_s))

    def reset(self) -> None:
        self._bench.uplink.reset()

    def finish(self) -> None:
        self._bench.uplink.finish()

    def half_open(self) -> None:
        self._bench.uplink.half_open()

    def link_down(self) -> None:
        self._bench.uplink.refuse()
        self._bench.uplink.reset()
        self._while(15.0)
        self._bench.uplink.listen()

    def refused(self) -> None:
        self._bench.cloud.http_status = self._chance.choice([401, 429, 503])
        self._bench.uplink.reset()
        self._while(5.0)
        self._bench.cloud.http_status = None

    def slow_link(self) -> None:
        self._bench.uplink.latency_s = 0.3
        self._while(5.0)
        self._bench.uplink.latency_s = 0.0

    def broker_killed(self) -> None:
        self._bench.broker.kill()
        self._while(5.0)
        self._bench.broker.start()
        self._bench.repeats += 1


def memory_mib(pid: int) -> float:
    """Memory that is the process's own: not of files, whose share others change by ending."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel does not say")


def rows(bench: Bench) -> int:
    """Finals in the ledger, when the daemon has ended."""
    with closing(sqlite3.connect(bench.robot.state_directory / "ledger.db")) as ledger:
        return int(ledger.execute("SELECT count(*) FROM final").fetchone()[0])


@pytest.mark.soak
@pytest.mark.timeout(int(DURATION_S) + 900)
def test_hours_of_faults_lose_nothing_and_nothing_grows(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    chance = random.Random(1)
    sections: dict[str, dict[str, Any]] = {
        "spool": {"max_mb": 64, "min_free_mb": 50, "keep_published_min": 5.0},
        "log": {"level": "info"},
    }
    with Bench(tmp_path, phrases, run=1, pace=1.0, sections=sections) as bench:
        bench.fresh()
        faults, pid = Faults(bench, chance), bench.robot.process.pid
        soak = Soak(DURATION_S, faults=faults.counts)
        begun = time.monotonic()
        while (age := time.monotonic() - begun) < DURATION_S:
            bench.microphone.wait_until_said(
                bench.say(chance.randrange(5), pause=chance.choice([80, 200, 600]))
            )
            faults.strike()
            threading.Event().wait(chance.uniform(5.0, 20.0))
            if age > min(SETTLED_S, DURATION_S / 4):
                soak.memory.append((age, memory_mib(pid)))
                soak.descriptors.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
                soak.threads.append(len(list(Path(f"/proc/{pid}/task").iterdir())))
        bench.settle(120)
        bench.fresh()
        assert bench.robot.process.pid == pid, "it was the same process all the time"
        assert bench.stop()[0] == 0
        soak.files = len(list((bench.robot.state_directory / "audio").glob("*.wav")))
        soak.finals = rows(bench)
        balances = bench.balances()
        soak.checks, soak.uneven = len(balances), sum(bool(each) for each in balances)
        passed = False
        try:
            bench.conclude("soak", note=f"{DURATION_S:.0f} s, {faults.counts}")
            assert soak.files == 0
            assert max(soak.descriptors) - min(soak.descriptors) <= 4  # connections come and go
            if DURATION_S >= 3600:
                assert soak.slope < GROWTH_MIB_PER_H
            passed = True
        finally:
            soak.write(report.ALL[-1], passed=passed)
