"""What starting takes and what is kept in memory: time to READY, memory by phase, imported modules.

READY is what systemd is told. Each start is of a new process with compiled bytecode and a warm disk
cache, on a state directory of its own; the libraries alone are started in turn with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import running
from bench.beside import ANSWER_S, NEURAL, QUIET, SCRIBED
from bench.commands import faint_noise, speech_without_pauses
from bench.cost import Cost, all_of, cost, spread
from bench.peers.installed import NotInstalledError
from bench.peers.listeners import PEERS, listening
from bench.tables import Cell, Table, add_json, show
from scribed.demo.broker import Broker

LIBRARIES = "import websocket, paho.mqtt.client, webrtcvad"
READY_S = 20.0
HEARD_S = 3.0
ALONE = f'python -c "{LIBRARIES}"'
READY, CPU = "to READY (ms)", "CPU until then (ms)"
COLUMNS = (READY, CPU, "MB at READY", "MB after speech", "peak MB", "modules")


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench footprint", description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="starts of each (default: 10)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.times), args)


def measure(times: int) -> Table:
    """Start them in turn, and account for it."""
    starts: dict[str, list[tuple[float, Cost, Cost]]] = {name: [] for name in SCRIBED}
    libraries: list[tuple[float, float]] = []
    speech = faint_noise(HEARD_S) + speech_without_pauses(HEARD_S) + faint_noise(1.0)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        service = stack.enter_context(running.service(answer_s=ANSWER_S))
        for n in range(times):
            libraries.append(_libraries_ms())
            for name in SCRIBED:
                (home := directory / f"{n}{name}").mkdir()
                starts[name].append(_start(name, home, service.url, broker.port, speech))
    found = {
        name: (
            spread([ready for ready, _, _ in each], 0),
            spread([1000 * at_ready.cpu_s for _, at_ready, _ in each], 0),
            spread([at_ready.rss_mb for _, at_ready, _ in each]),
            spread([after.rss_mb for _, _, after in each]),
            spread([after.peak_mb for _, _, after in each]),
            _modules("import scribed.cli.run"),
        )
        for name, each in starts.items()
    }
    alone: tuple[Cell, ...] = (
        *(spread(each, 0) for each in zip(*libraries, strict=True)),
        *("", "", ""),
        _modules(LIBRARIES),
    )
    says = (
        f"{times} starts of each in turn: medians, and from the least to the most. Modules are "
        "those imported before the configuration is read. The others are ready when they say that "
        "they listen; what each does is said under Silence."
    )
    peers = {name: _peer(name, times) for name in PEERS}
    return Table("Footprint", says, COLUMNS, {**found, ALONE: alone, **peers})


def _peer(name: str, times: int) -> tuple[Cell, ...]:
    """A peer's row: until it says that it listens, and what it has in memory then."""
    ready_ms, megabytes = [], []
    try:
        for _ in range(times):
            with tempfile.TemporaryDirectory() as home, listening(name, Path(home)) as peer:
                ready_ms.append(1000 * peer.took_s)
                megabytes.append(all_of(peer.pids).rss_mb)
    except (NotInstalledError, TimeoutError) as exc:
        return f"not here: {exc}", *[""] * (len(COLUMNS) - 1)
    return spread(ready_ms, 0), "", spread(megabytes), "", "", ""


def _start(name: str, home: Path, url: str, port: int, speech: bytes) -> tuple[float, Cost, Cost]:
    """Milliseconds to READY, what was used by then, and after some speech."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(home / "notify"))
        notified.settimeout(READY_S)
        running.compile_scribed()
        begun = time.monotonic()
        process = running.start_scribed(
            home,
            url,
            port,
            robot="bench",
            more=QUIET + SCRIBED[name],
            module=running.WITH_EXTRAS if name == NEURAL else running.PLAIN,
            environment={"NOTIFY_SOCKET": str(home / "notify")},
        )
        try:
            while b"READY=1" not in notified.recv(4096):
                pass
            ready_ms = (time.monotonic() - begun) * 1000
            at_ready = cost(process.pid)
            notified.close()  # nobody reads what else it tells, and it would wait for room
            running.feed(speech, process)
            after = cost(process.pid)
            running.end_of_input(process)
        finally:
            process.kill()
    return ready_ms, at_ready, after


def _libraries_ms() -> tuple[float, float]:
    """Wall and CPU."""
    begun, used = time.monotonic(), _children_cpu_s()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True, timeout=READY_S)
    return (time.monotonic() - begun) * 1000, (_children_cpu_s() - used) * 1000


def _children_cpu_s() -> float:
    """Of those that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _modules(program: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport json, sys\nprint(json.dumps(len(sys.modules)))"],
        check=True,
        capture_output=True,
        timeout=READY_S,
    )
    return int(json.loads(run.stdout))


if __name__ == "__main__":
    main()
