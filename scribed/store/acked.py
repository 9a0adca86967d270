"""Which finals the broker has: a file in memory that outlives the process.

The ledger takes acknowledgements in groups, because each transaction wears the flash. What it was
not told yet stands here, so that a killed daemon does not deliver those a second time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 1 << 20
"""Over 100 000 numbers, ten times what the outbox holds: beyond it only a ledger that failed for
days can lead, and more are not written."""


OFFERED = b"o"


class Acked:
    """Sequence numbers that were acknowledged and that the ledger was not told yet, and those whose
    text was offered.

    `add()` and `offer()` are for any thread: delivery notes what it writes before it does, and what
    was acknowledged before it writes the next, and the store that once more, after what it had to
    forget; all else is for the store's. Nothing here
    raises: where the file cannot be used (`path` None: there is none) a kill may lead to a second
    delivery, and `unwritten` counts how many.
    """

    def __init__(self, path: Path | None) -> None:
        self.before: frozenset[int] = frozenset()
        """What earlier runs left: for the ledger to take, then `clear()`."""
        self.offered: frozenset[int] = frozenset()
        """What the last run was about to write to the broker."""
        self.unwritten = 0
        self._fd: int | None = None
        self._size = 0
        if path is None:
            return
        with contextlib.suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o600)
            content = os.pread(self._fd, MAX_BYTES, 0)
            self._size = len(content)
            # What follows the last line's end was torn.
            lines = content[: content.rfind(b"\n") + 1].split()
            self.before = _numbers(lines)
            self.offered = _numbers(n[1:] for n in lines if n.startswith(OFFERED))
            if not content.endswith(b"\n") and content:
                self._write(b"\n")

    def add(self, seq: int) -> None:
        """`seq` was acknowledged: one write(2), no fsync."""
        if not self._write(b"%d\n" % seq):
            self.unwritten += 1

    def offer(self, seq: int) -> None:
        """The text of `seq` is written next: as above."""
        self._write(OFFERED + b"%d\n" % seq)

    def clear(self) -> None:
        """The ledger has them all."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
                self._size = 0

    def close(self) -> None:
        """Close the file; what it holds stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, line: bytes) -> bool:
        if self._fd is None or self._size + len(line) > MAX_BYTES:
            return False
        try:
            written = os.write(self._fd, line)
        except OSError:
            return False
        self._size += written
        return written == len(line)


def _numbers(lines: Iterable[bytes]) -> frozenset[int]:
    return frozenset(int(n) for n in lines if n.isdigit() and len(n) <= 18)
