"""Roots of other systems for boxes: a fresh Debian of each release, made once by mmdebstrap from
where this machine has its packages, and kept below ~/.cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

MAKE_S = 500.0
BOOTS = ("systemd-sysv", "dbus")
"""What a box boots."""
NEEDS = ("python3", "ca-certificates")
"""What the package depends on, and any Debian with a desktop or a robot on it has."""
BUILDS = (
    *("python3-venv", "python3-dev", "gcc", "libc6-dev", "pkg-config"),
    *("libasound2-dev", "libsystemd-dev", "dpkg-dev", "lintian"),
    *(
        "e2fsprogs",
        "strace",
        "libasound2-plugins",
        "pulseaudio",
        "pulseaudio-utils",
        "mosquitto",
        "flite",
        "ffmpeg",
    ),
)
"""What scripts/build-deb, scripts/setup and tests of the store want."""
ALSA = {"bookworm": "libasound2", "trixie": "libasound2t64"}
"""The releases that there are, and what they call libasound."""


class CannotMake(Exception):
    """This machine makes no such root; why."""


def fresh(release: str) -> Path:
    """A root on which the package can be installed without a network. Raises `CannotMake`."""
    return _root(release, release, (*BOOTS, *NEEDS, ALSA[release]))


def building(release: str) -> Path:
    """A root on which the package can be built. Raises `CannotMake`."""
    return _root(f"{release}-build", release, (*BOOTS, *NEEDS, *BUILDS))


def _root(name: str, release: str, packages: tuple[str, ...]) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(cache) / "scribed" / "roots" / name
    made_of, made = "\n".join(packages), directory.with_name(f"{name}.packages")
    if made.exists() and made.read_text("utf-8") == made_of:
        return directory
    if shutil.which("mmdebstrap") is None:
        raise CannotMake("no mmdebstrap here (Debian: apt-get install mmdebstrap)")
    made.unlink(missing_ok=True)
    if directory.exists():
        shutil.rmtree(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    include = f"--include={','.join(packages)}"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", include, release, str(directory)]
    done = subprocess.run(
        [*command, _mirror()], capture_output=True, text=True, check=False, timeout=MAKE_S
    )
    if done.returncode != 0:
        raise CannotMake(f"mmdebstrap cannot make a {release}: {done.stderr[-2000:]}")
    made.write_text(made_of, "utf-8")
    return directory


def _mirror() -> str:
    """Where this machine has Debian's packages from. Raises `CannotMake`."""
    command = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    for line in done.stdout.splitlines():
        origin, label, uri = (*line.split(), "", "", "")[:3]
        if (origin, label) == ("Debian", "Debian"):
            return uri
    raise CannotMake("apt has no lists of Debian here (apt-get update)")
