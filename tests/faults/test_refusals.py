"""The broker refuses (G8): an alert says so, it is tried again at a pace, and no final is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.asker import Impostor
from tests.faults.bench import Bench
from tests.parts.broker import Broker
from tests.parts.robot import BASE

SMALL = "max_packet_size 1000"
"""More than a state has, and less than a transcript."""
FIGHT_S = 60.0
REFUSALS_PER_S = 2.0
"""Of one final, at most, on the average of its first seconds: it backs off from 1 s."""


class ReloadedBroker(Broker):
    """A broker whose log tells what it refused, and whose configuration changes as it runs."""

    def __init__(self, directory: Path, *, acl: str = "", more: str = "") -> None:
        directory.mkdir()
        super().__init__(directory, acl=acl, persistence=True)
        self.home = directory
        with (directory / "mosquitto.conf").open("a") as file:
            file.write(f"log_type all\n{more}\n")

    def __enter__(self) -> ReloadedBroker:
        super().__enter__()
        return self

    def change(self, name: str, old: str, new: str) -> None:
        """Replace something in one of its files, and let it read them."""
        path = self.home / name
        path.write_text(path.read_text().replace(old, new))
        os.kill(self.pid, signal.SIGHUP)

    def refusals(self, what: str) -> int:
        """How many messages it logged as refused."""
        return (self.home / "mosquitto.log").read_text(errors="replace").count(what)


ALL = "topic readwrite #\n"
DENIED = "".join(f"topic deny {BASE}/{name}\n" for name in ("transcript", "late", "ended"))


def endure(bench: Bench, broker: ReloadedBroker, logged: str) -> None:
    """Something is said while finals are refused: an alert, and a few tries."""
    bench.faults = 1
    before, since = broker.refusals(logged), time.monotonic()
    for n in range(3):
        bench.say(n)
    bench.robot.wait_for(lambda: bench.robot.alert("mqtt_denied"))
    bench.microphone.hush()
    bench.cloud.wait_for(lambda: len(bench.cloud.answered) >= 4)
    tries = broker.refusals(logged) - before
    # Each of the three is tried once by itself.
    assert 1 <= tries <= 4 + REFUSALS_PER_S * (time.monotonic() - since), "it spins"


def heal(bench: Bench, scenario: str) -> None:
    """All that was refused arrives, and the alert goes."""
    bench.settle(60)
    bench.robot.wait_for(lambda: bench.robot.alert("mqtt_denied") is None)
    bench.fresh()
    bench.conclude(scenario)


def test_what_an_acl_denies_for_a_while_arrives_when_it_allows_it(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        ReloadedBroker(tmp_path / "broker", acl=ALL) as broker,
        Bench(tmp_path, phrases, run=1, broker=broker) as bench,
    ):
        bench.fresh()
        broker.change("acl", ALL, DENIED + ALL)
        endure(bench, broker, "Denied PUBLISH")
        broker.change("acl", DENIED, "")
        heal(bench, "broker: denied by its ACL")


def test_a_broker_that_says_how_large_a_message_may_be_gets_more_when_it_takes_it(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        ReloadedBroker(tmp_path / "broker") as broker,
        Bench(tmp_path, phrases, run=1, broker=broker) as bench,
    ):
        bench.fresh()
        bench.settle()
        broker.change("mosquitto.conf", "sys_interval 0", f"{SMALL}\nsys_interval 0")
        broker.kill()
        broker.start()
        bench.faults = bench.repeats = 1
        for n in range(3):
            bench.say(n)
        bench.robot.wait_for(lambda: bench.robot.alert("mqtt_denied"))
        bench.microphone.hush()
        broker.change("mosquitto.conf", SMALL, "")
        broker.kill()
        broker.start()
        heal(bench, "broker: message too large, as it told")


@pytest.mark.slow
def test_a_broker_that_does_not_say_how_large_a_message_may_be_gets_them_when_it_takes_them(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    limit = "message_size_limit 900"
    with (
        ReloadedBroker(tmp_path / "broker") as broker,
        Bench(tmp_path, phrases, run=1, broker=broker) as bench,
    ):
        bench.fresh()
        broker.change("mosquitto.conf", "sys_interval 0", f"{limit}\nsys_interval 0")
        endure(bench, broker, "Dropped too large PUBLISH")
        broker.change("mosquitto.conf", limit, "message_size_limit 0")
        heal(bench, "broker: message too large")


TAKEN = 'another client is connected as "ours"'


def test_a_session_that_is_taken_over_once_costs_no_final(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    sections = {"mqtt": {"client_id": "ours"}}
    with Bench(tmp_path, phrases, run=1, sections=sections) as bench:
        bench.fresh()
        with Impostor(bench.broker.port, "ours"):
            bench.robot.wait_for(lambda: TAKEN in bench.robot.log)
        bench.faults = bench.repeats = 1
        for n in range(3):
            bench.say(n)
        bench.settle(60)
        bench.fresh()
        bench.conclude("broker: session taken over")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_clients_with_one_id_take_turns_at_a_pace_and_cost_no_final(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    """The other comes back each second, as such clients do."""
    sections = {"mqtt": {"client_id": "ours"}}
    with Bench(tmp_path, phrases, run=1, sections=sections) as bench:
        bench.fresh()
        bench.settle()
        with Impostor(bench.broker.port, "ours"):
            bench.faults = 1
            bench.robot.wait_for(lambda: TAKEN in bench.robot.log)
            since, before = time.monotonic(), len(bench.robot.on("status"))
            while time.monotonic() < since + FIGHT_S:
                bench.say(0)
                bench.microphone.hush()
            came_back = bench.robot.on("status")[before:]
        bench.settle(60)
        bench.robot.wait_for(lambda: bench.robot.alert("duplicate_id"))
        turns = sum(m.payload == "online" for m in came_back)
        bench.repeats = turns + 1
        bench.fresh()
        bench.conclude("broker: one id twice", note=f"{turns} turns in {FIGHT_S:.0f} s")
        assert turns <= FIGHT_S / 10 + 3, "it spins"
