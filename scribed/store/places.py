"""Where audio files lie: one directory in memory, one on the disk."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

BLOCK_BYTES = 4096
"""What file systems give out at once; a file takes whole ones."""


class Place:
    """A directory (0700) of audio files. Methods raise `OSError`."""

    def __init__(self, directory: Path, *, durable: bool, max_bytes: int) -> None:
        self.directory, self.durable, self.max_bytes = directory, durable, max_bytes
        self.used = 0
        """Bytes that the files take; each file keeps it up to date."""

    def make(self) -> None:
        """Make the directory where it is missing."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def free(self) -> int:
        """Bytes that the file system still has for this user."""
        stat = os.statvfs(self.directory)
        return stat.f_bavail * stat.f_frsize

    def sync(self) -> None:
        """Make names durable, where this place is."""
        if self.durable:
            sync_directory(self.directory)

    def probe(self) -> None:
        """Find out whether it takes data."""
        self.make()
        path = self.directory / PROBE
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, bytes(BLOCK_BYTES))
            os.fsync(fd)
        finally:
            os.close(fd)
            path.unlink()


PROBE = "probe.part"


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Raises `OSError`."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def mapped(path: Path, size: int) -> mmap.mmap:
    """A small file as memory, made where it is missing or has another size. Raises `OSError`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(fd).st_size != size:
            os.ftruncate(fd, 0)
            # Real bytes: a store to a hole in a full tmpfs would be a SIGBUS.
            os.write(fd, bytes(size))
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)


def write_all(fd: int, content: bytes) -> None:
    """Write all of it. Raises `OSError`; a part may be written then."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def copy(source: int, target: int, nbytes: int) -> None:
    """Copy the first `nbytes` of one open file to another. Raises `OSError`, also where the source
    is shorter: what cannot be read is not to be replaced by what can."""
    offset = 0
    while offset < nbytes:
        piece = os.pread(source, min(nbytes - offset, 1 << 18), offset)
        if not piece:
            raise OSError(f"the file ends at {offset} of {nbytes} bytes")
        write_all(target, piece)
        offset += len(piece)


def blocks(nbytes: int) -> int:
    """Room that a file of `nbytes` takes, in bytes."""
    return -(-nbytes // BLOCK_BYTES) * BLOCK_BYTES
