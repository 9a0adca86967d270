"""The state directory's lock, and the numbers of utterances: one small file.

`seq` must rise across restarts and crashes and never be used twice, while the capture thread may
not wait for a disk. So numbers are reserved in blocks of `BLOCK`: the file holds the first number
that was not reserved, and whether the last owner stopped properly. After a crash numbering goes on
behind the reserved block, and the numbers between are skipped. The ledger knows the numbers too:
`resume()` takes what it knows, so that damage to one of them gives no number a second time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import re
import time
from pathlib import Path

from scribed.errors import ScribedError, StateInUse

BLOCK = 64
"""Numbers reserved at once: one flash write in 64 utterances."""
ABOVE_ALL = 1_790_000_000
"""Seconds of the Unix epoch in 2026: no robot has counted so many utterances. After damage
numbering goes on at the time of day, and here where the clock was not set."""
ILL = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EUCLEAN)
"""What a disk says that may only be read, is full or fails: it may be well again tomorrow."""
_RECORD = re.compile(r"(\d{1,15}) (\d{1,15}) (clean|dirty)\n")


class Sequence:
    """Owns `lock` and `seq` in `directory`; for one process, and one thread of it.

    Raises `StateInUse` where another process has the directory, `ScribedError` where this user may
    not use it. On a disk that is full, fails or may only be read it goes on without a lock, if need
    be.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "seq"
        self._damaged = directory / "seq.damaged"
        self._lock: int | None = None
        self.trouble: str | None = None
        """Why the directory is not locked: a disk that is not well is no reason to hear nothing."""
        try:
            self._lock = _locked(directory)
        except OSError as exc:
            if exc.errno not in ILL:
                raise ScribedError(
                    f"the state directory {directory} cannot be used: {exc.strerror}; "
                    f"{_remedy(directory, exc)}, or set STATE_DIRECTORY"
                ) from exc
            self.trouble = f"the state directory {directory} cannot be used: {exc.strerror}"
        self._found = False
        self.next, self.skipped = self._read()
        """The first number that may be used; how many were skipped: the last end was a crash."""

    def resume(self, known: int | None, seen: int) -> None:
        """Go on above all numbers that were used, before the first `reserve()`.

        `known`: the first number that the ledger takes for unused (None: it knows none); `seen`:
        the highest of an utterance that still waits (0: there is none).
        """
        least = max(known or 0, seen + 1)
        if self._found:
            self.skipped += max(0, least - self.next)
            self.next = max(self.next, least)
        elif known is not None:  # the last thing it was told may be missing
            self.next = least + BLOCK
        else:
            self.next = max(self.next, least)

    def reserve(self, next_seq: int) -> int:
        """Make numbers from `next_seq` on safe to use, durably; return the end of the block.

        Raises `OSError` where the disk does not take it.
        """
        end = next_seq + BLOCK
        if self._lock is None:
            self._lock_late()
        self._write(f"{end} {next_seq} dirty\n")
        return end

    def release(self, next_seq: int) -> None:
        """A clean end: numbering goes on at `next_seq`. Raises `OSError`."""
        self._write(f"{next_seq} {next_seq} clean\n")

    def close(self) -> None:
        """Give the directory free."""
        if self._lock is not None:
            os.close(self._lock)

    def _lock_late(self) -> None:
        """The disk may be well again."""
        try:
            self._lock = _locked(self._file.parent)
        except ScribedError as exc:
            raise OSError(errno.EBUSY, str(exc)) from exc
        self.trouble = None

    def _read(self) -> tuple[int, int]:
        text = ""
        try:
            text = self._file.read_text("ascii")
        except FileNotFoundError:
            if not os.path.exists(self._damaged):  # noqa: PTH110 - it raises nothing
                return 1, 0
        except (OSError, UnicodeDecodeError):
            pass  # as damaged as one that says nonsense
        if record := _RECORD.fullmatch(text):
            self._found = True
            end, used = int(record[1]), int(record[2])
            return end, (0 if record[3] == "clean" else max(0, end - used))
        # Damaged: go on above anything that counting utterances can have reached, so that no
        # consumer takes new speech for old.
        with contextlib.suppress(OSError):  # it is not there any more, or cannot be moved
            self._file.replace(self._damaged)
        return max(int(time.time()), ABOVE_ALL), 0

    def _write(self, text: str) -> None:
        """Replace the file so that a power cut leaves the old or the new one."""
        temporary = self._file.with_suffix(".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text.encode("ascii"))
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(self._file)
        directory = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _locked(directory: Path) -> int:
    """The lock of `directory`, which is made where it is missing. Raises `OSError` and as above."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        if exc.errno not in ILL:
            raise
        try:
            lock = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise exc from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(lock)
        raise StateInUse(
            f"the state directory {directory} is in use by another scribed; "
            "stop that one, or give each its own configuration file and STATE_DIRECTORY"
        ) from exc
    except OSError as exc:
        os.close(lock)
        if exc.errno in ILL:
            raise
        raise ScribedError(
            f"the state directory {directory} cannot be locked: {exc.strerror}; "
            "set STATE_DIRECTORY to one on a file system of this machine"
        ) from exc
    return lock


def _remedy(directory: Path, exc: OSError) -> str:
    """What to do about a directory, or a file in it, that cannot be used."""
    if isinstance(exc, PermissionError):
        for path in (Path(exc.filename), directory):
            with contextlib.suppress(OSError):
                if (owner := path.stat().st_uid) != os.geteuid():
                    return f"{path} belongs to {_name(owner)}: run scribed as that user"
    return "make it writable for this user"


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
