"""Many daemons on one mosquitto: what they say, over connections as theirs, and what it costs.

Each robot has a connection of the daemon's own making (will, session, subscription to commands)
and says what a daemon says that hears somebody now and then; each has a control stack that reads
it, and a dashboard reads how all of them are. The broker has the rights of docs/examples/fleet.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import heapq
import json
import multiprocessing
import os
import random
import resource
import selectors
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import trustme

from scribed.config import Mqtt
from scribed.contract.examples import payloads_of
from scribed.delivery.events import Connected
from scribed.delivery.mqtt import Wire
from scribed.delivery.topics import ALERT_CODES, Message
from scribed.delivery.watch import Access, Watch
from scribed.demo.account import percentile
from scribed.demo.broker import Broker, stable_port
from scribed.model import Identity

ACL = Path(__file__).parents[1] / "docs" / "examples" / "fleet" / "site.acl"
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
WARM_S = 5.0
HEADER = 5
"""Bytes of a small PUBLISH beside topic and payload."""
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
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _next: int = 0
    _looked_at: float = 0.0

    def add(self, wire: Wire) -> None:
        self.selector.register(wire.fileno(), selectors.EVENT_READ, wire)
        self.wires.append(wire)
        self.look(wire)

    def look(self, wire: Wire) -> None:
        """Read and write. A connection that broke ends the benchmark."""
        self.connected += sum(isinstance(event, Connected) for event in wire.service())
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
        deadline = time.monotonic() + START_S
        while self.connected < len(self.wires):
            for _ in self.turn(0.1):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.connected} of {len(self.wires)} connected")

    def close(self) -> None:
        for wire in self.wires:
            wire.disconnect()
            wire.service()
            wire.close()


def robots(scene: Scene, report: Connection) -> None:
    """The daemons. Says how long they took to connect, then how many messages they published."""
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


def measure(robot_count: int, per_minute: float, seconds: float, *, tls: bool) -> dict[str, Any]:
    """Run the scene, and account for the broker."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # counts for broker and robots, too
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(_broker(directory, robot_count, tls=tls))
        ca_file = str(directory / "ca.pem") if tls else ""
        scene = Scene(broker.port, robot_count, per_minute, WARM_S + seconds, ca_file)
        idle_mb = _memory_mb(broker.pid, "VmRSS")
        sides = []
        for run in (stacks, robots):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=run, args=(scene, theirs), daemon=True)
            process.start()
            theirs.close()
            sides.append((process, ours))
            told = _told(ours)  # who speaks comes after who listens
        connect_s = told
        watch = Watch(Access(scene.mqtt("bench"), "bench"), ["$SYS/broker/#"], name="bench")
        stack.enter_context(watch)
        counts = Counts(watch)
        counts.follow(WARM_S)
        begun, cpu = counts.now(), _cpu_s(broker.pid)
        counts.follow(seconds - 2)
        ended, used = counts.now(), _cpu_s(broker.pid) - cpu
        memory_mb = _memory_mb(broker.pid, "VmRSS")
        published, behind_s = _told(sides[1][1])
        sides[0][1].send(None)
        heard, spans_ms = _told(sides[0][1])
        for process, _ in sides:
            process.join(START_S)
        peak_mb = _memory_mb(broker.pid, "VmHWM")
    span_s = ended["at"] - begun["at"]

    def rate(name: str) -> float:
        return (ended[name] - begun[name]) / span_s

    return {
        "robots": robot_count,
        "connections": 2 * robot_count + 2,
        "TLS": tls,
        "utterances per robot and minute": per_minute,
        "messages to the broker, per s": round(rate("publish/messages/received")),
        "messages from the broker, per s": round(rate("publish/messages/sent") - rate("own")),
        "kB/s to the broker": round(rate("bytes/received") / 1000),
        "kB/s from the broker": round((rate("bytes/sent") - rate("own bytes")) / 1000),
        "broker, CPU % of a core": round(100 * used / span_s, 1),
        "broker, MB with nobody": idle_mb,
        "broker, MB": memory_mb,
        "broker, peak MB": peak_mb,
        "kB per connection": round(1000 * (memory_mb - idle_mb) / (2 * robot_count + 2), 1),
        "publish to consumer p50, ms": round(percentile(spans_ms, 0.5)),
        "publish to consumer p99, ms": round(percentile(spans_ms, 0.99)),
        "transcripts heard": len(spans_ms),
        "published and heard in all": f"{published} / {heard}",
        "all connected after, s": round(connect_s, 1),
        "the load was late by at most, s": round(behind_s, 2),
    }


class Counts:
    """mosquitto's own, told every second; and what of them is this telling."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._said = watch, {"own": 0.0, "own bytes": 0.0}

    def follow(self, seconds: float) -> None:
        """Hear for so long, and on to the next telling."""
        deadline = time.monotonic() + seconds
        told = False
        while time.monotonic() < deadline or not told:
            for message in self._watch.heard(1.0):
                name = message.topic.removeprefix("$SYS/broker/")
                self._said["own"] += 1
                self._said["own bytes"] += HEADER + len(message.topic) + len(message.payload)
                with contextlib.suppress(ValueError):
                    self._said[name] = float(message.payload)
                told = told or time.monotonic() >= deadline

    def now(self) -> dict[str, float]:
        return {**self._said, "at": time.monotonic()}


def _broker(directory: Path, robot_count: int, *, tls: bool) -> Broker:
    port = stable_port()
    lines = [
        f"user {getpass.getuser()}",
        f"listener {port} 127.0.0.1",
        "allow_anonymous false",
        f"password_file {directory}/passwords",
        f"acl_file {directory}/acl",
        "persistence true",
        f"persistence_location {directory}/",
        "autosave_interval 60",
        "sys_interval 1",
        "set_tcp_nodelay true",
    ]
    if tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(directory / "key.pem"))
        issued.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
        lines += [f"certfile {directory}/cert.pem", f"keyfile {directory}/key.pem"]
    users = ["control", "dashboard", "bench", *(f"r{n}" for n in range(robot_count))]
    acl = f"{ACL.read_text('utf-8')}\nuser bench\ntopic read $SYS/#\n"
    return Broker(
        directory,
        port=port,
        passwords={user: user for user in users},
        acl=acl,
        configuration="\n".join(lines),
    )


def _told(pipe: Connection) -> Any:
    if not pipe.poll(3 * START_S):
        raise TimeoutError("a part of the benchmark says nothing")
    return pipe.recv()


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    said = next(line for line in lines if line.startswith(f"{which}:"))
    return round(int(said.split()[1]) / 1000, 1)


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench fleet", description=__doc__)
    parser.add_argument("--robots", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured (default: 60)")
    parser.add_argument(
        "--per-minute", type=float, default=4.0, help="utterances of each robot (default: 4)"
    )
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    if not 0 < args.per_minute < MOST_PER_MINUTE:
        parser.error(f"--per-minute: above 0 and below {MOST_PER_MINUTE:g}")
    if args.robots < 1:
        parser.error("--robots: at least 1")
    figures = measure(args.robots, args.per_minute, args.seconds, tls=args.tls)
    if args.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<36} {value}")


if __name__ == "__main__":
    main()
