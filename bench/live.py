"""Commands in noise through stdin in real time: what reached the service and when, and MQTT.

Two daemons, each with a stand-in service of its own: one hears a command every few seconds, the
other somebody who speaks for a tenth of the time.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import running
from bench.beside import ANSWER_S, QUIET
from bench.commands import RATE, Recording, commands_in_noise
from bench.tables import Cell, Table, add_json, show
from scribed.demo.account import ALWAYS_ON_BYTES_PER_S, percentile
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Received, Subscriber
from scribed.simulate.recognizers import Answer
from scribed.simulate.recognizers.script import Script, ScriptRecognizer
from scribed.simulate.server import Server

SECONDS = 345.0
"""For a hundred commands."""
OFTEN, SELDOM = "commands", "speech a tenth of the time"
SHARES = {OFTEN: 0.0, SELDOM: 0.1}
START_S, END_S = 20.0, 10.0
SAID = ["turn left"]
DELIVERED, WIRE_P99 = "speech delivered (%)", "chunk read to the service, p99 (ms)"
END_P50, END_P95 = "last voiced frame to MQTT, p50 (ms)", "last voiced frame to MQTT, p95 (ms)"
PUBLISH_P99, SENT = "committed text to MQTT, p99 (ms)", "bytes sent, of always-on (%)"


class Ear:
    """The stand-in's recogniser, which notes what it is fed and when (monotonic)."""

    def __init__(self, script: Script, chunks: list[tuple[float, bytes]]) -> None:
        self._inner, self._chunks = ScriptRecognizer(script), chunks

    def feed(self, pcm: bytes) -> None:
        """A chunk has come."""
        self._chunks.append((time.monotonic(), pcm))
        self._inner.feed(pcm)

    def partial(self) -> str:
        """As the script has it."""
        return self._inner.partial()

    def commit(self) -> Answer:
        """As the script has it."""
        return self._inner.commit()

    def close(self) -> None:
        """Nothing to give back."""


@dataclass
class Heard:
    """What one daemon was played, and what came of it."""

    recording: Recording
    subscriber: Subscriber
    service: Server
    chunks: list[tuple[float, bytes]]
    reads: Path  #: see `bench/noting.py`
    written: list[float] = field(default_factory=list)  #: when each 20 ms were (monotonic)


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench live", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"length (default: {SECONDS:.0f})"
    )
    parser.add_argument("--snr", type=float, default=15.0, help="dB (default: 15)")
    parser.add_argument("--seed", type=int, default=1)
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.seconds, args.snr, args.seed), args)


