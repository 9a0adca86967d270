"""The broker fails: it dies, it hangs, it denies; each final arrives under its one id."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.cloud import AFTER_COMMIT
from tests.faults.seeds import seeds
from tests.parts.broker import Broker


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def hear(bench: Bench, seed: int, count: int) -> random.Random:
    """Say so much; the chance that goes on."""
    chance = random.Random(seed)
    for _ in range(count):
        bench.say(chance.randrange(5))
    return chance


@pytest.mark.parametrize("seed", seeds("broker killed", 1, 10))
def test_a_broker_that_is_killed_again_and_again_gets_each_final(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.fresh()
        chance = hear(bench, seed, 8)
        for _ in range(3):
            threading.Event().wait(chance.uniform(0.2, 1.5))
            bench.broker.kill()
            bench.faults += 1
            threading.Event().wait(chance.uniform(1.1, 1.6))  # so that it is seen to be away
            bench.broker.start()
            bench.robot.wait_for(lambda: bench.robot.status == "online")
        bench.repeats = bench.faults
        bench.settle()
        bench.fresh()
        bench.conclude("broker: kill -9")


def back_again(bench: Bench, told: int) -> None:
    """Wait until the daemon has said anew that it is online, and the oracle has heard it."""
    bench.robot.wait_for(lambda: len(bench.robot.on("status")) > told)


def test_a_broker_that_is_killed_and_back_at_once_is_not_taken_for_another_client_with_our_id(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        for _ in range(4):
            bench.fresh()
            bench.settle()
            told = len(bench.robot.on("status"))
            bench.broker.kill()
            bench.faults += 1
            threading.Event().wait(0.2)  # as a supervisor lets pass
            bench.broker.start()
            back_again(bench, told)
        bench.repeats = bench.faults
        bench.fresh()
        assert "duplicate_id" not in bench.robot.log
        bench.conclude("broker: kill -9, back at once")


@pytest.mark.parametrize("seed", seeds("broker frozen", 1, 10))
def test_a_broker_that_hangs_for_a_while_gets_each_final(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.fresh()
        chance = hear(bench, seed, 8)
        for _ in range(3):
            threading.Event().wait(chance.uniform(0.2, 1.0))
            with frozen(bench.broker.pid):
                bench.faults += 1
                threading.Event().wait(chance.uniform(0.5, 3.0))
        bench.repeats = bench.faults
        bench.settle()
        bench.fresh()
        bench.conclude("broker: SIGSTOP")


@pytest.mark.parametrize("seed", seeds("broker link", 1, 10))
def test_acknowledgements_that_are_lost_cost_one_repeat_each(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"broker link {seed}")
    with Bench(tmp_path, phrases, run=seed, broker_proxy=True) as bench:
        bench.fresh()
        for _ in range(4):
            bench.robot.wait_for(lambda: bench.downlink.connections == 1)
            bench.cloud.trap = (AFTER_COMMIT, lambda: setattr(bench.downlink, "held_down", True))
            said = bench.say(chance.randrange(5))
            bench.say(chance.randrange(5))
            bench.wait_for_text_of(said)
            bench.downlink.reset()
            bench.downlink.held_down = False
            bench.faults += 1
            bench.settle()
        bench.repeats = bench.faults
        bench.fresh()
        bench.conclude("broker: PUBACK lost")
        assert bench.judge.verdict().repeats >= 1, "no acknowledgement was lost"


def test_a_broker_that_refuses_our_password_for_a_while_gets_each_final(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    (home := tmp_path / "broker").mkdir()
    users = {"robot": "right", "listener": "right"}
    right = Broker(home, passwords=users, persistence=True)
    (tmp_path / "password").write_text("right")
    (tmp_path / "password").chmod(0o600)
    mqtt = {"username": "robot", "password_file": str(tmp_path / "password")}
    with (
        right,
        Bench(
            tmp_path,
            phrases,
            run=1,
            broker=right,
            user=("listener", "right"),
            sections={"mqtt": mqtt},
        ) as bench,
    ):
        bench.fresh()
        right.kill()
        wrong = Broker(
            home, port=right.port, passwords={**users, "robot": "other"}, persistence=True
        )
        bench.faults = 1
        with wrong:
            for n in range(3):
                bench.say(n)
            bench.robot.wait_for(lambda: bench.robot.log.count("password") >= 1)
            bench.microphone.hush()
        Broker(home, port=right.port, passwords=users, persistence=True)  # writes its files
        right.start()
        bench.repeats = 1
        bench.settle()
        bench.fresh()
        bench.conclude("broker: wrong password")
