"""Environments for what is no dependency of scribed, made when a benchmark first asks for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scribed" / "bench"
INSTALL_S = 300
MARK = "packages"
"""A file that says what was installed: written last, so that half an environment is made anew."""


class NotInstalledError(Exception):
    """It does not install here; the words say why."""


def environment(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with these packages, below `CACHE`, made where it is not
    there yet. Raises `NotInstalledError`."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    directory = CACHE / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{version}"
    python, mark, wanted = directory / "bin" / "python", directory / MARK, "\n".join(packages)
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return python
    print(f"{name} is installed into {directory}", file=sys.stderr)
    directory.parent.mkdir(parents=True, exist_ok=True)
    venv.create(directory, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run = subprocess.run(
            [*command, *packages],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"is not installed after {INSTALL_S} s") from None
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if "ERROR" in line]
        raise NotInstalledError(f"does not install: {(errors or ['?'])[-1]}")
    mark.write_text(wanted, "utf-8")
    return python
