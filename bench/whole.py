"""All figures of docs/figures.md that a run gives, one after the other; `--write` puts them there.

Each is kept in docs/figures.json as soon as it is there, with the commit that it is of: one that
fails says so in its place, and loses nobody else's. What stands in the page above and below the two
marks is written by hand, and stays.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import backlog, boot, footprint, idle, live, outage, picture, stream, targets
from bench.kept import ROOT, Part, Parts, commit, keep, load, machine
from bench.tables import Table

PAGE, PICTURE = ROOT / "docs" / "figures.md", ROOT / "docs" / "figures.png"
BEGIN, END = "<!-- scripts/bench all: begin -->", "<!-- scripts/bench all: end -->"
ORDER = ("idle", "stream", "live", "footprint", "boot", "backlog", "outage", "soak")
ROUNDS = 5


@dataclass(frozen=True)
class Step:
    """One benchmark: its command, about how long it takes, and what it does."""

    command: str
    seconds: float
    run: Callable[[], Table]


def main() -> None:
    """Run all and print, or write."""
    parser = argparse.ArgumentParser(prog="scripts/bench all", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/figures.md")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the usual durations (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    steps = plan(args.share)
    minutes = sum(step.seconds for step in steps.values()) / 60
    print(f"{', '.join(steps)}: about {minutes:.0f} minutes", file=sys.stderr)
    measured = commit()  # of now, whatever is done to the checkout meanwhile
    parts = load() if args.write else {}
    for name, step in steps.items():
        parts[name] = carry_out(name, step, measured)
        if args.write:
            write(parts)
    if args.json:
        print(
            json.dumps({name: part.table and part.table.as_json() for name, part in parts.items()})
        )
    elif not args.write:
        print(page(parts))


def plan(share: float) -> dict[str, Step]:
    """The steps by name, this share of their usual length."""
    quiet_s, speech_s, away_s = (max(5, round(share * each)) for each in (100, 40, 600))
    live_s, starts = max(30, round(share * live.SECONDS)), max(2, round(share * 5))
    minutes = max(2, round(share * 60))
    return {
        "idle": Step(
            f"idle --seconds {quiet_s}",
            ROUNDS * quiet_s + 30,
            lambda: idle.measure(quiet_s, ROUNDS),
        ),
        "stream": Step(
            f"stream --seconds {speech_s}",
            ROUNDS * speech_s + 15,
            lambda: stream.measure(speech_s, ROUNDS),
        ),
        "live": Step(f"live --seconds {live_s}", live_s + 15, lambda: live.measure(live_s)),
        "footprint": Step(
            f"footprint --times {starts}", starts * 30, lambda: footprint.measure(starts)
        ),
        "boot": Step(f"boot --times {starts}", 30 + starts * 15, lambda: boot.measure(starts)),
        "backlog": Step(
            f"backlog --minutes {minutes}", 40 + minutes / 4, lambda: backlog.measure(minutes)
        ),
        "outage": Step(
            f"outage --seconds {away_s}", 1.4 * away_s + 30, lambda: outage.measure(away_s)
        ),
    }


def carry_out(name: str, step: Step, measured: str) -> Part:
    """Run it; what goes wrong is told in its part."""
    print(f"{name}: about {step.seconds / 60:.1f} minutes", file=sys.stderr)
    begun = time.monotonic()
    table, failed = None, ""
    try:
        table = step.run()
    except Exception as exc:  # noqa: BLE001 -- the others' figures are not lost for it
        failed = f"{type(exc).__name__}: {exc}".splitlines()[0]
        print(f"{name} failed: {failed}", file=sys.stderr)
    took_s = round(time.monotonic() - begun)
    return Part(
        f"scripts/bench {step.command}",
        measured,
        machine(),
        round(os.getloadavg()[2], 1),
        took_s,
        table,
        failed,
    )


def write(parts: Parts) -> None:
    """Keep them, and bring the page and its picture up to date."""
    keep(parts)
    picture.draw([part.table for part in parts.values() if part.table], PICTURE)
    PAGE.write_text(between(PAGE.read_text("utf-8"), page(parts)), "utf-8")


def page(parts: Mapping[str, Part]) -> str:
    """Markdown: the targets, and each table with its command."""
    machines = dict.fromkeys(part.machine for part in parts.values())
    words = [f"{each}." for each in machines]
    words.append(targets.summary(dict(parts)).markdown())
    words.append("![CPU beside the bare loop, and memory](figures.png)")
    words += [_section(name, parts[name]) for name in ORDER if name in parts]
    return "\n\n".join(words)


def between(text: str, words: str) -> str:
    """`text` with `words` between the two marks; raises `ValueError` where they are not there."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"docs/figures.md has not the two lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{words}\n{END}{after}"


def _section(name: str, part: Part) -> str:
    run = f"`{part.command}`, {part.commit}; load {part.load} at its end, after {part.took_s} s"
    if part.table is None:
        return f"## {name}\n\n{run}: failed. {part.failed}"
    title, _, rest = part.table.markdown().partition("\n\n")
    return f"{title}\n\n{run}. {rest}"


if __name__ == "__main__":
    main()
