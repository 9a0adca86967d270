"""A user at a shell: the `scribed` command in a process and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OURS = ("SCRIBED_", "XDG_", "ELEVENLABS_", "OPENMIND_", "CREDENTIALS_", "STATE_", "RUNTIME_")
COMMAND = [sys.executable, "-m", "scribed"]


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    status: int
    out: str
    err: str


class Shell:
    """`environ` is what the user has exported."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        self.environ |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}

    def write(self, name: str, text: str | bytes, mode: int = 0o600) -> Path:
        """A file in the home directory."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def open_to_all(self) -> None:
        """Let other users come as far as the home directory."""
        for directory in (self.home, *self.home.parents):
            if directory.is_relative_to(tempfile.gettempdir()):
                directory.chmod(directory.stat().st_mode | 0o055)

    def scribed(self, *words: str | Path) -> Said:
        """Run the command; whatever comes of it, a user never sees a traceback."""
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            cwd=self.home,
            env=self.environ,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)
