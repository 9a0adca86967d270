"""SIGTERM at random moments (G12): it ends in time, and no captured frame is lost."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.seeds import seeds

STOP_S = 5.0


@pytest.mark.parametrize("seed", seeds("stop", 1, 12))
def test_what_was_captured_before_a_stop_is_answered(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"stop {seed}")
    worst_s = 0.0
    with Bench(tmp_path, phrases, run=seed, pace=2.0) as bench:
        for n in range(3):
            bench.say(n)
            bench.say(n + 1)
            threading.Event().wait(chance.uniform(0.1, 2.0))
            status, took_s = bench.stop()
            bench.faults += 1
            worst_s = max(worst_s, took_s)
            assert (status, took_s < STOP_S) == (0, True), f"{took_s} s\n{bench.robot.log}"
            bench.start_again()
        bench.settle()
        bench.fresh()
        bench.conclude("SIGTERM", note=f"took at most {worst_s:.2f} s")
