"""kill -9 at any instant (G3): at most 100 ms inside an utterance, 400 ms at its start.

What one read of the daemon brings it has only in memory for a moment. From a microphone that is no
more than 100 ms; where sound comes faster than it is spoken it may be as much as was there, and so
the bound is that, where it is more: `Microphone.gulp_ms`.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import threading
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.oracle import PERIOD_FRAMES
from tests.faults.seeds import seeds
from tests.faults.trace import STRACE, killing, needs_strace, traced
from tests.faults.watermark import FRAME_MS, Span

INSIDE_MS, AT_START_MS = 100, 400
PERIOD_MS = PERIOD_FRAMES * FRAME_MS
"""What is no whole frame of the daemon's yet."""
GAP_MS = 50
"""How exactly the daemon knows how long it was away."""
LOST_S = 5.0
"""What has no text so long after the last word is lost, where the link is well."""
CALLS = {
    "write": 60,
    "pwrite64": 16,
    "fdatasync": 3,
    "ftruncate": 2,
    "rename": 2,
    "unlink": 2,
    "sendto": 12,
    "openat": 3,
}
"""System calls, and about how many of them one thread makes for two phrases."""


def losses(bench: Bench) -> tuple[int, int]:
    """The largest loss inside an utterance and at the start of one, in ms."""
    inside = at_start = 0
    answered = {n for n in bench.microphone.speech() if n not in set(bench.judge.missing())}
    for span in bench.judge.verdict().lost:
        if span.first - 1 in answered:
            inside = max(inside, len(span.numbers))
        else:
            at_start = max(at_start, len(span.numbers))
    return inside * FRAME_MS, at_start * FRAME_MS


def conclude(bench: Bench, scenario: str) -> None:
    """Within the bounds at every kill, and each loss stands right before one."""
    inside_ms, at_start_ms = losses(bench)
    frames, gulp_ms = bench.microphone.frames, bench.microphone.gulp_ms

    def at_a_cut(span: Span) -> bool:
        return not frames[span.last + 1].captured

    bench.repeats = bench.faults
    lost = bench.judge.verdict().lost
    bench.conclude(
        scenario,
        lost_ms=(AT_START_MS + gulp_ms) * bench.faults,
        note=f"at most {inside_ms} ms inside and {at_start_ms} ms at the start, "
        f"after at most {gulp_ms} ms at once",
    )
    assert all(at_a_cut(span) for span in lost), f"lost elsewhere: {lost}\n{bench.robot.log}"
    assert inside_ms <= max(INSIDE_MS, gulp_ms) + PERIOD_MS
    assert at_start_ms <= AT_START_MS + max(0, gulp_ms - INSIDE_MS) + PERIOD_MS


def check_the_gaps(bench: Bench) -> int:
    """What the daemon says that it missed is what the microphone knows; how wrong it is, in ms."""
    captured = [spoken.captured for spoken in bench.microphone.frames]
    runs = [(heard, len(list(run)) * FRAME_MS) for heard, run in itertools.groupby(captured)]
    missed = [ms for heard, ms in runs[1:] if not heard]  # but for what was before the first start
    told: list[int] = [gap["lost_ms"] for gap in bench.robot.events("audio_gap")]
    wrong = [abs(one - other) for one, other in zip(missed, told, strict=True)]
    assert max(wrong) <= GAP_MS, f"missed {missed}, told {told}"
    return max(wrong)


@pytest.mark.parametrize("seed", seeds("kill", 1, 20))
@pytest.mark.timeout(240)
def test_kill_9_at_a_random_instant_loses_what_was_not_yet_written(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"kill {seed}")
    with Bench(tmp_path, phrases, run=seed, pace=1.0) as bench:
        for _ in range(5):
            bench.say(chance.randrange(1, 4))
            threading.Event().wait(chance.uniform(0.2, 2.0))
            bench.kill()
            bench.faults += 1
            threading.Event().wait(chance.uniform(0.0, 0.3))
            bench.start_again()
        bench.settle(LOST_S)
        bench.fresh()
        conclude(bench, "kill -9")


@pytest.mark.parametrize("seed", seeds("kill in an outage", 1, 20))
@pytest.mark.timeout(240)
def test_kill_9_while_the_link_is_down_loses_nothing_that_was_said_to_its_end(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"kill in an outage {seed}")
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.fresh()
        bench.settle()
        bench.uplink.refuse()
        bench.uplink.reset()
        for _ in range(4):
            bench.say(chance.randrange(5))
            bench.say(chance.randrange(5))
            bench.microphone.hush()
            threading.Event().wait(chance.uniform(0.0, 0.5))
            bench.kill()
            bench.faults += 1
            bench.start_again()
        bench.uplink.listen()
        bench.settle(60)
        bench.fresh()
        bench.repeats = bench.faults
        bench.conclude("kill -9 in an outage")


