"""Why the microphone is closed: a file of its own, for a damaged ledger must not open it again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from scribed.store.places import sync_directory, write_all

KEY = "mute"
"""The fact that is kept here too: the reasons, a JSON list of words; an empty one: it is open."""
UNKNOWN = '["local"]'
"""For a file that is there and cannot be read: it was closed, and only this machine may open it."""
MAX_BYTES = 1 << 16


class MuteFile:
    """Owns the file `muted` in `directory`; it is there while the microphone is closed.

    For one thread.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "muted"
        self._owed = False
        self._reasons: str | None = None

    def note(self, reasons: str | None) -> None:
        """What `write()` is to make durable."""
        self._owed, self._reasons = True, reasons

    def write(self) -> None:
        """Make what was noted durable, if that is not done yet. Raises `OSError`."""
        if not self._owed:
            return
        if self._reasons is None or _parsed(self._reasons) == []:
            self.path.unlink(missing_ok=True)
        else:
            self._replace(self._reasons.encode())
        sync_directory(self.path.parent)
        self._owed = False

    def restore(self, fact: str | None) -> str | None:
        """What `fact`, which the ledger remembers, and the file say: closed where either says so.

        The file says so too then, if the disk takes it. Raises nothing.
        """
        held = self._read()
        said = fact if held is None else _merged(fact, held)
        if said is not None and said != held and _parsed(said) != []:
            self.note(said)
            with contextlib.suppress(OSError):
                self.write()
        return said

    def _read(self) -> str | None:
        """What the file says; None: it is not there, as far as can be told."""
        try:
            if not os.path.lexists(self.path):
                return None
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                return os.read(fd, MAX_BYTES).decode("utf-8", "replace")
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except OSError:
            return ""

    def _replace(self, content: bytes) -> None:
        """So that a power cut leaves the old or the new one."""
        temporary = self.path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(temporary, flags, 0o600)
        try:
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(self.path)


def _merged(fact: str | None, held: str) -> str:
    if fact == held:
        return held
    here, there = _parsed(held) or _parsed(UNKNOWN) or [], _parsed(fact or "[]") or []
    return msgspec.json.encode(sorted({*here, *there})).decode()


def _parsed(reasons: str) -> list[str] | None:
    """The words; None: that is no list of words."""
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(reasons, type=list[str])
    return None
