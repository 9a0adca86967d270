"""Until when the daemon heard: 64 bytes in memory that outlive the process.

A killed daemon can write nothing, and what it did not hear while it was away must be reported. So
the capture thread stores the end of each frame in a mapped file, which costs it no system call.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import struct
import zlib
from pathlib import Path

from scribed.store.places import mapped

SIZE = 64
_MAGIC = b"scrbhrd1"
_AT = struct.Struct("@d")  # native: stored whole, so that a kill leaves the old or the new value
_AT_OFFSET = len(_MAGIC)
_REST = struct.Struct("<36sI")  # boot id, CRC-32 of magic and boot id
_REST_OFFSET = _AT_OFFSET + _AT.size


class LastFrame:
    """The end of the last captured frame. `mark` is for the capture thread, the rest for one other.

    `boot_id` is this boot's (36 characters). Where the file cannot be used (`path` None: there is
    none) marks go to memory that ends with the process, and nothing raises.
    """

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._boot_id = boot_id
        self._begun = False
        self._map: mmap.mmap | None = None
        if path is not None:
            with contextlib.suppress(OSError, ValueError):
                self._map = mapped(path, SIZE)
        if self._map is None:
            self._map = mmap.mmap(-1, SIZE)
        self.before: tuple[str, float] | None = _read(self._map)
        """What an earlier run left: boot id, and seconds of that boot's clock; None: nothing, or
        nothing that can be read. It stays in the file until the first `mark`."""

    def mark(self, at: float) -> None:
        """A frame ended at `at` (`clock.now()`): a store to memory, no system call."""
        if self._map is None:
            return
        if self._begun:
            _AT.pack_into(self._map, _AT_OFFSET, at)
        else:
            self._begin(at)

    @property
    def last(self) -> tuple[str, float] | None:
        """As `before`, of the file now: for a clean stop."""
        return None if self._map is None else _read(self._map)

    def close(self) -> None:
        """Give the map free, after the capture thread ended. What it holds stays."""
        if self._map is not None:
            held, self._map = self._map, None
            held.close()

    def _begin(self, at: float) -> None:
        """The first mark of a run: replace the whole record, unreadable until it is whole."""
        assert self._map is not None
        boot = self._boot_id.encode()[:36].ljust(36)
        self._map[: len(_MAGIC)] = bytes(len(_MAGIC))
        _AT.pack_into(self._map, _AT_OFFSET, at)
        _REST.pack_into(self._map, _REST_OFFSET, boot, zlib.crc32(_MAGIC + boot))
        self._map[: len(_MAGIC)] = _MAGIC
        self._begun = True


def _read(held: mmap.mmap) -> tuple[str, float] | None:
    boot, crc = _REST.unpack_from(held, _REST_OFFSET)
    (at,) = _AT.unpack_from(held, _AT_OFFSET)
    if held[: len(_MAGIC)] != _MAGIC or crc != zlib.crc32(_MAGIC + boot):
        return None
    if not (math.isfinite(at) and at >= 0):
        return None
    return boot.decode("ascii", "replace").rstrip(), at
