"""The service is away while people speak: how fast what waited is sent afterwards, and whether it
delays those who speak then."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

from bench import running
from bench.beside import ANSWER_S, START_S
from bench.commands import faint_noise, speech_without_pauses
from bench.tables import Cell, Table, add_json, show
from scribed.demo.broker import Broker, stable_port
from scribed.demo.subscriber import Received, Subscriber
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server

ERRORS = '[log]\nlevel = "error"\n'
SPOKEN_S, PAUSE_S = 2.0, 1.0
BEFORE = 3
"""Utterances before the outage."""
AFTER_S = 600.0
"""How long what waits may take to be sent."""
DRAINED, LIVE = "× real time", "first who spoke then, end to MQTT (ms)"
CALM_MS = "the last three, end to MQTT, median (ms)"
CALM = 3
"""Utterances after that."""


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length (default: 600)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.seconds), args)


def measure(seconds: float) -> Table:
    """Speak before, during and after; account for it."""
    utterance = speech_without_pauses(SPOKEN_S) + faint_noise(PAUSE_S)
    port = stable_port()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        subscriber = stack.enter_context(Subscriber(broker.port, "scribed/bench/mic"))
        url = f"ws://127.0.0.1:{port}"
        scribed = running.start_scribed(directory, url, broker.port, more=ERRORS)
        stack.callback(scribed.kill)
        said = 0

        def speak(times: int) -> None:
            nonlocal said
            running.feed(utterance * times, scribed)
            said += times

        with _service(port):
            if not subscriber.wait_for(lambda: subscriber.on("state"), START_S):
                raise TimeoutError("scribed does not start")
            speak(BEFORE)
        speak(round(seconds / (SPOKEN_S + PAUSE_S)))
        back, waited = time.time(), said - len(_finals(subscriber))
        with _service(port):
            while len(_finals(subscriber)) < said - 1 and time.time() < back + AFTER_S:
                speak(1)
            speak(CALM)
            running.end_of_input(scribed)
        return _table(seconds, back, waited, said, _finals(subscriber), subscriber)


def _service(port: int) -> Server:
    script = Script(["turn left"])
    return Server(recognizer=script, key=running.KEY, answer_s=ANSWER_S, port=port)


def _finals(subscriber: Subscriber) -> list[Received]:
    return subscriber.on("transcript", "late")


def _table(
    seconds: float,
    back: float,
    waited: int,
    said: int,
    finals: list[Received],
    subscriber: Subscriber,
) -> Table:
    old = [m for m in finals if m.at > back and m.payload["end_unix_ms"] / 1000 < back]
    first = min(m.at for m in old)
    drained_s = max(m.at for m in old) - first
    heard_s = sum(m.payload["end_unix_ms"] - m.payload["start_unix_ms"] for m in old[1:]) / 1000
    live = [m for m in subscriber.on("transcript") if m.payload["start_unix_ms"] / 1000 > back]
    spans_ms = [m.at * 1000 - m.payload["end_unix_ms"] for m in live]
    calm_ms = statistics.median(spans_ms[-CALM:])
    seqs = [m.payload["seq"] for m in finals]
    columns = ("measured", "to reach")
    rows: dict[str, tuple[Cell, ...]] = {
        "utterances spoken": (said, ""),
        "finals, each once": (len(set(seqs)), said),
        "finals more than once": (len(seqs) - len(set(seqs)), 0),
        "waited when the service came back": (waited, ""),
        "first text of them, after the service came back (s)": (round(first - back, 1), ""),
        "speech in the others (s)": (round(heard_s, 1), ""),
        "their texts, after the first (s)": (round(drained_s, 1), ""),
        DRAINED: (round(heard_s / drained_s, 1), "≥ 3, ≤ 4 (catch_up_rate)"),
        LIVE: (round(spans_ms[0]), "≤ 2000 later"),
        CALM_MS: (round(calm_ms), ""),
    }
    says = (
        f"Utterances of {SPOKEN_S:.0f} s with pauses of {PAUSE_S:.0f} s, through stdin in real "
        f"time; the service is away for {seconds:.0f} s, in which people go on speaking, as they "
        f"do afterwards. It answers after {ANSWER_S * 1000:.0f} ms."
    )
    return Table("Outage", says, columns, rows)


if __name__ == "__main__":
    main()
