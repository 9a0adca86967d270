"""Late speech (G2b): old speech waits for live speech, is replayed at a pace, or is not wanted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.bench import Bench

STALE_S = 2.0
CATCH_UP = 4.0
LATER_S = 2.0
"""So much later than without a backlog live speech may have its text."""
RATE_SLACK = 1.15


def wait_until_stale(bench: Bench) -> None:
    """All that was said is older than `STALE_S`."""
    bench.microphone.hush()
    last = max(spoken.at for spoken in bench.microphone.speech().values())
    time.sleep(max(0.0, last + STALE_S + 0.3 - time.time()))


def test_where_late_speech_is_not_wanted_it_ends_as_expired_and_is_not_paid_for(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    sections = {"transcript": {"late": "drop", "stale_after_s": STALE_S}}
    with Bench(tmp_path, phrases, run=1, sections=sections) as bench:
        bench.judge.stale_after_s = STALE_S
        bench.fresh()
        bench.uplink.refuse()
        bench.uplink.reset()
        bench.faults = 1
        old = {bench.say(n) for n in range(3)}
        wait_until_stale(bench)
        bench.robot.wait_for(lambda: len(bench.robot.on("ended")) == 3)
        bench.kill()  # what expired does not come back
        bench.uplink.listen()
        bench.start_again()
        bench.fresh()
        bench.settle()
        bench.repeats = 1
        bench.conclude("late = drop")
        assert {m.payload["outcome"] for m in bench.robot.on("ended")} == {"expired"}
        assert not bench.robot.on("late")
        sent = {n for commit in bench.cloud.commits for n in commit.utterances}
        assert not sent & old


def answered_within_s(bench: Bench, utterance: int) -> float:
    """From the last voiced frame of an utterance to its text."""
    bench.wait_for_text_of(utterance)
    said_at = max(s.at for s in bench.microphone.frames if s.utterance == utterance)
    texts = [m for m in bench.robot.on("transcript") if f"u{utterance} " in m.payload["text"]]
    assert texts, f"utterance {utterance} was late"
    return texts[0].at - said_at


@pytest.mark.parametrize("waiting_s", [16, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(200)
def test_live_speech_hardly_waits_for_a_replay_that_keeps_its_pace(
    tmp_path: Path, phrases: list[bytes], waiting_s: int
) -> None:
    sections = {"transcript": {"stale_after_s": STALE_S}, "spool": {"catch_up_rate": CATCH_UP}}
    with Bench(tmp_path, phrases, run=1, pace=1.0, sections=sections) as bench:
        bench.judge.stale_after_s = STALE_S + LATER_S
        without_s = answered_within_s(bench, bench.say(1))
        bench.microphone.pace = 8.0
        bench.uplink.refuse()
        bench.uplink.reset()
        bench.faults = 1
        waiting = {bench.say(4) for _ in range(waiting_s // 4)}
        wait_until_stale(bench)
        bench.microphone.pace = 1.0
        bench.uplink.listen()
        bench.robot.wait_for(lambda: bench.robot.on("late"))
        live: list[int] = []
        while len({m.payload["seq"] for m in bench.robot.on("late")}) < len(waiting):
            live.append(bench.say(len(live) % 3, pause=100))
            bench.microphone.wait_until_said(live[-1])
            bench.wait_for_text_of(live[-1])
        longest_s = max(answered_within_s(bench, n) for n in live)
        bench.settle(60)
        bench.fresh()
        old = [c for c in bench.cloud.answered if c.utterances & waiting]
        lasted_s = old[-1].at - old[0].at
        rate = sum(commit.seconds for commit in old[:-1]) / lasted_s
        bench.conclude(
            f"{waiting_s} s waiting, then live speech",
            note=f"live {longest_s:.2f} s ({without_s:.2f} s without), replay {rate:.1f} x",
        )
        assert longest_s <= without_s + LATER_S
        assert rate <= CATCH_UP * RATE_SLACK
