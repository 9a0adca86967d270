"""A file that holds room on the disk, so that the ledger can still write when the disk is full."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 1 << 20
"""Room for some hundred transcripts, or for the ledger's next 256 pages."""
SPARE_BYTES = 8 << 20
"""It is only made where so much is free: it must not be what fills the disk."""


class Ballast:
    """Owns the file `ballast` in `directory`; for one thread. Nothing here raises."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ballast"

    @property
    def held(self) -> bool:
        """Whether there is room to give up."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_blocks > 0
        return False

    def restore(self) -> bool:
        """Make the file where it is missing and the disk has room for it; is it there?"""
        if self.held:
            return True
        try:
            free = os.statvfs(self._path.parent)
            if free.f_bavail * free.f_frsize < SPARE_BYTES:
                return False
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._path, flags, 0o600)
            try:
                os.posix_fallocate(fd, 0, BALLAST_BYTES)
            finally:
                os.close(fd)
        except OSError:
            self.give_up()  # part of it may be there
            return False
        return True

    def give_up(self) -> bool:
        """Free its room; True where there was some."""
        held = self.held
        with contextlib.suppress(OSError):
            self._path.unlink()
            return held
        return False
