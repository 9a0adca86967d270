"""This checkout installed in a directory that is laid over a box's root: by scripts/install, and
without a network, from wheels of what the tests' environment has."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PREFIX = Path("/usr/lib/scribed/venv")


def unusable_python() -> str | None:
    """Why a service cannot run this interpreter; None: it can."""
    base = Path(sys.base_prefix).resolve()
    if any(base.is_relative_to(hidden) for hidden in ("/root", "/home", "/run", "/tmp")):
        return f"this Python is in {base}, which the unit hides from the service"
    return None


def environ() -> dict[str, str]:
    """That of scripts/install, so that it takes this interpreter."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    return {**os.environ, "SCRIBED_PYTHON": str(base)}


def install(tree: Path, wheels: Path) -> None:
    """Lay an installation out below `tree`."""
    _run(str(ROOT / "scripts" / "install"), "--root", str(tree), str(wheels))


def make_wheels(directory: Path) -> Path:
    """Wheels of this checkout and of all it needs, in `directory`; that of scribed."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    _run(*pip, "wheel", *offline, "--wheel-dir", str(directory), str(ROOT))
    for name in sorted(_requirements("scribed")):
        _pack(name, directory)
    (wheel,) = directory.glob("scribed-*.whl")
    return wheel


def _pack(name: str, directory: Path) -> None:
    """The wheel that `name` was installed from, but for its programs and what is no part of it."""
    distribution = importlib.metadata.distribution(name)
    said = distribution.read_text("WHEEL") or ""
    tags = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Tag: ")]
    title = f"{distribution.name.replace('-', '_')}-{distribution.version}"
    files = [file for file in distribution.files or [] if ".." not in file.parts]
    with zipfile.ZipFile(directory / f"{title}-{tags[0]}.whl", "w") as wheel:
        for file in files:
            if "__pycache__" not in file.parts and "tests" not in file.parts:
                wheel.write(str(file.locate()), str(file))


def _requirements(name: str) -> set[str]:
    """What `name` needs to run, and what that needs."""
    found: set[str] = set()
    wanted = {name}
    while wanted:
        for text in importlib.metadata.requires(wanted.pop()) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if requirement.name not in found:
                found.add(requirement.name)
                wanted.add(requirement.name)
    return found


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environ()
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
