"""The service fails in its answers: it forgets them, doubles them, refuses what one has said."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.seeds import seeds


@pytest.mark.parametrize("seed", seeds("lost answers", 1, 10))
def test_a_commit_that_is_never_answered_is_sent_again_until_it_is(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"lost answers {seed}")
    with Bench(tmp_path, phrases, run=seed) as bench:
        for n in range(1, 7):
            bench.cloud.unanswered[n] = chance.choice([0, 0, 1, 2])
            bench.faults += bench.cloud.unanswered[n]
            bench.say(chance.randrange(5))
        bench.settle(60)
        bench.fresh()
        bench.conclude("lost answers")


@pytest.mark.parametrize("seed", seeds("doubled answers", 1, 10))
def test_an_answer_that_comes_twice_is_no_answer_to_the_next_word(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"doubled answers {seed}")
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.cloud.answer_s = chance.choice([0.02, 0.3, 0.6])
        for n in range(1, 7):
            if chance.random() < 0.6:
                bench.cloud.doubled.add(n)
                bench.faults += 1
            bench.say(chance.randrange(5), pause=chance.choice([60, 80]))
        bench.settle()
        bench.fresh()
        bench.conclude("doubled answers")


@pytest.mark.parametrize("place", ["first", pytest.param("middle", marks=pytest.mark.slow), "last"])
def test_an_utterance_that_the_service_refuses_blocks_no_other(
    tmp_path: Path, phrases: list[bytes], place: str
) -> None:
    guilty = {"first": 1, "middle": 3, "last": 5}[place]
    with Bench(tmp_path, phrases, run=guilty, sections={"provider": {"max_attempts": 3}}) as bench:
        bench.cloud.poisoned.add(guilty)
        bench.faults = 1
        for n in range(5):
            bench.say(n)
        bench.microphone.hush()
        bench.cloud.wait_for(lambda: bench.cloud.refused[guilty] == 3)
        bench.fresh()
        bench.settle()
        bench.conclude(f"poison: {place}", note=f"refused {bench.cloud.refused[guilty]} times")
        (ended,) = bench.robot.on("ended")
        assert ended.payload["outcome"] == "failed"
        assert bench.cloud.refused[guilty] == 3
        verdict = bench.judge.verdict()
        assert {span.utterance for span in verdict.excused} == {guilty}
        attempts = [m.payload["attempt"] for m in bench.robot.finals]
        assert max(attempts) <= 4, "a neighbour was sent too often"


@pytest.mark.slow
def test_an_utterance_that_is_refused_while_nobody_says_more_is_given_up_all_the_same(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1, sections={"provider": {"max_attempts": 3}}) as bench:
        bench.cloud.poisoned.add(1)
        bench.faults = 1
        bench.microphone.wait_until_said(bench.say(1))
        said_at = time.monotonic()
        bench.robot.wait_for(lambda: bench.robot.on("ended"), 40)
        took_s = time.monotonic() - said_at
        bench.fresh()
        bench.conclude("poison: alone", note=f"given up after {took_s:.1f} s")
        assert bench.cloud.refused[1] == 3


def test_a_service_that_babbles_while_it_hears_stands_before_no_answer(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.cloud.partials = 500
        for n in range(4):
            bench.say(n)
        bench.settle()
        bench.fresh()
        bench.conclude("500 partials before each answer")


@pytest.mark.parametrize("seed", seeds("service and link", 1, 10))
def test_a_bad_service_behind_a_bad_link_loses_no_word_either(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"service and link {seed}")
    with Bench(tmp_path, phrases, run=seed, sections={"provider": {"max_attempts": 3}}) as bench:
        for n in range(1, 11):
            match chance.randrange(5):
                case 0:
                    bench.cloud.unanswered[n] = 1
                case 1:
                    bench.cloud.poisoned.add(n)
                case _:
                    pass
            bench.say(chance.randrange(5))
        for _ in range(8):
            threading.Event().wait(chance.uniform(0.1, 0.8))
            bench.uplink.drop_after(chance.randrange(80_000))
            bench.faults += 1
        bench.microphone.hush()
        for _ in range(4):  # an answer to another proves that it was refused for its own sake
            bench.settle(3)  # else what waits, each with an answer to miss, makes it late
            bench.fresh()
        bench.settle(60)
        bench.conclude("bad service, bad link")
        verdict = bench.judge.verdict()
        assert {span.utterance for span in verdict.excused} == bench.cloud.poisoned
