"""Commands in noise through stdin in real time: what reached the service, when, and what it cost.

scribed and the floor (`bench/floor.py`) hear the same sound at the same time, each with a stand-in
service of its own that answers after 250 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.commands import RATE, Recording, commands_in_noise
from bench.cost import Cost, cost
from bench.running import KEY, end_of_input, endpoint, feed, service, start_scribed
from scribed.demo.account import percentile
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Received, Subscriber
from scribed.simulate.server import Server

ANSWER_S = 0.25
HANGOVER_MS = 500


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench live", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="length (default: 120)")
    parser.add_argument("--snr", type=float, default=15.0, help="dB (default: 15)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    recording = commands_in_noise(args.seconds, args.snr, args.seed)
    figures = measure(recording)
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<44} {value}")


def measure(recording: Recording) -> dict[str, Any]:
    """Play the recording to both, and account for it."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Broker(directory))
        ours = stack.enter_context(service(answer_s=ANSWER_S, keep_audio=True))
        floors = stack.enter_context(service(answer_s=ANSWER_S))
        subscriber = stack.enter_context(Subscriber(broker.port, "scribed/bench/mic"))
        scribed = start_scribed(directory, ours.url, broker.port)
        floor = subprocess.Popen(
            [sys.executable, "-m", "bench.floor", endpoint(floors.url), KEY, str(broker.port)],
            stdin=subprocess.PIPE,
        )
        assert subscriber.wait_for(lambda: subscriber.on("state"), 10)
        before = [cost(process.pid) for process in (scribed, floor)]
        begun = time.time()
        feed(recording.pcm, scribed, floor)
        after = [cost(process.pid) for process in (scribed, floor)]
        status, _ = end_of_input(scribed), end_of_input(floor)
        subscriber.wait_for(lambda: subscriber.on("status")[-1].payload == "offline", 10)
        sent = [c.pcm or b"" for c in ours.commits]
        return _figures(recording, subscriber, sent, begun, (before, after), ours, status)


def _figures(
    recording: Recording,
    subscriber: Subscriber,
    sent: list[bytes],
    begun: float,
    costs: tuple[list[Cost], list[Cost]],
    service: Server,
    status: int,
) -> dict[str, Any]:
    finals = subscriber.on("transcript")
    (ours_0, floor_0), (ours, floor) = costs
    running, floor_running = ours.cpu_s - ours_0.cpu_s, floor.cpu_s - floor_0.cpu_s
    seconds = len(recording.pcm) / 2 / RATE
    heard = bytearray(len(recording.pcm) // 2)
    for pcm in sent:
        at = recording.pcm.find(pcm[:6400])
        heard[at // 2 : (at + len(pcm)) // 2] = b"\1" * (len(pcm) // 2)
    speech = sum(b - a for a, b in recording.spoken)
    delivered = sum(sum(heard[a:b]) for a, b in recording.spoken)
    matched = [_finals_of(a, b, finals, begun) for a, b in recording.spoken]
    local = [m.at * 1000 - m.payload["end_unix_ms"] for m in finals]
    acoustic = [
        (found[-1].at - begun - b / RATE) * 1000
        for (_, b), found in zip(recording.spoken, matched, strict=True)
        if found
    ]
    seqs = [m.payload["seq"] for m in finals]
    always_on = seconds * 43_700
    return {
        "length of the recording (s)": round(seconds, 1),
        "commands spoken": len(recording.spoken),
        "finals on transcript": len(finals),
        "commands with no final": sum(1 for found in matched if not found),
        "finals doubled": len(seqs) - len(set(seqs)),
        "exit status": status,
        "speech samples delivered (%)": round(100 * delivered / speech, 3),
        "last voiced frame to MQTT, p50 (ms)": round(statistics.median(local)),
        "last voiced frame to MQTT, p95 (ms)": round(percentile(local, 0.95)),
        "allowed: hangover + answer + 100 (ms)": round(HANGOVER_MS + ANSWER_S * 1000 + 100),
        "acoustic end of speech to MQTT, p50 (ms)": round(statistics.median(acoustic)),
        "CPU seconds, scribed, start + running": f"{ours_0.cpu_s:.2f} + {running:.2f}",
        "CPU seconds, floor, start + running": f"{floor_0.cpu_s:.2f} + {floor_running:.2f}",
        "CPU, scribed / floor, all": round(ours.cpu_s / floor.cpu_s, 2),
        "CPU, scribed / floor, running": round(running / floor_running, 2),
        "peak memory, scribed (MB)": round(ours.peak_mb, 1),
        "peak memory, floor (MB)": round(floor.peak_mb, 1),
        "voluntary switches per second, scribed": round(ours.switches / seconds, 1),
        "voluntary switches per second, floor": round(floor.switches / seconds, 1),
        "bytes sent / always-on (%)": round(100 * service.stats.wire_bytes / always_on, 1),
    }


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
