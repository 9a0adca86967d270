"""The daemons and the consumers of `bench.fleet`, each side in a process of its own."""

from __future__ import annotations

import heapq
import random
import selectors
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from scribed.config import Mqtt
from scribed.contract.examples import payloads_of
from scribed.delivery.events import Acknowledged, Connected
from scribed.delivery.mqtt import Wire
from scribed.delivery.topics import ALERT_CODES, Message
from scribed.model import Identity

STATE_S, METRICS_S = 20.0, 15.0
"""How often; state every 30 s and on change, which came to this with a real daemon."""
METRICS_BYTES = 1950
"""A real daemon's; the example has some of its names only."""
PARTIALS = 4
SPOKEN_S = 2.0
ANSWERED_S = 0.3
MOST_PER_MINUTE = 60 / SPOKEN_S
ROUND_S = 3.0
"""Every connection is looked after so often: paho's keepalive."""
START_S = 120.0
EMITTED = b'"emit_unix_ms":'


@dataclass(frozen=True)
class Scene:
    """What to simulate."""

    port: int
    robots: int
    per_minute: float
    seconds: float
    ca_file: str

    def mqtt(self, user: str) -> Mqtt:
        tls = bool(self.ca_file)
        return Mqtt(host="127.0.0.1", port=self.port, username=user, tls=tls, ca_file=self.ca_file)


def base(number: int) -> str:
    """The base topic of a robot."""
    return f"scribed/r{number}/mic"


@dataclass
class Fleet:
    """Connections that one process drives, all from one thread."""

    wires: list[Wire] = field(default_factory=list)
    connected: int = 0
    acknowledged: int = 0
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _next: int = 0
    _looked_at: float = 0.0

    def add(self, wire: Wire) -> None:
        self.selector.register(wire.fileno(), selectors.EVENT_READ, wire)
        self.wires.append(wire)
        self.look(wire)

    def look(self, wire: Wire) -> None:
        """Read and write. A connection that broke ends the benchmark."""
        for event in wire.service():
            self.connected += isinstance(event, Connected)
            self.acknowledged += isinstance(event, Acknowledged)
        if wire.error is not None:
            raise wire.error

    def turn(self, wait_s: float) -> Iterator[Wire]:
        """Wait for a moment, and yield those that may have heard something."""
        for key, _ in self.selector.select(max(wait_s, 0.0)):
            self.look(key.data)
            yield key.data
        now = time.monotonic()
        due = int(len(self.wires) * min((now - self._looked_at) / ROUND_S, 1.0))
        if due:
            self._looked_at = now
            for _ in range(due):
                self._next = (self._next + 1) % len(self.wires)
                self.look(self.wires[self._next])
                yield self.wires[self._next]

    def all_connect(self) -> None:
        self._wait(lambda: self.connected, len(self.wires), "connected")

    def all_acknowledged(self, count: int) -> None:
        """Wait until the broker has acknowledged so many messages."""
        self._wait(lambda: self.acknowledged, count, "acknowledged")

    def _wait(self, so_many: Callable[[], int], of: int, what: str) -> None:
        deadline = time.monotonic() + START_S
        while so_many() < of:
            for _ in self.turn(0.1):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{so_many()} of {of} {what}")

    def close(self) -> None:
        for wire in self.wires:
            wire.disconnect()
            wire.service()
            wire.close()


