"""Who has a capture device open, and how: read from /proc under a root directory."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from msgspec import Struct

_OWNER = re.compile(r"^owner_pid\s*:\s*(\d+)", re.MULTILINE)
_SERVICE = re.compile(r"/([^/\n]+\.(?:service|scope))(?=/|$)", re.MULTILINE)
_NO_PID = 0
"""What the kernel says of a process in a namespace that we cannot see."""


class Owner(Struct, frozen=True):
    """A process that has the device open; `name` and `unit` are "" where /proc hides them."""

    pid: int
    name: str = ""
    unit: str = ""

    def __str__(self) -> str:
        words = f"{self.name} (pid {self.pid}" if self.name else f"(pid {self.pid}"
        return f"{words}, {self.unit})" if self.unit else f"{words})"


def owners(root: Path, card: int, device: int) -> list[Owner]:
    """The processes that have capture device `device` of card number `card` open.

    Those of others may be hidden (`hidepid`, `ProtectProc=`): an empty list is no proof.
    """
    pids = {pid for status in _statuses(root, card, device) if (pid := _owner_pid(status))}
    if not pids:
        pids = _holders(root, f"/dev/snd/pcmC{card}D{device}c")
    return [_describe(root, pid) for pid in sorted(pids)]


def is_open(root: Path, card: int, device: int) -> bool | None:
    """Whether anyone has it open; None: /proc/asound does not tell."""
    statuses = _statuses(root, card, device)
    return any(text.strip() != "closed" for text in statuses) if statuses else None


def _statuses(root: Path, card: int, device: int) -> list[str]:
    """The state of each of its substreams: "closed", or lines with the owner."""
    directory = root / f"proc/asound/card{card}/pcm{device}c"
    try:
        return [text for each in sorted(directory.glob("sub*/status")) if (text := _read(each))]
    except OSError:
        return []


def _owner_pid(status: str) -> int:
    match = _OWNER.search(status)
    return int(match[1]) if match else _NO_PID


def _holders(root: Path, node: str) -> set[int]:
    """The processes with a descriptor of `node`, as far as we may look."""
    found = set()
    with contextlib.suppress(OSError):
        for process in (root / "proc").iterdir():
            if process.name.isdecimal() and _holds(process, node):
                found.add(int(process.name))
    return found


def _holds(process: Path, node: str) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(descriptor.readlink()) == node:
                    return True
    return False


def _describe(root: Path, pid: int) -> Owner:
    process = root / "proc" / str(pid)
    units = _SERVICE.findall(_read(process / "cgroup"))
    return Owner(pid, _read(process / "comm").strip(), units[-1] if units else "")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
