"""Several consumers that share the work of one subscription, at a real broker."""

from __future__ import annotations

import contextlib

from scribed.demo.broker import Broker
from scribed.demo.subscriber import Received
from tests.delivery.peers import Rig, final, started
from tests.fleet.brokers import Client

SHARED = "$share/recorders/scribed/+/+/transcript"


def test_each_final_goes_to_one_of_those_who_share_and_to_everybody_else(broker: Broker) -> None:
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(Client(broker.port, SHARED, "", "", name=f"worker-{number}"))
            for number in range(3)
        ]
        alone = stack.enter_context(Client(broker.port, "scribed/+/+/transcript", "", ""))
        rig = stack.enter_context(Rig(broker.port))
        says(rig, range(1, 31))
        alone.waits_for(lambda: len(alone.received) == 30, "all, by oneself")
        alone.waits_for(lambda: len(numbers(workers)) == 30, "all, by those who share")
        assert sorted(numbers(workers)) == list(range(1, 31))
        assert all(numbers([worker]) == sorted(numbers([worker])) for worker in workers)
        assert all(worker.received for worker in workers)
        workers.pop().leave()
        says(rig, range(31, 41))
        alone.waits_for(lambda: len(alone.received) == 40, "the rest")
        alone.waits_for(lambda: set(range(31, 41)) <= set(numbers(workers)), "the rest, shared")


def says(rig: Rig, seqs: range) -> None:
    now = rig.now()
    for seq in seqs:
        rig.post(started(seq, now - 1), final(seq, now))
    rig.delivers(len(seqs))


def numbers(workers: list[Client]) -> list[int]:
    messages: list[Received] = [m for worker in workers for m in list(worker.received)]
    return [m.payload["seq"] for m in messages]
