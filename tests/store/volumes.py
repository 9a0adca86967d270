"""Small real file systems for tests: they fill up and can be made read-only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Volume:
    """A mounted file system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> None:
        """A foreign process takes all but `leave` bytes."""
        fd = os.open(self.path / "foreign", os.O_WRONLY | os.O_CREAT, 0o600)
        stat = os.statvfs(self.path)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            os.posix_fallocate(fd, size, max(1, stat.f_bavail * stat.f_frsize - leave))
            os.lseek(fd, 0, os.SEEK_END)
            while not leave:  # what the estimate left
                os.write(fd, bytes(4096))
        except OSError:
            pass  # full: as wanted
        finally:
            os.close(fd)

    def clear(self) -> None:
        """The foreign process is gone."""
        (self.path / "foreign").unlink()

    def read_only(self, read_only: bool) -> None:
        how = "ro" if read_only else "rw"
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)

    def inodes(self, most: int) -> None:
        """A tmpfs has so many files at most; 0: as many as there is room for."""
        options = f"remount,nr_inodes={most}"
        subprocess.run(["mount", "-o", options, self.path], check=True)


@contextlib.contextmanager
def volume(path: Path, megabytes: int, kind: str = "tmpfs") -> Iterator[Volume]:
    """A tmpfs or ext4 of that size at `path`; skips the test where this user may not mount."""
    path.mkdir()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(path)]
    else:
        image = path.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed")
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
        command = ["mount", "-o", "loop", str(image), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine mounts no {kind} for tests: {done.stderr.strip()}")
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
