"""From the committed text to MQTT: in peace, and under a flood of commands, on the same sound.

Two daemons hear the same commands at the same time, each with a stand-in service of its own that
answers after 250 ms; one of them is asked for its state all the while.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench import running
from bench.commands import Recording, so_many_commands
from scribed.demo.account import percentile
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Subscriber

ANSWER_S = 0.25
START_S, END_S = 20.0, 10.0
PEACE, FLOOD = "in peace", "under a flood"


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("--commands", type=int, default=40, help="how many (default: 40)")
    parser.add_argument("--flood", type=int, default=200, help="cmd/state a second (default: 200)")
    parser.add_argument("--snr", type=float, default=15.0, help="dB (default: 15)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    columns = measure(so_many_commands(args.commands, args.snr, args.seed), args.flood)
    if args.json:
        print(json.dumps(columns))
        return
    print(f"{'':<44}" + "".join(f"{name:>15}" for name in columns))
    for name in columns[PEACE]:
        print(f"{name:<44}" + "".join(f"{column[name]:>15}" for column in columns.values()))


def measure(recording: Recording, per_s: int) -> dict[str, dict[str, float]]:
    """Play the recording to both; the figures of each."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        port = stack.enter_context(Broker(directory / "broker")).port
        subscribers, processes = {}, {}
        for name, robot in ((PEACE, "peace"), (FLOOD, "flood")):
            (home := directory / robot).mkdir()
            service = stack.enter_context(running.service(answer_s=ANSWER_S))
            subscribers[name] = stack.enter_context(Subscriber(port, f"scribed/{robot}/mic"))
            more = '[log]\nlevel = "warning"\n'
            processes[name] = running.start_scribed(home, service.url, port, robot=robot, more=more)
        for each in subscribers.values():
            assert each.wait_for(partial(each.on, "state"), START_S)
        with _flood(port, "scribed/flood/mic/cmd/state", per_s) as asked:
            running.feed(recording.pcm, *processes.values())
        for process in processes.values():
            running.end_of_input(process)
        for each in subscribers.values():
            assert each.wait_for(partial(_is_gone, each), END_S)
        figures = {
            name: _figures(each, len(recording.spoken)) for name, each in subscribers.items()
        }
        figures[PEACE]["commands asked"], figures[FLOOD]["commands asked"] = 0, len(asked)
        return figures


@contextlib.contextmanager
def _flood(port: int, topic: str, per_s: int) -> Iterator[list[float]]:
    """Publish on `topic` so many times a second; when each was."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    over = threading.Event()
    asked: list[float] = []

    def ask() -> None:
        begun = time.monotonic()
        while not over.wait(max(begun + len(asked) / per_s - time.monotonic(), 0.0)):
            client.publish(topic, b"{}", qos=1)
            asked.append(time.monotonic())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield asked
    finally:
        over.set()
        asking.join()
        client.disconnect()
        client.loop_stop()


def _is_gone(subscriber: Subscriber) -> bool:
    return bool(subscriber.on("status")[-1].payload == "offline")


def _figures(subscriber: Subscriber, spoken: int) -> dict[str, float]:
    finals = [m for m in subscriber.on("transcript", "late") if m.payload["final_reason"]]
    spans = [float(m.payload["latency"]["text_to_publish_ms"]) for m in finals]
    ways = [m.at * 1000 - m.payload["emit_unix_ms"] for m in finals]
    replies = [m.payload for m in subscriber.on("reply")]
    return {
        "commands spoken": spoken,
        "finals": len(finals),
        "of them late": len(subscriber.on("late")),
        "committed text to publish p50, ms": percentile(spans, 0.5),
        "committed text to publish p99, ms": percentile(spans, 0.99),
        "committed text to publish most, ms": max(spans),
        "publish to subscriber p50, ms": round(percentile(ways, 0.5), 1),
        "publish to subscriber p99, ms": round(percentile(ways, 0.99), 1),
        "replies": len(replies),
        "of them busy": sum(not reply["ok"] for reply in replies),
    }


if __name__ == "__main__":
    main()
