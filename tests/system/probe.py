"""Runs as the unit's process in its sandbox: tries what must be refused, and says what came of it.

That is `probe.json` in its state directory; a value is "allowed", the name of an error, or what
was seen.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000


def write(directory: str) -> Callable[[], object]:
    return lambda: (Path(directory) / "scribed-probe").write_text("probe", "ascii")


def unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def suid_program() -> None:
    path = Path(os.environ["STATE_DIRECTORY"]) / "suid"
    path.write_bytes(b"")
    path.chmod(0o4755)


def raise_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, -10)


def realtime() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


TRIES: dict[str, Callable[[], object]] = {
    **{f"write {d}": write(d) for d in ("/etc", "/usr", "/var/lib", "/run", "/dev/shm", "/root")},
    "write its state": write(os.environ["STATE_DIRECTORY"]),
    "write its runtime": write(os.environ["RUNTIME_DIRECTORY"]),
    "list /root": lambda: list(Path("/root").iterdir()),
    "read the keys of root": lambda: list(Path("/etc/scribed/credentials").iterdir()),
    "read its key": lambda: (
        Path(os.environ["CREDENTIALS_DIRECTORY"]) / "elevenlabs-api-key"
    ).read_text("ascii"),
    "become root": lambda: os.setuid(0),
    "a user namespace": unshare,
    "writable code": writable_code,
    "a suid program": suid_program,
    "a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "an internet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "a higher priority": raise_priority,
    "realtime": realtime,
    "set the host name": lambda: socket.sethostname("probe"),
    "set a kernel knob": lambda: Path("/proc/sys/kernel/hostname").write_text("probe", "ascii"),
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    return "allowed"


def main() -> None:
    seen: dict[str, object] = {name: outcome(attempt) for name, attempt in TRIES.items()}
    seen["tmp"] = sorted(path.name for path in Path("/tmp").iterdir())
    seen["processes"] = len([path for path in Path("/proc").iterdir() if path.name.isdigit()])
    seen["boot id"] = os.environ.get("SCRIBED_BOOT_ID", "")
    Path(os.environ["STATE_DIRECTORY"], "probe.json").write_text(json.dumps(seen), "ascii")


if __name__ == "__main__":
    main()
