"""A box: a real systemd and journald on a throw-away overlay of this machine's file system, or of
another system's (roots.py).

Its systemd is the first process of namespaces of its own; the network is the machine's, so that
the tests' broker and service are at 127.0.0.1. Nothing is written to the machine's disk, and with
the first process goes everything: the others are in its pid namespace, the mounts in its mount
namespace. What is left is a directory and a control group.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SYSTEMD = Path("/lib/systemd/systemd")
BOOT_S = 30.0
DOWN_S = 15.0
CANNOT = 77
"""The exit status of `boot.sh` where the machine refuses a mount."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NUMBERS = itertools.count()


class CannotBoot(Exception):
    """This machine boots no box; why."""


class Box:
    """A booted box; end it with `down()`."""

    def __init__(self, directory: Path, tree: Path, system: Path = Path("/")) -> None:
        """Boot `system`, with the files of `tree` laid over it. Raises `CannotBoot`."""
        if reason := why_not():
            raise CannotBoot(reason)
        self._mounts = directory / "mounts"
        self._console = directory / "console"
        self._group = _cgroup2() / f"scribed-box-{os.getpid()}-{next(_NUMBERS)}"
        try:
            self._group.mkdir(exist_ok=True)  # an empty one of a run that was killed
        except OSError as exc:
            raise CannotBoot(f"{self._group.parent} takes no control group: {exc}") from exc
        self._mounts.mkdir(parents=True)
        script = Path(__file__).with_name("boot.sh")
        with self._console.open("wb") as console:
            self._outer = subprocess.Popen(
                [
                    # Into the group first: it becomes the root of the box's control groups.
                    *("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self._group)),
                    # It ends with us however we end, and the first process with it.
                    *("setpriv", "--pdeathsig", "KILL"),
                    *("unshare", "--mount", "--propagation", "private", "--uts", "--ipc"),
                    *("--cgroup", "--pid", "--fork", "--kill-child"),
                    *(str(script), str(self._mounts), str(tree), str(system)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # a Ctrl-C is ours: the box is taken down in order
            )
        try:
            self.pid = self._wait_for_systemd()
            wait_until(self._is_up, BOOT_S)
        except BaseException:
            self.down()
            raise

    def run(self, *command: str, check: bool = True, timeout: float = 60.0) -> str:
        """Run a command in the box, as root; its output, both kinds. Raises where it fails."""
        done = self._run(command, timeout)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
        return done.stdout

    def records(self, *wanted: str) -> list[dict[str, Any]]:
        """What the journal has, with all fields; `wanted` as journalctl takes it."""
        self.run("journalctl", "--sync")
        said = self.run("journalctl", *wanted, "-o", "json", "--no-pager")
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def path(self, path: str) -> Path:
        """A file of the box, as seen from outside."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def outside(self, pid: int) -> int:
        """A process of the box, as it is called outside. Raises `ProcessLookupError`."""
        for each in self._members():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{each}/status").read_text("ascii")
                numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                if numbers[1:2] == [str(pid)]:
                    return each
        raise ProcessLookupError(pid)

    def down(self) -> None:
        """Power it off, in order if it will, and leave nothing behind."""
        if self._outer.poll() is None and (pid := getattr(self, "pid", 0)):
            os.kill(pid, signal.SIGRTMIN + 4)  # systemd: start poweroff.target
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._outer.wait(DOWN_S)
        if self._outer.poll() is None:
            self._outer.kill()  # --kill-child: the first process goes with it
            self._outer.wait(DOWN_S)
        with contextlib.suppress(OSError):
            (self._group / "cgroup.kill").write_text("1", "ascii")  # who entered from outside
        wait_until(lambda: not self._members(), DOWN_S)
        for folder, _, _ in os.walk(self._group, topdown=False):
            wait_until(lambda folder=folder: _removed(Path(folder)), DOWN_S)  # type: ignore[misc]
        self._mounts.rmdir()  # empty out here

    def _run(self, command: tuple[str, ...], timeout: float) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-p", "-C", "--"]
        clean = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        quiet = ["SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]
        return subprocess.run(
            [*enter, *clean, *quiet, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )

    def _wait_for_systemd(self) -> int:
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            if self._outer.poll() is not None:
                said = self._console.read_text("utf-8", "replace").strip()
                if self._outer.returncode == CANNOT:
                    raise CannotBoot(said)
                raise AssertionError(f"the box ended while it was booting: {said}")
            with contextlib.suppress(OSError, ValueError):
                pid = int(children.read_text("ascii"))
                if Path(f"/proc/{pid}/comm").read_text("ascii").strip() == "systemd":
                    return pid
            time.sleep(0.02)
        raise AssertionError("the box does not boot")

    def _is_up(self) -> bool:
        return self._run(("systemctl", "is-system-running"), 10).stdout.strip() in {
            "running",
            "degraded",
        }

    def _members(self) -> list[int]:
        found: list[int] = []
        for folder, _, _ in os.walk(self._group):
            with contextlib.suppress(OSError):
                found += map(int, (Path(folder) / "cgroup.procs").read_text("ascii").split())
        return found


@contextlib.contextmanager
def booted(directory: Path, tree: Path, system: Path = Path("/")) -> Iterator[Box]:
    """A box for as long as the context lasts. Raises `CannotBoot`."""
    box = Box(directory, tree, system)
    try:
        yield box
    finally:
        box.down()


def why_not() -> str | None:
    """Why no box can be booted on this machine; None: it may work."""
    if os.geteuid() != 0:
        return "a box with a systemd of its own needs root"
    if not SYSTEMD.exists():
        return f"there is no systemd here ({SYSTEMD})"
    for program in ("unshare", "nsenter", "setpriv", "pivot_root", "journalctl"):
        if shutil.which(program, path=_PATH) is None:
            return f"there is no {program} here (Debian: util-linux, systemd)"
    if "\toverlay\n" not in Path("/proc/filesystems").read_text("ascii"):
        return "the kernel has no overlay file system (modprobe overlay)"
    if not _cgroup2_mounts():
        return "no cgroup2 is mounted"
    return None


def wait_until(condition: Callable[[], object], timeout: float) -> None:
    """Wait until `condition` holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {timeout} s"
        time.sleep(0.02)


def _removed(folder: Path) -> bool:
    """A control group is busy for a moment after its last process has gone."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _cgroup2_mounts() -> list[str]:
    mounts = Path("/proc/mounts").read_text("utf-8").splitlines()
    return [fields[1] for fields in map(str.split, mounts) if fields[2] == "cgroup2"]


def _cgroup2() -> Path:
    return Path(_cgroup2_mounts()[0])
