"""scribed and its comparisons, side by side on the same sound, each with a service of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import running
from bench.cost import Pace, all_of, pace, spread
from bench.peers.installed import NotInstalledError
from bench.peers.listeners import PEERS, listening
from bench.tables import Cell
from scribed.demo.broker import Broker
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server

ANSWER_S = 0.25
FLOOR, SDK = "bare loop", "vendor's SDK"
NEURAL = "scribed, neural"
SCRIBED = {
    "scribed": "",
    NEURAL: "",
    "scribed, webrtc": '[vad]\nengine = "webrtc"\n',
}
"""More of the configuration of each scribed; one has the extra `neural`."""
CHUNKS = "scribed, chunk_ms = 200"
ENVIRONMENT = {CHUNKS: {"SCRIBED_PROVIDER__CHUNK_MS": "200"}}
"""One more, for where that matters: as the first otherwise."""
QUIET = '[log]\nlevel = "warning"\n'
NEVER_IDLE_S = 86_400.0
"""The bare loop and the SDK do not connect again."""
START_S = 15.0
WARM_UP_S = 3.0
COLUMNS = ("CPU-s per hour", "× bare loop", "wake-ups per s", "peak MB")


@dataclass
class Contender:
    """One process that hears its stdin, with what it started, and what they used in each round."""

    process: subprocess.Popen[bytes]
    pids: list[int]
    rounds: list[Pace] = field(default_factory=list)


@dataclass
class Absent:
    """One that is not here, or ended early: why."""

    why: str


Started = dict[str, "Contender | Absent"]


@contextlib.contextmanager
def contenders(names: Sequence[str]) -> Iterator[Started]:
    """Start them all; they are connected, and end with the block. Of the peers those that can."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        started: Started = {}
        for n, name in enumerate(names):
            (home := directory / str(n)).mkdir()
            if name in PEERS:
                try:
                    peer = stack.enter_context(listening(name, home))
                except (NotInstalledError, TimeoutError) as exc:
                    started[name] = Absent(str(exc))
                else:
                    started[name] = Contender(peer.process, peer.pids)
                continue
            server = Server(
                recognizer=Script(["turn left"]),
                key=running.KEY,
                answer_s=ANSWER_S,
                idle_s=None if _is_scribed(name) else NEVER_IDLE_S,
            )
            service = stack.enter_context(server)
            process = _start(name, home, service.url, broker.port)
            stack.callback(process.kill)
            started[name] = Contender(process, [process.pid])
        time.sleep(WARM_UP_S)  # as long as the slowest takes to start, which is the SDK
        yield started
        for name, each in started.items():
            if isinstance(each, Contender) and name not in PEERS:
                running.end_of_input(each.process)


def play(pcm: bytes, started: Started, times: int) -> None:
    """Let all hear `pcm` in real time, so many times; a round is noted each."""
    for _ in range(times):
        here = {name: each for name, each in started.items() if isinstance(each, Contender)}
        before = [all_of(each.pids) for each in here.values()]
        begun = time.monotonic()
        running.feed(pcm, *(each.process for each in here.values()))
        seconds = time.monotonic() - begun
        for (name, each), was in zip(here.items(), before, strict=True):
            if (status := each.process.poll()) is not None:
                started[name] = Absent(f"ended early, with status {status}")
                continue
            each.rounds.append(pace(was, all_of(each.pids), seconds))


def lacking() -> str:
    """What the peers do, and what not, in a list."""
    return "\n" + "".join(f"\n* {name}: {peer.does}." for name, peer in PEERS.items())


def rows(started: Started) -> dict[str, tuple[Cell, ...]]:
    """Medians and spread of the rounds; the ratios are of the same round."""
    beneath = started[FLOOR]
    if isinstance(beneath, Absent):
        raise TypeError(f"the bare loop {beneath.why}")
    floor = [each.cpu_s_per_h for each in beneath.rounds]
    found: dict[str, tuple[Cell, ...]] = {}
    for name, contender in started.items():
        if isinstance(contender, Absent):
            found[name] = (f"not here: {contender.why}", "", "", "")
            continue
        used = contender.rounds
        ratios = [each.cpu_s_per_h / low for each, low in zip(used, floor, strict=True)]
        found[name] = (
            spread([each.cpu_s_per_h for each in used]),
            spread(ratios, 2),
            spread([each.switches_per_s for each in used]),
            round(used[-1].peak_mb, 1),
        )
    return found


def _is_scribed(name: str) -> bool:
    return name in SCRIBED or name in ENVIRONMENT


def _start(name: str, home: Path, url: str, port: int) -> subprocess.Popen[bytes]:
    if _is_scribed(name):
        module = running.WITH_EXTRAS if name == NEURAL else running.PLAIN
        return running.start_scribed(
            home,
            url,
            port,
            robot=home.name,
            more=QUIET + SCRIBED.get(name, ""),
            module=module,
            environment=ENVIRONMENT.get(name),
        )
    if name == SDK:
        arguments = ["bench.sdk", url, running.KEY]
    else:
        arguments = ["bench.floor", running.endpoint(url), running.KEY, str(port)]
    return subprocess.Popen([sys.executable, "-m", *arguments], stdin=subprocess.PIPE)
