"""The link fails, in every way and at every moment: each captured word is answered once."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import cloud as phases
from tests.faults.bench import Bench
from tests.faults.path import NoPath
from tests.faults.path import Path as NetworkPath
from tests.faults.seeds import seeds

CLOSE_CODES = (1000, 1001, 1008, 1011, 1012, 1013)
STATUSES = (401, 403, 429, 503)
KINDS = ("reset", "fin", "close", "black hole", "link down", "tls stall", "http", "8 kbit/s")


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault: what, when, and for how long. A schedule is a list of these."""

    kind: str
    phase: str
    lasts_s: float
    detail: int = 0  #: the close code or the HTTP status


def schedule(kind: str, seed: int, *, count: int, longest_s: float) -> list[Outage]:
    """`count` outages of one kind, each phase in its turn."""
    chance = random.Random(f"{kind} {seed}")
    order = chance.sample(phases.PHASES, len(phases.PHASES))
    details = {"close": CLOSE_CODES, "http": STATUSES}.get(kind, (0,))
    first = chance.randrange(len(details))
    return [
        Outage(
            kind,
            order[n % len(order)],
            round(chance.uniform(0.2, longest_s), 2),
            details[(first + n) % len(details)],
        )
        for n in range(count)
    ]


class Trouble:
    """Begins an outage at its moment and ends it when it has lasted."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def run(self, outage: Outage, chance: random.Random) -> None:
        bench, began = self._bench, threading.Event()

        def begin() -> None:
            self._begin(outage)
            began.set()

        if outage.phase == phases.IDLE:
            bench.settle()
            begin()
            bench.say(chance.randrange(5))
        else:
            if outage.phase == phases.CONNECTING:
                bench.settle()
                bench.uplink.reset()
            bench.cloud.trap = (outage.phase, begin)
            bench.say(chance.randrange(1, 5))
            bench.say(chance.randrange(5))
        assert began.wait(20), f"{outage} did not come about\n{bench.robot.log}"
        bench.faults += 1
        threading.Event().wait(outage.lasts_s)
        self._end(outage)
        ended = time.monotonic()
        bench.settle()
        bench.healed(ended)

    def _begin(self, outage: Outage) -> None:
        uplink, cloud = self._bench.uplink, self._bench.cloud
        match outage.kind:
            case "reset":
                uplink.reset()
            case "fin":
                uplink.finish()
            case "close":
                cloud.close_code = outage.detail
                threading.Thread(target=cloud.close_all, args=(outage.detail,)).start()
            case "black hole":
                uplink.held = True
            case "link down":
                uplink.refuse()
                uplink.half_open()
            case "tls stall":
                uplink.half_open()
                uplink.held = True
            case "http":
                cloud.http_status = outage.detail
                uplink.reset()
            case "8 kbit/s":
                uplink.bytes_per_s, uplink.piece = 1000.0, 250
            case _:
                raise ValueError(outage.kind)

    def _end(self, outage: Outage) -> None:
        uplink, cloud = self._bench.uplink, self._bench.cloud
        cloud.close_code = cloud.http_status = uplink.bytes_per_s = None
        uplink.held, uplink.piece = False, 16 * 1024
        uplink.listen()


def survive(bench: Bench, outages: list[Outage], seed: int) -> None:
    """Everything said before, in and after each of `outages` is answered."""
    trouble, chance = Trouble(bench), random.Random(seed)
    bench.fresh()
    for outage in outages:
        trouble.run(outage, chance)
    bench.fresh()


STALLS = ("link down", "tls stall", "8 kbit/s")
"""Found by the silence of the peer only, which takes 10 s: fewer of these in a short run."""


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k == "tls stall" else k for k in KINDS]
)
@pytest.mark.parametrize("seed", seeds("outage", 1))
def test_what_is_said_while_the_link_fails_is_answered_once_and_in_order(
    tmp_path: Path, phrases: list[bytes], kind: str, seed: int
) -> None:
    outages = schedule(kind, seed, count=1 if kind in STALLS else 3, longest_s=1.0)
    with Bench(tmp_path, phrases, run=seed) as bench:
        survive(bench, outages, seed)
        bench.conclude(f"outage: {kind}")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(1, 4))
def test_outages_of_up_to_ten_seconds_in_every_phase(
    tmp_path: Path, phrases: list[bytes], kind: str, seed: int
) -> None:
    outages = schedule(kind, seed, count=5, longest_s=10.0)
    with Bench(tmp_path, phrases, run=seed) as bench:
        survive(bench, outages, seed)
        bench.conclude(f"outages to 10 s: {kind}")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["link down", "http", "black hole"])
def test_with_the_defaults_a_minute_s_outage_costs_few_attempts_and_ends_within_35_s(
    tmp_path: Path, phrases: list[bytes], kind: str
) -> None:
    outage = Outage(kind, phases.IDLE, 60.0, 503)
    with Bench(tmp_path, phrases, run=1, pace=1.0, quick=False) as bench:
        bench.fresh()
        before = bench.uplink.accepted
        bench.settle()
        Trouble(bench).run(outage, random.Random(1))
        assert bench.uplink.accepted - before <= 16 + 4, "too many attempts"
        bench.fresh()
        assert bench.reconnect_s is None or bench.reconnect_s <= 35.0
        bench.conclude(f"a minute of {kind}, by the defaults")


@pytest.mark.parametrize("seed", seeds("flapping", 1, 10))
def test_a_link_that_comes_and_goes_gets_every_word_through(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"flapping {seed}")
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.fresh()
        for n in range(8):
            bench.say(n)
        for _ in range(10):
            match chance.randrange(4):
                case 0:
                    bench.uplink.reset()
                case 1:
                    bench.uplink.drop_after(chance.randrange(50_000))
                case 2:
                    bench.uplink.finish()
                case _:
                    bench.uplink.refuse()
                    bench.uplink.reset()
            bench.faults += 1
            threading.Event().wait(chance.uniform(0.05, 0.6))
            bench.uplink.listen()
            threading.Event().wait(chance.uniform(0.0, 0.6))
        bench.settle()
        bench.fresh()
        bench.conclude("flapping")


def test_a_link_that_the_service_has_lost_while_nobody_spoke_is_found_dead_by_the_next_word(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.fresh()
        bench.settle()
        bench.uplink.half_open()
        bench.faults += 1
        bench.say(4)
        bench.say(1)
        bench.settle()
        bench.fresh()
        bench.conclude("half-open")


def test_a_slow_and_uneven_network_costs_no_second_attempt(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    sections = {"provider": {"answer_timeout_s": 4.0, "connect_timeout_s": 10.0}}
    with Bench(tmp_path, phrases, run=1, pace=1.0, sections=sections) as bench:
        bench.uplink.latency_s = bench.uplink.jitter_s = 0.1
        for n in range(3):
            bench.say(n)
        bench.settle()
        bench.conclude("latency 100–200 ms", note=f"sent {bench.cloud.heard_s:.1f} s")
        assert len(bench.cloud.upgrades) == 1
        assert {m.payload["attempt"] for m in bench.robot.finals} == {1}


@pytest.fixture
def path() -> Iterator[NetworkPath]:
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(NetworkPath())
        except NoPath as exc:
            pytest.skip(str(exc))
        yield path


SLOW_LINK = {"provider": {"answer_timeout_s": 4.0, "connect_timeout_s": 10.0}}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("bits_per_s", "lasts_s"), [(128_000, 6.0), pytest.param(8_000, 240.0, marks=pytest.mark.slow)]
)
def test_a_link_too_narrow_for_speech_only_makes_it_late(
    tmp_path: Path, phrases: list[bytes], path: NetworkPath, bits_per_s: int, lasts_s: float
) -> None:
    with Bench(tmp_path, phrases, run=1, pace=1.0, sections=SLOW_LINK, path=path) as bench:
        bench.fresh()
        path.narrow(bits_per_s)
        bench.faults += 1
        for n in range(3):
            bench.say(n)
        threading.Event().wait(lasts_s)
        narrow = list(bench.cloud.upgrades)
        path.narrow(None)
        bench.settle(60)
        bench.fresh()
        said_s = len(bench.microphone.speech()) / 100
        note = f"{len(narrow)} connections while narrow, {bench.cloud.heard_s / said_s:.1f} x sent"
        bench.conclude(f"{bits_per_s // 1000} kbit/s for {lasts_s:.0f} s", note=note)
        assert len(narrow) - 1 <= max(2, 12 * lasts_s / 3600 * 2)
