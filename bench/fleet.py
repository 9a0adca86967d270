"""Many daemons on one mosquitto: what they say, over connections as theirs, and what it costs.

Each robot has a connection of the daemon's own making (will, session, subscription to commands)
and says what a daemon says that hears somebody now and then; each has a control stack that reads
it, and a dashboard reads how all of them are. The broker has the rights of docs/examples/fleet.

Plain and TLS take turns, each round from the same state: the same robots say the same at the same
times, counted from when the broker has all that is retained.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import trustme

from bench.robots import MOST_PER_MINUTE, START_S, Scene, robots, stacks
from scribed.delivery.watch import Access, Watch
from scribed.demo.account import percentile
from scribed.demo.broker import Broker, stable_port

ACL = Path(__file__).parents[1] / "docs" / "examples" / "fleet" / "site.acl"
WARM_S = 5.0
PLAIN, TLS = "plain", "TLS"
TAIL_S, LEAST_S = 2.0, 5.0
"""The counting ends before the load does."""
TELLING_S, PAUSE_S = 2.0, 0.3
"""How long until mosquitto tells its counts again, at most, and how long it pauses then."""
HEADER = 5
"""Bytes of a small PUBLISH beside topic and payload."""


def measure(
    robot_count: int, per_minute: float, seconds: float, rounds: int
) -> dict[str, dict[str, Any]]:
    """So many rounds of `seconds` each; of a column's figures the medians."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # counts for broker and robots, too
    scene = Scene(0, robot_count, per_minute, WARM_S + seconds, "")
    found: dict[str, list[dict[str, float]]] = {PLAIN: [], TLS: []}
    for _ in range(rounds):
        for way, columns in found.items():
            columns.append(_round(scene, tls=way == TLS))
    return {way: _medians(columns) for way, columns in found.items()}


def _medians(columns: list[dict[str, float]]) -> dict[str, Any]:
    return {
        name: round(statistics.median(column[name] for column in columns), 1) for name in columns[0]
    }


def _round(scene: Scene, *, tls: bool) -> dict[str, float]:
    """Run the scene at a broker of its own, and account for that."""
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(_broker(directory, scene.robots, tls=tls))
        ca_file = str(directory / "ca.pem") if tls else ""
        scene = replace(scene, port=broker.port, ca_file=ca_file)
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
        _told(sides[1][1])  # all that is retained is with the broker
        counts = Counts(watch)
        counts.follow(WARM_S)
        begun, cpu = counts.now(), _cpu_s(broker.pid)
        counts.follow(scene.seconds - WARM_S - TAIL_S)
        ended, used = counts.now(), _cpu_s(broker.pid) - cpu
        memory_mb = _memory_mb(broker.pid, "VmRSS")
        published, behind_s = _told(sides[1][1])
        sides[0][1].send(None)
        heard, spans_ms = _told(sides[0][1])
        for process, _ in sides:
            process.join(START_S)
        peak_mb = _memory_mb(broker.pid, "VmHWM")
    span_s, connections = ended["at"] - begun["at"], 2 * scene.robots + 2

    def rate(name: str) -> float:
        return (ended[name] - begun[name]) / span_s

    return {
        "connections": connections,
        "messages to the broker, per s": rate("publish/messages/received"),
        "messages from the broker, per s": rate("publish/messages/sent") - rate("own"),
        "kB/s to the broker": rate("bytes/received") / 1000,
        "kB/s from the broker": (rate("bytes/sent") - rate("own bytes")) / 1000,
        "broker, CPU % of a core": 100 * used / span_s,
        "broker, MB with nobody": idle_mb,
        "broker, MB": memory_mb,
        "broker, peak MB": peak_mb,
        "kB per connection": 1000 * (memory_mb - idle_mb) / connections,
        "publish to consumer p50, ms": percentile(spans_ms, 0.5),
        "publish to consumer p99, ms": percentile(spans_ms, 0.99),
        "transcripts heard": len(spans_ms),
        "published in all": published,
        "heard in all": heard,
        "all connected after, s": connect_s,
        "the load was late by at most, s": behind_s,
    }


class Counts:
    """mosquitto's own, told every second, one topic after the other; and what of them is this."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._said = watch, {"own": 0.0, "own bytes": 0.0}

    def follow(self, seconds: float) -> None:
        """Hear for so long, and on to the end of the next telling."""
        self._hear(time.monotonic() + seconds)
        while not self._take(TELLING_S):
            pass
        self._said["at"] = time.monotonic()
        while self._take(PAUSE_S):
            pass

    def now(self) -> dict[str, float]:
        return dict(self._said)

    def _hear(self, until: float) -> None:
        """Hear until then, and on to the next pause."""
        while self._take(PAUSE_S) or time.monotonic() < until:
            pass

    def _take(self, within_s: float) -> bool:
        messages = self._watch.heard(within_s)
        for message in messages:
            name = message.topic.removeprefix("$SYS/broker/")
            self._said["own"] += 1
            self._said["own bytes"] += HEADER + len(message.topic) + len(message.payload)
            with contextlib.suppress(ValueError):
                self._said[name] = float(message.payload)
        return bool(messages)


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
    parser.add_argument("--seconds", type=float, default=30.0, help="of a round (default: 30)")
    parser.add_argument("--rounds", type=int, default=2, help="of each column (default: 2)")
    parser.add_argument(
        "--per-minute", type=float, default=4.0, help="utterances of each robot (default: 4)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    if not 0 < args.per_minute < MOST_PER_MINUTE:
        parser.error(f"--per-minute: above 0 and below {MOST_PER_MINUTE:g}")
    if min(args.robots, args.rounds) < 1 or args.seconds < LEAST_S:
        parser.error(f"--robots, --rounds: at least 1; --seconds: at least {LEAST_S:g}")
    columns = measure(args.robots, args.per_minute, args.seconds, args.rounds)
    if args.json:
        print(json.dumps(columns))
        return
    print(f"{args.robots} robots, {args.per_minute:g} utterances a minute each")
    print(f"{'':<36}" + "".join(f"{name:>12}" for name in columns))
    for name in columns[PLAIN]:
        print(f"{name:<36}" + "".join(f"{column[name]:>12g}" for column in columns.values()))


if __name__ == "__main__":
    main()
