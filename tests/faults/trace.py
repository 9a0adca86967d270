"""strace on the daemon: it kills, or lets system calls fail, at a moment counted in calls."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")


def _may_trace() -> bool:
    command = ["strace", "-D", "-qq", "-o", "/dev/null", "true"]
    try:
        return subprocess.run(command, check=False, timeout=10, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


needs_strace = pytest.mark.skipif(
    not _may_trace(), reason="strace is not installed, or may not trace"
)


def killing(call: str, nth: int) -> list[str]:
    """Options that kill the process in which a thread makes a system call for the n-th time."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}"]


@contextlib.contextmanager
def traced(pid: int, options: list[str]) -> Iterator[None]:
    """strace is attached to every thread of a process; where that lives on it does so without."""
    with subprocess.Popen([*STRACE, *options, "-p", str(pid)]) as tracer:
        try:
            _wait_until_attached(Path(f"/proc/{pid}/task"))
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def _wait_until_attached(tasks: Path) -> None:
    """What is gone needs no tracer: the process may die of what it traces at once, and is a zombie
    until somebody asks for its end."""
    deadline = time.monotonic() + 20
    while any(
        "TracerPid:\t0\n" in status and "State:\tZ" not in status for status in _statuses(tasks)
    ):
        assert time.monotonic() < deadline, "it cannot be traced"


def _statuses(tasks: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):
                yield (task / "status").read_text()
