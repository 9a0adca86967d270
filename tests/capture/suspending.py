"""A suspend of the machine, as the processes on it see it; see `suspend.c`."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("suspend.c")


class Suspend:
    """For processes that are started with `environment()`."""

    def __init__(self, directory: Path) -> None:
        self._library, self._slept = directory / "suspend.so", directory / "suspended_s"
        self._total_s = 0
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, "-o", str(self._library), str(_SOURCE)], check=True)

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "SUSPENDED_S": str(self._slept)}

    def sleep(self, seconds: int) -> None:
        """The machine sleeps for so long, which takes no time."""
        self._total_s += seconds
        fresh = self._slept.with_suffix(".new")
        fresh.write_text(str(self._total_s))
        fresh.replace(self._slept)
