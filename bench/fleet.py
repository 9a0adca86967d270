"""Many daemons on one mosquitto: what they say, over connections as theirs, and what it costs.

Each robot has a connection of the daemon's own making (will, session, subscription to commands)
and says what a daemon says that hears somebody now and then; each has a control stack that reads
it, and a dashboard reads how all of them are. The broker has the rights of docs/examples/fleet.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import multiprocessing
import os
import resource
import tempfile
import time
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
HEADER = 5
"""Bytes of a small PUBLISH beside topic and payload."""


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
