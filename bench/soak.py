"""The table of a soak: what `scripts/test --soak` has left in build/soak.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench import kept, whole
from bench.tables import Cell, Table, add_json, show

REPORT = kept.ROOT / "build" / "soak.json"
COMMAND = "scripts/test --soak"
KINDS = {
    "reset": "connections reset",
    "finish": "ended",
    "half_open": "half open",
    "link_down": "link down up to 15 s",
    "refused": "401, 429 or 503 up to 5 s",
    "slow_link": "300 ms slower up to 5 s",
    "broker_killed": "broker killed up to 5 s",
}


def main() -> None:
    """Print, or write."""
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description=__doc__)
    parser.add_argument("--report", type=Path, default=REPORT, help="default: build/soak.json")
    parser.add_argument("--write", action="store_true", help="into docs/figures.md")
    add_json(parser)
    args = parser.parse_args()
    report = json.loads(args.report.read_text("utf-8"))
    if args.write:
        whole.write(kept.load() | {"soak": part(report)})
    else:
        show(table(report), args)


def part(report: dict[str, Any]) -> kept.Part:
    """As the page keeps it."""
    return kept.Part(
        COMMAND,
        report["commit"],
        report["machine"],
        report["load"],
        report["seconds"],
        table(report),
    )


def table(report: dict[str, Any]) -> Table:
    """What it came to, beside what it has to."""
    memory = report["memory_mib"]
    rows: dict[str, tuple[Cell, ...]] = {
        f"faults: {words}": (report["faults_by_kind"].get(kind, 0), "")
        for kind, words in KINDS.items()
    }
    rows |= {
        "utterances said": (report["utterances"], ""),
        "speech that was captured (s)": (round(report["speech_ms"] / 1000), ""),
        "of it lost (ms)": (report["lost_ms"], 0),
        "of it in two utterances (ms)": (report["doubled_ms"], 0),
        "texts under another utterance's number": (report["misplaced"], 0),
        "finals on late": (report["late"], ""),
        "ended without text": (report["ended"], ""),
        "published again, under the same id": (report["repeats"], ""),
        "connections to the service": (report["connects"], ""),
        "memory, first and last (MiB)": (f"{memory['first']} to {memory['last']}", ""),
        "memory, slope (MiB an hour)": (memory["slope_per_h"], "< 1"),
        "descriptors": (_range(report["descriptors"]), "within 4"),
        "threads": (_range(report["threads"]), ""),
        "files of sound left": (report["files"], 0),
        "finals in the ledger": (report["finals"], ""),
        "checks: detected = pending + published + ended": (report["checks"], ""),
        "of them that did not hold": (report["uneven"], 0),
    }
    says = (
        f"{report['seconds'] / 60:.0f} minutes of speech, a fault every 5 to 20 s, one process: "
        f"{'passed' if report['passed'] else '**failed**'}."
    )
    return Table("A soak", says, ("measured", "to reach"), rows)


def _range(values: list[int]) -> str:
    least, most = min(values), max(values)
    return str(least) if least == most else f"{least} to {most}"


if __name__ == "__main__":
    main()
