"""systemd, the disk and the radio, asked without changing anything."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from scribed.doctor.keys import handed_over
from scribed.doctor.machine import UNIT_PROPERTIES, Radio, Room

COMMAND_S = 3.0
"""How long systemctl and iw may take."""
NET = Path("/sys/class/net")
_SIOCGIWPOWER = 0x8B2D
_WITHOUT_SYSTEMD = ("not been booted with systemd", "Failed to connect to bus")
_POWER_SAVE = re.compile(r"Power save: (on|off)")


def show_unit(unit: str) -> dict[str, str] | None:
    """The properties of a unit, and the credentials that its files name.

    None where no systemd runs, or it does not answer.
    """
    said = run("systemctl", "show", "--no-pager", f"--property={','.join(UNIT_PROPERTIES)}", unit)
    if said is None or any(words in said for words in _WITHOUT_SYSTEMD):
        return None
    pairs = (line.partition("=") for line in said.splitlines())
    shown = {name: value for name, equals, value in pairs if equals}
    if "LoadState" not in shown:
        return None
    if shown["LoadState"] == "loaded":
        shown |= handed_over(run("systemctl", "cat", "--no-pager", unit) or "")
    return shown


def run(*command: str, within_s: float = COMMAND_S) -> str | None:
    """Both outputs of a program; None where there is none of that name, or it takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command,
            cwd="/",  # a Python looks for modules where it is, which may be anybody's directory
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            timeout=within_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace")


def user(name: str) -> tuple[str, int] | None:
    """A user's name and number, where this machine has such a user."""
    try:
        entry = pwd.getpwnam(name) if name else None
    except KeyError:
        return None
    return (entry.pw_name, entry.pw_uid) if entry else None


def room(directory: Path) -> Room | None:
    """The file system of `directory`, or of where it will be made."""
    for path in (directory, *directory.parents):
        with contextlib.suppress(OSError):
            stat = os.statvfs(path)
            return Room(
                str(path),
                stat.f_bavail * stat.f_frsize,
                stat.f_blocks * stat.f_frsize,
                stat.f_favail if stat.f_files else None,
            )
    return None


def radios(net: Path = NET) -> list[Radio]:
    """The Wi-Fi interfaces of this machine."""
    try:
        interfaces = sorted(net.iterdir())
    except OSError:
        return []
    return [Radio(each.name, _is_up(each), _saves(each.name)) for each in interfaces if _is(each)]


def _is(interface: Path) -> bool:
    return (interface / "wireless").is_dir() or (interface / "phy80211").exists()


def _is_up(interface: Path) -> bool:
    try:
        return (interface / "operstate").read_text("ascii").strip() == "up"
    except (OSError, UnicodeDecodeError):
        return False


def _saves(name: str) -> bool | None:
    """Asked of the kernel (wireless extensions), else of iw; None: neither says."""
    request = struct.pack("16siBBH8x", name.encode(), 0, 0, 0, 0)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_one:
        answer = fcntl.ioctl(any_one, _SIOCGIWPOWER, request)
        is_disabled: int = struct.unpack("16siBBH8x", answer)[3]
        return not is_disabled
    said = _POWER_SAVE.search(run("iw", "dev", name, "get", "power_save") or "")
    return said[1] == "on" if said else None
