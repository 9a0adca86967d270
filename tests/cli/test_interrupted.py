"""A signal while scribed starts: it ends, and shows nobody where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

MOMENTS = (
    "argparse",
    "scribed.service.redaction",
    "scribed.cli",
    "websocket._core",
    "paho.mqtt.client",
    "scribed.store.worker",
    "scribed.daemon",
    "scribed.uplink.providers.elevenlabs_query",
)
"""Imports, in their order; all after the first line of ours."""
LATER_S = (0.0, 0.01, 0.02, 0.04, 0.06)
"""After the last of them."""
END_S = 20.0


def interrupted(where: Path, how: signal.Signals, module: str, later_s: float = 0.0) -> str:
    """What scribed still says that gets a signal when it has imported `module`."""
    (where / "scribed.toml").write_text('audio.source = "stdin"\n[log]\nlevel = "error"\n')
    environment = os.environ | {
        "ELEVENLABS_API_KEY": "key",
        "STATE_DIRECTORY": str(where / "state"),
        "RUNTIME_DIRECTORY": str(where / "run"),
    }
    command = [sys.executable, "-X", "importtime", "-m", "scribed", "run", "-c"]
    with subprocess.Popen(
        [*command, str(where / "scribed.toml")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(END_S, process.kill)
        watchdog.start()
        seen = any(line.rpartition("|")[2].strip() == module for line in process.stderr)
        time.sleep(later_s)
        process.send_signal(how)
        said = process.communicate()[1]
        watchdog.cancel()
    assert seen, f"{module} is not imported any more"
    assert process.returncode in {0, -how}
    return "".join(line for line in said.splitlines() if not line.startswith("import time:"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_while_it_is_importing(tmp_path: Path, how: signal.Signals) -> None:
    for module in MOMENTS:
        assert interrupted(tmp_path, how, module) == "", module


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_while_it_opens_what_it_needs(tmp_path: Path, how: signal.Signals) -> None:
    for later_s in LATER_S:
        assert interrupted(tmp_path, how, MOMENTS[-1], later_s) == "", later_s
