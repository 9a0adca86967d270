"""A wall clock that was set, or was not, as the processes on the machine see it."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """For processes that are started with `environment()`."""

    def __init__(self, directory: Path, *, is_set: bool) -> None:
        self._library, self._switch = directory / "wall_clock.so", directory / "clock_set"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, "-o", str(self._library), str(_SOURCE)], check=True)
        if is_set:
            self.set()

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_SET": str(self._switch)}

    def set(self) -> None:
        """From now on it is right."""
        self._switch.touch()
