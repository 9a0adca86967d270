"""What an hour of speech on disk takes of memory: while it is heard, and while it is sent.

One scribed hears it without a service, as fast as it reads; another begins on what that left, with
a service that answers, and sends it.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import running
from bench.beside import ANSWER_S
from bench.commands import RATE, faint_noise, speech_without_pauses
from bench.cost import cost
from bench.tables import Cell, Table, add_json, show
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Subscriber

UNREACHED = 9  # discard: nobody listens there
MORE = '[log]\nlevel = "error"\n[spool]\nmax_mb = 512\n'
HEARD = 0.9
"""Of the sound, what waits at least: the pauses do not."""
SENDING_S = 30.0
HEARD_S, STOP_S = 900.0, 20.0
PEAK = "peak memory, while it is sent (MB)"


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench backlog", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of speech (default: 60)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.minutes), args)


def measure(minutes: float) -> Table:
    """Hear, then send; account for it."""
    speech = speech_without_pauses(60.0)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        subscriber = stack.enter_context(Subscriber(broker.port, "scribed/bench/mic"))
        unreached = f"ws://127.0.0.1:{UNREACHED}"
        hears = running.start_scribed(directory, unreached, broker.port, more=MORE)
        stack.callback(hears.kill)
        assert hears.stdin is not None
        for _ in range(round(minutes)):
            hears.stdin.write(speech)
        hears.stdin.flush()
        _wait(subscriber, lambda waits_s: waits_s > HEARD * 60 * round(minutes))
        heard, waited_s = cost(hears.pid), _backlog_s(subscriber)
        hears.terminate()  # at the end of its input it would wait for the texts
        hears.wait(STOP_S)
        kept_mb = sum(path.stat().st_size for path in directory.rglob("*.wav*")) / 1e6
        service = stack.enter_context(running.service(answer_s=ANSWER_S))
        sends = running.start_scribed(directory, service.url, broker.port, more=MORE)
        stack.callback(sends.kill)
        running.feed(faint_noise(SENDING_S), sends)
        sent = cost(sends.pid)
        sent_s = service.stats.audio_bytes / (2 * RATE)
    rows: dict[str, tuple[Cell, ...]] = {
        "speech that waits (s)": (round(waited_s),),
        "on disk (MB)": (round(kept_mb),),
        "peak memory, while it is heard (MB)": (round(heard.peak_mb, 1),),
        PEAK: (round(sent.peak_mb, 1),),
        f"sent in {SENDING_S:.0f} s (s)": (round(sent_s),),
    }
    says = (
        f"{minutes:.0f} minutes of speech in utterances of 20 s, as fast as they are read, without "
        "a service; then another start, with one, and nobody speaks. It is heard in a few seconds, "
        "which takes more than an outage does."
    )
    return Table("An hour that waits", says, ("measured",), rows)


def _wait(subscriber: Subscriber, enough: Callable[[float], bool]) -> None:
    if not subscriber.wait_for(lambda: enough(_backlog_s(subscriber)), HEARD_S):
        raise TimeoutError(f"{_backlog_s(subscriber):.0f} s of speech wait, and no more come")


def _backlog_s(subscriber: Subscriber) -> float:
    """What the daemon says of it."""
    states = subscriber.on("state")
    return float(states[-1].payload["backlog"]["seconds"]) if states else 0.0


if __name__ == "__main__":
    main()
