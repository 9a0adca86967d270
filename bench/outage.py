"""The service is away while people speak: how fast what waited is sent afterwards, and whether it
delays those who speak then."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
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
AFTER_S = 120.0
"""How long people speak afterwards, at most; then nobody does, until the last has its text."""
DRAINED_S = 600.0
DRAINED, LIVE = "× real time", "first who spoke then, end to MQTT (ms)"
CALM_MS = "the last three, end to MQTT, median (ms)"
CALM = 3
"""Utterances after that."""
NOBODY, SOMETIMES, OFTEN = "nobody speaks", "2 of 20 s", "2 of 3 s"
AFTERWARDS: dict[str, float | None] = {NOBODY: None, SOMETIMES: 18.0, OFTEN: PAUSE_S}
"""Who speaks afterwards, with which pauses."""
REACH: dict[str, Cell] = {
    "finals, each once": "all",
    "finals more than once": 0,
    DRAINED: "≥ 3, ≤ 4 (catch_up_rate)",
    LIVE: "≤ 2000 later",
}


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length (default: 600)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.seconds), args)


def measure(seconds: float) -> Table:
    """Three outages at a time, each with a daemon, a service and a broker of its own."""
    with ThreadPoolExecutor(len(AFTERWARDS)) as pool:
        found = list(pool.map(lambda pause_s: _outage(seconds, pause_s), AFTERWARDS.values()))
    rows = {name: (*(each[name] for each in found), REACH.get(name, "")) for name in found[0]}
    says = (
        f"Utterances of {SPOKEN_S:.0f} s with pauses of {PAUSE_S:.0f} s, through stdin in real "
        f"time; the service is away for {seconds:.0f} s, in which people go on speaking. The "
        "columns say how much they speak afterwards, until the last of what waited has its text, "
        f"or for {AFTER_S:.0f} s; the figures of what waited are of that time. "
        f"It answers after {ANSWER_S * 1000:.0f} ms."
    )
    return Table("Outage", says, (*AFTERWARDS, "to reach"), rows)


def _outage(seconds: float, pause_s: float | None) -> dict[str, Cell]:
    """Speak before, during and, with such pauses, after; account for it."""
    speech = speech_without_pauses(SPOKEN_S)
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

        def speak(times: int, pause_s: float = PAUSE_S) -> None:
            nonlocal said
            running.feed((speech + faint_noise(pause_s)) * times, scribed)
            said += times

        with _service(port):
            if not subscriber.wait_for(lambda: subscriber.on("state"), START_S):
                raise TimeoutError("scribed does not start")
            speak(BEFORE)
        speak(round(seconds / (SPOKEN_S + PAUSE_S)))
        back, waited = time.time(), said - len(_finals(subscriber))
        with _service(port):
            while len(_old(subscriber, back)) < waited and time.time() < back + AFTER_S:
                if pause_s is None:
                    running.feed(faint_noise(PAUSE_S), scribed)
                else:
                    speak(1, pause_s)
            until = time.time()
            while len(_old(subscriber, back)) < waited and time.time() < back + DRAINED_S:
                running.feed(faint_noise(PAUSE_S), scribed)
            speak(CALM)
            running.end_of_input(scribed)
        return _account(back, until, waited, said, subscriber)


def _service(port: int) -> Server:
    script = Script(["turn left"])
    return Server(recognizer=script, key=running.KEY, answer_s=ANSWER_S, port=port)


def _finals(subscriber: Subscriber) -> list[Received]:
    return subscriber.on("transcript", "late")


def _old(subscriber: Subscriber, back: float) -> list[Received]:
    """The texts since then of what was said before."""
    finals = _finals(subscriber)
    return [m for m in finals if m.at > back and m.payload["end_unix_ms"] / 1000 < back]


def _account(
    back: float, until: float, waited: int, said: int, subscriber: Subscriber
) -> dict[str, Cell]:
    finals, old = _finals(subscriber), _old(subscriber, back)
    old = [m for m in old if m.at <= until]
    first = min(m.at for m in old)
    drained_s = max(m.at for m in old) - first
    heard_s = sum(m.payload["end_unix_ms"] - m.payload["start_unix_ms"] for m in old[1:]) / 1000
    live = [m for m in subscriber.on("transcript") if m.payload["start_unix_ms"] / 1000 > back]
    spans_ms = [m.at * 1000 - m.payload["end_unix_ms"] for m in live]
    seqs = [m.payload["seq"] for m in finals]
    return {
        "utterances spoken": said,
        "finals, each once": len(set(seqs)),
        "finals more than once": len(seqs) - len(set(seqs)),
        "waited when the service came back": waited,
        "first text of them, after the service came back (s)": round(first - back, 1),
        "speech in the others (s)": round(heard_s, 1),
        "their texts, after the first (s)": round(drained_s, 1),
        DRAINED: round(heard_s / drained_s, 1),
        LIVE: round(spans_ms[0]),
        CALM_MS: round(statistics.median(spans_ms[-CALM:])),
    }


if __name__ == "__main__":
    main()
