"""This checkout installed, without a network, in a directory that is laid over a box's root."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PREFIX = Path("/usr/lib/scribed/venv")
UNITS = Path("/usr/lib/systemd/system")


def unusable_python() -> str | None:
    """Why a service cannot run this interpreter; None: it can."""
    base = Path(sys.base_prefix).resolve()
    if any(base.is_relative_to(hidden) for hidden in ("/root", "/home", "/run/user", "/tmp")):
        return f"this Python is in {base}, which the unit hides from the service"
    return None


def install(tree: Path) -> None:
    """Lay the virtual environment and the units out below `tree`."""
    venv = _below(tree, PREFIX)
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    _run(str(base), "-m", "venv", "--without-pip", str(venv))
    packages = next(venv.glob("lib/python3.*/site-packages"))
    for name in sorted(_requirements("scribed")):
        _copy(name, packages)
    _install_checkout(tree.parent / "wheel", venv)
    for source, directory, name in (
        ("scribed.service", UNITS, "scribed.service"),
        ("scribed@.service", UNITS, "scribed@.service"),
        ("scribed.sysusers", Path("/usr/lib/sysusers.d"), "scribed.conf"),
        ("scribed.tmpfiles", Path("/usr/lib/tmpfiles.d"), "scribed.conf"),
        ("70-scribed.rules", Path("/usr/lib/udev/rules.d"), "70-scribed.rules"),
    ):
        target = _below(tree, directory)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "systemd" / source, target / name)


def _install_checkout(wheels: Path, venv: Path) -> None:
    """Build the wheel with the tools of the tests' environment, and install it in `venv`."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
    offline = ("--no-deps", "--no-index")
    _run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT))
    (wheel,) = wheels.glob("scribed-*.whl")
    _run(*pip, "--python", str(venv / "bin" / "python"), "install", *offline, str(wheel))
    program = venv / "bin" / "scribed"
    text = program.read_text("utf-8")
    program.write_text(text.replace(str(venv), str(PREFIX)), "utf-8")


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


def _copy(name: str, packages: Path) -> None:
    for file in importlib.metadata.files(name) or []:
        if ".." in file.parts:
            continue  # its programs: the service needs none
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(file.locate()), target)


def _below(tree: Path, path: Path) -> Path:
    return tree / path.relative_to("/")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
