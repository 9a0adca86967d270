"""docs/examples/act.py, which a robot's own program is written after, beside every fault.

Whatever happens it acts on an order once or, where that came too late, not at all.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.asker import Asker
from tests.faults.bench import Bench
from tests.faults.seeds import seeds
from tests.parts.robot import BASE, Robot

ACT = Path(__file__).parent.parent.parent / "docs" / "examples" / "act.py"
STALE_S = 3.0
FORGED = 10_000
"""The number of what somebody else says."""
NEAR_S = 2.5
"""What came so shortly before its expiry may come to the actor after it: both connect anew."""


class Actor:
    """act.py as its user runs it; a context manager. `acted` is what it did, in order."""

    def __init__(self, directory: Path, robot: Robot) -> None:
        self._robot, self._directory = robot, directory
        self._said, self.log = directory / "acted", directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Actor:
        self.start()
        self.since = time.time()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        before = self.listened
        arguments = ["127.0.0.1", str(self._robot.broker.port), BASE, self._directory / "mark"]
        with self._said.open("ab") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ACT), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        self._robot.wait_for(lambda: self.listened > before)

    @property
    def listened(self) -> int:
        """How often it has subscribed."""
        return self.log.read_text().count("it listens\n") if self.log.exists() else 0

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    @property
    def acted(self) -> list[tuple[int, str]]:
        lines = self._said.read_text().splitlines(keepends=True)
        whole = [line.rstrip("\n").split(" ", 1) for line in lines if line.endswith("\n")]
        return [(int(seq), text) for seq, text in whole]

    def waits_for(self, text: str) -> None:
        """Wait until it has acted on a text that has these words."""
        self._robot.wait_for(lambda: any(text in done for _, done in self.acted))


def orders(bench: Bench) -> dict[int, dict[str, Any]]:
    """What was on `transcript` without a caution, by number: what came first."""
    found: dict[int, dict[str, Any]] = {}
    for message in bench.robot.on("transcript"):
        if isinstance(message.payload, dict) and message.payload["caution"] == []:
            found.setdefault(message.payload["seq"], {**message.payload, "came": message.at})
    return found


def check(bench: Bench, actor: Actor, *, missed: frozenset[int] = frozenset()) -> None:
    """It acted on each order once, in order, but for those that came too late or are `missed`."""
    given, acted = orders(bench), actor.acted
    numbers = [seq for seq, _ in acted]
    assert numbers == sorted(set(numbers)), f"twice, or out of order: {numbers}"
    assert dict(acted).items() <= {seq: order["text"] for seq, order in given.items()}.items(), (
        "it acted on what is no order"
    )
    fresh = {
        seq
        for seq, order in given.items()
        if actor.since < order["came"]
        and order["came"] + NEAR_S
        < datetime.fromisoformat(order["expires_at"].replace("Z", "+00:00")).timestamp()
    }
    assert fresh - set(numbers) <= missed, f"not done: {fresh - set(numbers)} of {given}"
    late = {m.payload["seq"] for m in bench.robot.on("late")} - set(given)
    assert not late & set(numbers), "it acted on late speech"


def order(bench: Bench, actor: Actor, phrase: int = 0) -> None:
    """Say something, and see it done."""
    number = bench.say(phrase)
    bench.microphone.wait_until_said(number)
    actor.waits_for(f"u{number} ")


def test_each_order_is_done_once_through_deaths_of_broker_daemon_and_actor(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench, Actor(tmp_path, bench.robot) as actor:
        order(bench, actor)
        for n, kill in enumerate((bench.broker.kill, bench.kill, actor.kill)):
            bench.say(n)
            bench.say(n + 1)
            bench.microphone.wait_until_said(bench.microphone.said, 0.5)
            kill()
            bench.faults += 1
            {0: bench.broker.start, 1: bench.start_again, 2: actor.start}[n]()
            bench.robot.wait_for(lambda: bench.robot.status == "online")
            bench.settle()
            order(bench, actor)
        bench.repeats = bench.faults
        check(bench, actor)
        assert len(actor.acted) >= 6


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", seeds("act", 0, 6))
def test_each_order_is_done_once_whatever_comes_when(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"act {seed}")

    def lasting() -> None:
        threading.Event().wait(chance.uniform(0.5, 7.0))

    with (
        Bench(tmp_path, phrases, run=seed, broker_proxy=True) as bench,
        Actor(tmp_path, bench.robot) as actor,
    ):
        faults: list[list[Callable[[], object]]] = [
            [bench.broker.kill, bench.broker.start],
            [bench.kill, bench.start_again],
            [actor.kill, actor.start],
            [bench.downlink.reset],
            [bench.uplink.refuse, bench.uplink.reset, lasting, bench.uplink.listen],
        ]
        for fault in chance.choices(faults, k=8):
            for _ in range(2):
                bench.say(chance.randrange(5))
            bench.microphone.wait_until_said(bench.microphone.said, chance.uniform(0.0, 1.0))
            for step in fault:
                step()
            bench.robot.wait_for(lambda: bench.robot.status == "online")
        bench.settle(60)
        order(bench, actor)
        check(bench, actor)


def test_acknowledgements_that_are_lost_repeat_an_order_and_it_is_done_once(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        Bench(tmp_path, phrases, run=2, broker_proxy=True) as bench,
        Actor(tmp_path, bench.robot) as actor,
    ):
        order(bench, actor)
        bench.robot.wait_for(lambda: bench.downlink.connections == 1)
        bench.robot.wait_for(lambda: "utterance 1 published" in bench.robot.log)  # acknowledged
        bench.downlink.held_down = True
        number = bench.say(1)
        bench.wait_for_text_of(number)
        bench.downlink.reset()
        bench.downlink.held_down = False
        bench.settle()
        bench.robot.wait_for(lambda: bench.judge.verdict().repeats >= 1)
        order(bench, actor)
        check(bench, actor)


def test_what_is_late_restated_or_kept_is_never_done(tmp_path: Path, phrases: list[bytes]) -> None:
    sections: dict[str, dict[str, Any]] = {
        "transcript": {"stale_after_s": STALE_S},
        "mqtt": {"commands": ["restate"]},
    }
    with (
        Bench(tmp_path, phrases, run=3, sections=sections) as bench,
        Actor(tmp_path, bench.robot) as actor,
    ):
        order(bench, actor)
        bench.uplink.refuse()
        bench.uplink.reset()
        late = bench.say(1)
        bench.microphone.wait_until_said(late)
        bench.robot.wait_for(lambda: bench.robot.events("utterance_delayed"))
        gone_by = time.time() + STALE_S
        bench.robot.wait_for(lambda: time.time() > gone_by)
        bench.uplink.listen()
        bench.robot.wait_for(lambda: bench.robot.on("late"))
        with Asker(bench.broker.port) as asker:
            asker.send(f"{BASE}/cmd/restate", '{"since_seq": 0}')  # answered on `late`
        bench.robot.wait_for(lambda: len(bench.robot.on("late")) >= 2)
        replay_of_an_order(bench)
        order(bench, actor, 2)
        check(bench, actor)
        assert not any(f"u{late} " in text for _, text in actor.acted)
        assert max(seq for seq, _ in actor.acted) < FORGED
        assert actor.log.read_text().count("not understood") == 2


def replay_of_an_order(bench: Bench) -> None:
    """Somebody else keeps an order at the broker for whoever comes, and sends what is none."""
    said = bench.robot.on("transcript")[0].payload
    last = {**said, "seq": FORGED, "expires_at": "2999-01-01T00:00:00.000Z"}
    with Asker(bench.broker.port) as asker:
        for payload, retain in (
            (json.dumps({**last, "caution": ["a new one"]}), False),
            (json.dumps({**last, "caution": None}), False),
            (json.dumps({**last, "expires_at": said["expires_at"]}), False),
            (json.dumps(said), True),
            (json.dumps([1]), False),
            ("\x00\x1b[2J", False),
        ):
            asker.send(f"{BASE}/transcript", payload, retain=retain)


def test_what_expires_while_the_actor_stands_still_is_not_done_when_it_goes_on(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    sections = {"transcript": {"stale_after_s": STALE_S}}
    with (
        Bench(tmp_path, phrases, run=4, sections=sections) as bench,
        Actor(tmp_path, bench.robot) as actor,
    ):
        order(bench, actor)
        with actor.frozen():
            number = bench.say(1)
            bench.wait_for_text_of(number)
            gone_by = time.time() + STALE_S
            bench.robot.wait_for(lambda: time.time() > gone_by)
        order(bench, actor, 2)
        missed = {seq for seq, given in orders(bench).items() if f"u{number} " in given["text"]}
        assert missed
        check(bench, actor, missed=frozenset(missed))
        assert not missed & {seq for seq, _ in actor.acted}
