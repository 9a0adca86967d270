"""What lies beside a file of texts: how far it is, and whether a run is writing it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from scribed.errors import ScribedError
from scribed.transcribe.formats import Format

SUFFIX = ".resume"
LOCK_SUFFIX = ".lock"
LOCK_TRIES = 10
"""So often the one before may delete the lock between our opening and taking it."""

Count = Annotated[int, Meta(ge=0)]
LONGEST_S = 1e9
"""No source is longer: thirty years."""


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far an unfinished file is; the contents of `FILE.resume`."""

    source: str
    format: Format
    done_s: Annotated[float, Meta(ge=0, le=LONGEST_S)] = 0.0  #: of the source
    nbytes: Count = 0  #: of the file
    cues: Count = 0
    utterances: Count = 0
    address: str = ""  #: `fingerprint()` of what `source` does not show


def fingerprint(asked: str, shown: str) -> str:
    """Tells the addresses that are `shown` alike from each other; empty where all is shown.

    It is slow to compute, so that a password cannot be found by trying many.
    """
    if asked == shown:
        return ""
    salt = shown.encode(errors="surrogateescape")
    return hashlib.scrypt(os.fsencode(asked), salt=salt, n=1 << 14, r=8, p=1, dklen=16).hex()


def beside(path: Path) -> Path:
    """Where the mark of the file at `path` is."""
    return path.with_name(path.name + SUFFIX)


def read(path: Path, mark: Mark) -> Mark:
    """The mark of the file at `path`, which is to go on as `mark` says; raises `ScribedError`."""
    there = beside(path)
    try:
        found = msgspec.json.decode(there.read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError) as exc:
        raise ScribedError(f"{there} cannot be read; delete it to begin anew") from exc
    if (found.source, found.format) != (mark.source, mark.format):
        raise ScribedError(
            f"{path} is of {found.source} as {found.format}, and not of {mark.source} as "
            f"{mark.format}; delete {there} to begin anew"
        )
    if found.address != mark.address:
        raise ScribedError(
            f"{path} is of {found.source} with another query, user or password: give the same "
            f"address again, or delete {there} to begin anew"
        )
    return found


class Lock:
    """`FILE.lock`, which is there while a run writes FILE; the constructor raises `ScribedError`
    where another one does, `OSError` where it cannot be made."""

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))  # raises nothing, as a loop of links
        self._path = real.with_name(real.name + LOCK_SUFFIX)
        for _ in range(LOCK_TRIES):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                if exc.errno == errno.EWOULDBLOCK:
                    break
                return  # a file system without locks
            if self._is_there():
                return
            os.close(self._fd)
        else:
            raise ScribedError(f"{path}: other runs come and go on it; try again")
        os.close(self._fd)
        raise ScribedError(f"{path}: another run is writing it; wait for it, or name another file")

    def release(self) -> None:
        """Nothing more is written."""
        self._path.unlink(missing_ok=True)  # first: who waits for it must not get a deleted one
        os.close(self._fd)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False
