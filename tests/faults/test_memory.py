"""Memory stays bounded whatever the peers do (G7)."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import pytest

from tests.faults.bench import Bench

GROWTH_MB = 16.0
AT_MOST_MB = 128.0
MOST_OF_A_CORE = 0.25
OUTAGE_MB = 5.0


def rss_mb(bench: Bench, kind: str = "VmRSS") -> float:
    status = Path(f"/proc/{bench.robot.process.pid}/status").read_text()
    found = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def cpu_s(bench: Bench) -> float:
    """What it has cost so far, in seconds of one core."""
    fields = Path(f"/proc/{bench.robot.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.slow)])
@pytest.mark.timeout(200)
def test_an_outage_costs_little(tmp_path: Path, phrases: list[bytes], seconds: float) -> None:
    with Bench(tmp_path, phrases, run=1, pace=1.0, quick=False) as bench:
        bench.fresh()
        before_mb, before_s = rss_mb(bench), cpu_s(bench)
        bench.uplink.refuse()
        bench.uplink.reset()
        bench.faults = 1
        for _ in range(int(seconds / 5) + 1):
            bench.say(4)
        began = time.monotonic()
        bench.microphone.hush()
        threading.Event().wait(began + seconds - time.monotonic())
        lasted_s = time.monotonic() - began
        share = (cpu_s(bench) - before_s) / lasted_s
        grown_mb = rss_mb(bench) - before_mb
        bench.uplink.listen()
        bench.settle(60)
        bench.fresh()
        bench.conclude(
            f"what {seconds:.0f} s of outage cost",
            note=f"{share:.1%} of a core while speaking, {grown_mb:+.1f} MB",
        )
        assert share <= MOST_OF_A_CORE
        assert grown_mb <= OUTAGE_MB


def conclude(bench: Bench, scenario: str, before_mb: float) -> None:
    peak_mb = rss_mb(bench, "VmHWM")
    bench.conclude(scenario, note=f"{before_mb:.1f} MB, at most {peak_mb:.1f} MB")
    assert peak_mb - before_mb <= GROWTH_MB
    assert peak_mb <= AT_MOST_MB


@pytest.mark.parametrize("seconds", [5.0, pytest.param(90.0, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
def test_a_service_that_never_answers_costs_no_more_than_what_was_said(
    tmp_path: Path, phrases: list[bytes], seconds: float
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.fresh()
        before_mb = rss_mb(bench)
        bench.cloud.silent = True
        bench.faults = 1
        for n in range(int(seconds)):
            bench.say(4 - n % 2)
        threading.Event().wait(seconds)
        bench.microphone.hush()
        bench.cloud.silent = False
        bench.settle(30 + 2 * seconds)
        bench.fresh()
        conclude(bench, f"a silent service, {seconds:.0f} s", before_mb)


def test_a_storm_of_partials_costs_nothing(tmp_path: Path, phrases: list[bytes]) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.fresh()
        before_mb = rss_mb(bench)
        bench.cloud.partials = 3000
        for n in range(3):
            bench.say(n)
        bench.settle()
        bench.cloud.partials = 0
        bench.fresh()
        conclude(bench, "3000 partials before each answer", before_mb)


def test_a_message_of_16_mib_is_refused_before_it_is_read(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.fresh()
        before_mb = rss_mb(bench)
        bench.cloud.shout_bytes = 16 << 20
        for n in range(3):
            bench.say(n)
        bench.microphone.hush()
        bench.cloud.wait_for(lambda: len(bench.cloud.commits) >= 4)
        bench.cloud.shout_bytes = 0
        bench.faults = 1
        bench.settle()
        bench.fresh()
        conclude(bench, "messages of 16 MiB", before_mb)