@pytest.mark.parametrize("seed", seeds("kill in recovery", 1, 6))
@pytest.mark.timeout(240)
def test_kill_9_during_recovery_loses_nothing(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"kill in recovery {seed}")
    with Bench(tmp_path, phrases, run=seed) as bench:
        leave_something(bench)
        for _ in range(6):
            bench.robot.start()
            threading.Event().wait(chance.uniform(0.1, 0.8))
            bench.kill()
            bench.faults += 1
        bench.start_again()
        bench.settle(60)
        bench.fresh()
        bench.repeats = bench.faults
        bench.conclude("kill -9 in recovery")


def leave_something(bench: Bench) -> None:
    """A daemon was killed in an outage, and left utterances; the link is there again."""
    bench.fresh()
    bench.settle()
    bench.uplink.refuse()
    bench.uplink.reset()
    for n in range(4):
        bench.say(n)
    bench.microphone.hush()
    bench.kill()
    bench.faults += 1
    bench.uplink.listen()


def test_what_was_missed_while_it_was_away_is_told(tmp_path: Path, phrases: list[bytes]) -> None:
    with Bench(tmp_path, phrases, run=1, pace=1.0) as bench:
        for pause_s in (0.0, 0.7):
            bench.say(0)
            bench.microphone.hush()
            bench.kill()
            bench.faults += 1
            threading.Event().wait(pause_s)
            bench.start_again()
        bench.settle()
        bench.fresh()
        bench.repeats = bench.faults
        wrong_ms = check_the_gaps(bench)
        bench.conclude("kill -9: the gap", note=f"told to {wrong_ms} ms")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.timeout(240)
def test_kill_9_while_the_end_of_a_long_utterance_is_looked_for_loses_no_more(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    """Near `max_utterance_s` the last 2 s may yet go to the next utterance."""
    chance = random.Random(f"kill near the maximum {seed}")
    vad = {"max_utterance_s": 8.0}
    with Bench(tmp_path, phrases, run=seed, pace=1.0, sections={"vad": vad}) as bench:
        for _ in range(3):
            said = [bench.say(4, pause=0) for _ in range(4)]
            bench.microphone.wait_until_said(said[0], 0.01)
            threading.Event().wait(chance.uniform(6.2, 8.4))
            bench.kill()
            bench.faults += 1
            bench.microphone.hush()
            bench.start_again()
        bench.settle(LOST_S)
        bench.fresh()
        conclude(bench, "kill -9 near the maximum")


@needs_strace
@pytest.mark.parametrize(
    "call", ["write", *(pytest.param(c, marks=pytest.mark.slow) for c in list(CALLS)[1:])]
)
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
def test_kill_9_at_the_nth_system_call_while_it_hears_loses_no_more(
    tmp_path: Path, phrases: list[bytes], call: str, kills: int
) -> None:
    chance = random.Random(f"{call} {kills}")
    fired = 0
    with Bench(tmp_path, phrases, run=1, pace=1.0) as bench:
        for _ in range(kills):
            process = bench.robot.process
            with traced(process.pid, killing(call, chance.randrange(1, CALLS[call] + 1))):
                bench.say(chance.randrange(4))
                bench.say(chance.randrange(3))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(6)
                    fired += 1
                bench.kill()
            bench.microphone.hush()
            bench.faults += 1
            bench.start_again()
        bench.settle(LOST_S)
        bench.fresh()
        assert fired >= kills // 2, "the kills came too late"
        conclude(bench, f"kill -9 at the n-th {call}")


@needs_strace
@pytest.mark.parametrize(
    "call",
    ["pwrite64", *(pytest.param(c, marks=pytest.mark.slow) for c in CALLS if c != "pwrite64")],
)
@pytest.mark.timeout(400)
def test_kill_9_at_the_nth_system_call_of_a_recovery_loses_nothing(
    tmp_path: Path, phrases: list[bytes], call: str
) -> None:
    chance = random.Random(call)
    with Bench(tmp_path, phrases, run=2) as bench:
        leave_something(bench)
        for _ in range(3):
            # The interpreter's own opens come before ours.
            nth = chance.randrange(*((300, 1500) if call == "openat" else (1, CALLS[call] + 1)))
            bench.robot.run_under(*STRACE, "-D", *killing(call, nth))
            bench.robot.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                bench.robot.process.wait(4)
            bench.kill()
            bench.faults += 1
        bench.robot.run_under()
        bench.start_again()
        bench.settle(60)
        bench.fresh()
        bench.repeats = bench.faults
        bench.conclude(f"kill -9 at the n-th {call} of a recovery")
