"""What streaming speech without a pause costs, beside a bare loop, the vendor's own SDK and
other projects' listeners."""

from __future__ import annotations

import argparse

from bench.beside import CHUNKS, COLUMNS, FLOOR, SCRIBED, SDK, contenders, play, rows
from bench.commands import speech_without_pauses
from bench.peers.listeners import PEERS
from bench.tables import Table, add_json, show


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench stream", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="a round (default: 120)")
    parser.add_argument("--times", type=int, default=5, help="rounds (default: 5)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.seconds, args.times), args)


def measure(seconds: float, times: int) -> Table:
    """Let them stream, and account for it."""
    with contenders([*SCRIBED, CHUNKS, FLOOR, SDK, *PEERS]) as started:
        play(speech_without_pauses(seconds), started, times)
        found = rows(started)
    says = (
        f"{times} rounds of {seconds:.0f} s of speech (flite, -26 dBFS; utterances of 20 s) "
        "through stdin in real time; each service answers after 250 ms. The bare loop has no "
        "spool, no recovery and no supervision, and asks no neural model; the SDK has no gate, "
        "no reconnecting and no MQTT either. With `provider.chunk_ms = 200` partials come "
        "some 100 ms later. What the others do is said under Silence."
    )
    return Table("Speech without a pause", says, COLUMNS, found)


if __name__ == "__main__":
    main()