def measure(seconds: float, snr_db: float = 15.0, seed: int = 1) -> Table:
    """Play both recordings at the same time, and account for it."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        heard: dict[str, Heard] = {}
        playing = []
        for robot, (name, share) in zip(("often", "seldom"), SHARES.items(), strict=True):
            (home := directory / robot).mkdir()
            chunks: list[tuple[float, bytes]] = []
            service = stack.enter_context(
                Server(
                    recognizer=partial(Ear, Script(SAID), chunks),
                    key=running.KEY,
                    answer_s=ANSWER_S,
                )
            )
            subscriber = stack.enter_context(Subscriber(broker.port, f"scribed/{robot}/mic"))
            scribed = running.start_scribed(
                home,
                service.url,
                broker.port,
                robot=robot,
                more=QUIET,
                module="bench.noting",
                environment={"BENCH_READS": str(home / "reads")},
            )
            stack.callback(scribed.kill)
            if not subscriber.wait_for(partial(subscriber.on, "state"), START_S):
                raise TimeoutError("scribed does not start")
            recording = commands_in_noise(seconds, snr_db, seed, share=share)
            each = heard[name] = Heard(recording, subscriber, service, chunks, home / "reads")
            playing.append(threading.Thread(target=_play, args=(each, scribed)))
        for thread in playing:
            thread.start()
        for thread in playing:
            thread.join()
        columns = {name: _figures(each) for name, each in heard.items()}
    says = (
        f"{seconds:.0f} s of commands (flite, -26 dBFS) in pink noise at {snr_db:g} dB, through "
        f"stdin in real time; the stand-in answers {ANSWER_S * 1000:.0f} ms after each commit. "
        "Always-on is 16 kHz in chunks of 100 ms, silence included."
    )
    names = next(iter(columns.values()))
    rows = {name: tuple(column[name] for column in columns.values()) for name in names}
    return Table("Commands in noise", says, tuple(columns), rows)


def _play(heard: Heard, scribed: subprocess.Popen[bytes]) -> None:
    heard.written += running.feed(heard.recording.pcm, scribed)
    running.end_of_input(scribed)
    heard.subscriber.wait_for(lambda: heard.subscriber.on("status")[-1].payload == "offline", END_S)


def _figures(heard: Heard) -> dict[str, Cell]:
    recording, finals = heard.recording, heard.subscriber.on("transcript")
    begun = heard.written[0] + (time.time() - time.monotonic())
    matched = [_finals_of(a, b, finals, begun) for a, b in recording.spoken]
    acoustic = [
        (found[-1].at - begun - b / RATE) * 1000
        for (_, b), found in zip(recording.spoken, matched, strict=True)
        if found
    ]
    seqs = [m.payload["seq"] for m in finals]
    local = [m.at * 1000 - m.payload["end_unix_ms"] for m in finals]
    spans = [float(m.payload["latency"]["text_to_publish_ms"]) for m in finals]
    delivered, late_ms = _arrivals(heard)
    always_on = len(recording.pcm) / 2 / RATE * ALWAYS_ON_BYTES_PER_S
    return {
        "commands spoken": len(recording.spoken),
        "finals": len(finals),
        "commands without one": sum(1 for found in matched if not found),
        "finals doubled": len(seqs) - len(set(seqs)),
        DELIVERED: round(delivered, 2),
        SENT: round(100 * heard.service.stats.wire_bytes / always_on, 1),
        "chunk read to the service, p50 (ms)": round(percentile(late_ms, 0.5), 1),
        WIRE_P99: round(percentile(late_ms, 0.99), 1),
        END_P50: round(percentile(local, 0.5)),
        END_P95: round(percentile(local, 0.95)),
        "acoustic end of speech to MQTT, p50 (ms)": round(percentile(acoustic, 0.5)),
        PUBLISH_P99: percentile(spans, 0.99),
    }


def _arrivals(heard: Heard) -> tuple[float, list[float]]:
    """The share of the speech that came to the service, in percent, and for each chunk how long
    after the daemon had read its last sample."""
    reads = [line.split() for line in heard.reads.read_text("ascii").splitlines()]
    times, sizes = [float(at) for at, _ in reads], [int(size) for _, size in reads]
    pcm, came, late_ms, at = heard.recording.pcm, bytearray(len(heard.recording.pcm)), [], 0
    for when, chunk in heard.chunks:
        found = pcm.find(chunk, at)
        if found < 0:
            raise ValueError("what came to the service was not spoken, or came in another order")
        at = found + len(chunk)
        came[found:at] = b"\1" * len(chunk)
        late_ms.append((when - times[bisect.bisect_left(sizes, at)]) * 1000)
    spoken = heard.recording.spoken
    delivered = sum(came[2 * a : 2 * b].count(1) for a, b in spoken)
    return 100 * delivered / sum(2 * (b - a) for a, b in spoken), late_ms


def _finals_of(start: int, end: int, finals: list[Received], begun: float) -> list[Received]:
    """The finals whose speech overlaps samples [start, end)."""
    return [
        m
        for m in finals
        if m.payload["start_unix_ms"] / 1000 < begun + end / RATE
        and m.payload["end_unix_ms"] / 1000 > begun + start / RATE
    ]


if __name__ == "__main__":
    main()