def robots(scene: Scene, report: Connection) -> None:
    """The daemons. Says how long they took to connect, when all that they retain is with the
    broker, and how many messages they published after that."""
    fleet, said, rng = Fleet(), payloads_of(), random.Random(1)
    begun = time.monotonic()
    for number in range(scene.robots):
        name = f"r{number}"
        who = Identity(name, "mic", base(number), f"scribed-{name}-mic", "run", "boot")
        mqtt = scene.mqtt(name)
        fleet.add(Wire(mqtt, who, name, version="5", give_up_s=START_S, timeout_s=START_S))
    fleet.all_connect()
    report.send(time.monotonic() - begun)
    for wire in fleet.wires:
        wire.publish(Message("status", b"online"))
        wire.publish(Message("state", said["state"][0]))
        for code in ALERT_CODES:
            wire.publish(Message(f"alert/{code}", b""))
    fleet.all_acknowledged(len(fleet.wires) * (2 + len(ALERT_CODES)))
    report.send(None)
    now = time.monotonic()
    due: list[tuple[float, int, str]] = []
    for number in range(scene.robots):
        due.append((now + rng.uniform(0, STATE_S), number, "state"))
        due.append((now + rng.uniform(0, METRICS_S), number, "metrics"))
        due.append((now + _pause_s(scene, rng), number, "utterance"))
    heapq.heapify(due)
    published, behind_s = 0, 0.0
    end = now + scene.seconds
    while (now := time.monotonic()) < end:
        for _ in fleet.turn(min(due[0][0] - now, 0.05)):
            pass
        now = time.monotonic()
        while due[0][0] <= now:
            at, number, what = heapq.heappop(due)
            behind_s = max(behind_s, time.monotonic() - at)
            for then, follows in _following(at, what, scene, rng):
                heapq.heappush(due, (then, number, follows))
            if what != "utterance":
                fleet.wires[number].publish(_message(what, said))
                published += 1
    report.send((published, behind_s))
    fleet.close()


def _following(
    at: float, what: str, scene: Scene, rng: random.Random
) -> Iterator[tuple[float, str]]:
    """What a robot says after this, and when."""
    match what:
        case "state":
            yield at + STATE_S, what
        case "metrics":
            yield at + METRICS_S, what
        case "utterance":
            yield at, "speech"
            for number in range(PARTIALS):
                yield at + SPOKEN_S * (number + 1) / (PARTIALS + 1), "partial"
            yield at + SPOKEN_S, "speech"
            yield at + SPOKEN_S + ANSWERED_S, "transcript"
            yield at + SPOKEN_S + ANSWERED_S, "text"
            yield at + SPOKEN_S + _pause_s(scene, rng), what
        case _:
            pass  # one of an utterance, planned with it


def _pause_s(scene: Scene, rng: random.Random) -> float:
    """Until somebody speaks again."""
    return rng.expovariate(1 / (60 / scene.per_minute - SPOKEN_S))


def _message(what: str, said: Any) -> Message:
    payload: bytes = said[what][0]
    if what == "metrics":
        payload = payload.ljust(METRICS_BYTES)
    if what == "transcript":
        at = payload.index(EMITTED) + len(EMITTED)
        payload = payload[:at] + str(int(time.time() * 1000)).encode() + payload[at + 13 :]
    return Message(what, payload, 5 if what in ("transcript", "text") else None)


def stacks(scene: Scene, report: Connection) -> None:
    """Each robot's control stack, and the dashboard. Says when they listen; what they heard."""
    fleet = Fleet()

    def add(name: str, *watched: str) -> None:
        who = Identity("", "", "", name, "", "")
        user = "dashboard" if name == "dashboard" else "control"
        fleet.add(
            Wire(
                scene.mqtt(user),
                who,
                user,
                version="5",
                give_up_s=START_S,
                timeout_s=START_S,
                has_will=False,
                watched=watched,
            )
        )

    for number in range(scene.robots):
        topics = (f"{base(number)}/{name}" for name in ("transcript", "text", "speech", "status"))
        add(f"stack-{number}", *topics)
    add("dashboard", *(f"scribed/+/+/{name}" for name in ("status", "state", "alert/+")))
    fleet.all_connect()
    report.send(None)
    heard, spans_ms = 0, list[float]()
    while not report.poll():
        for wire in fleet.turn(0.05):
            for message in wire.heard:
                heard += 1
                if message.topic.endswith("/transcript"):
                    at = message.payload.index(EMITTED) + len(EMITTED)
                    emitted = int(message.payload[at : at + 13])
                    spans_ms.append(time.time() * 1000 - emitted)
            wire.heard.clear()
    report.send((heard, spans_ms))
    fleet.close()
