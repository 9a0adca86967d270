"""What listening costs while nobody speaks, and what waiting costs with nothing to listen to.

scribed, a bare loop of its libraries and other projects' listeners hear the same faint noise in
real time; another scribed has neither a microphone nor a broker nor a service meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import running
from bench.beside import COLUMNS, FLOOR, SCRIBED, contenders, lacking, play, rows
from bench.commands import faint_noise
from bench.cost import cost, pace
from bench.peers.listeners import PEERS
from bench.tables import Table, add_json, show

ALONE = "scribed, no microphone, broker or service"
SETTLED_S = 10.0
UNREACHED = 9  # discard: nobody listens there


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="a round (default: 120)")
    parser.add_argument("--times", type=int, default=5, help="rounds (default: 5)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.seconds, args.times), args)


def measure(seconds: float, times: int) -> Table:
    """Let them listen, and account for it."""
    with _alone() as alone, contenders([*SCRIBED, FLOOR, *PEERS]) as started:
        time.sleep(SETTLED_S)  # the delays between attempts have grown by then
        before, begun = cost(alone.pid), time.monotonic()
        play(faint_noise(seconds), started, times)
        used = pace(before, cost(alone.pid), time.monotonic() - begun)
        found = rows(started)
    cpu, switches = round(used.cpu_s_per_h, 1), round(used.switches_per_s, 1)
    found[ALONE] = (cpu, "", switches, round(used.peak_mb, 1))
    says = (
        f"{times} rounds of {seconds:.0f} s of faint noise (-70 dBFS) through stdin in real time: "
        "medians, and from the least to the most. The ratios are of the same round." + lacking()
    )
    return Table("Silence", says, COLUMNS, found)


@contextlib.contextmanager
def _alone() -> Iterator[subprocess.Popen[bytes]]:
    """A scribed that has nothing to hear and nobody to tell, while the block runs."""
    with tempfile.TemporaryDirectory() as directory:
        process = running.start_scribed(
            Path(directory),
            f"ws://127.0.0.1:{UNREACHED}",
            UNREACHED,
            source="alsa",
            more='device = "hw:NOSUCH"\n[log]\nlevel = "error"\n',
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
