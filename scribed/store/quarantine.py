"""Files that cannot be used, kept a while for whoever wants to know why."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from scribed import kinds
from scribed.store.audiofile import NAME, PART
from scribed.store.places import copy

logger = logging.getLogger(__name__)

MAX_BYTES = 16 << 20
MAX_AGE_S = 24 * 3600.0
_CLOCK_WAS_SET = 1_700_000_000
"""Seconds of the Unix epoch in 2023: a file stamped earlier was stamped by a clock not yet set."""


class Quarantine:
    """The directory, at most `MAX_BYTES` and `MAX_AGE_S`: the oldest go first. Raises nothing.

    A clock that may be wrong (`synced()` is not True) makes nothing old.
    """

    def __init__(
        self, directory: Path, wall: Callable[[], float], synced: Callable[[], bool | None]
    ) -> None:
        self.directory, self._wall, self._synced = directory, wall, synced

    def take(self, path: Path, why: str) -> Path | None:
        """Move a file here. Where it is now: `path` where it cannot be moved, None: deleted."""
        extra = kinds.SET_ASIDE(path=path.name, error=why)
        logger.warning("%s is set aside: %s", path.name, why, extra=extra)
        target = self.directory / path.name.removesuffix(PART)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_size > MAX_BYTES:
                path.unlink()
                return None
            _move(path, target)
            os.utime(target, (self._wall(), self._wall()))
        except OSError as exc:
            extra = kinds.NOT_SET_ASIDE(path=path.name, error=exc.strerror or exc)
            words = "%s cannot be moved to quarantine: %s"
            logger.warning(words, path.name, exc.strerror or exc, extra=extra)
            return path if path.exists() else None
        self.trim()
        return target if target.exists() else None

    def trim(self) -> None:
        """Hold the limits."""
        now, synced = self._wall(), self._synced() is True
        with contextlib.suppress(OSError):
            held = sorted(self._held(now, synced=synced), reverse=True)
            total = 0
            for stamp, size, path in held:
                total += size
                if total > MAX_BYTES or (synced and now - stamp > MAX_AGE_S):
                    path.unlink()
                    extra = kinds.QUARANTINE_LEFT(path=path.name)
                    logger.info("%s leaves the quarantine", path.name, extra=extra)

    def _held(self, now: float, *, synced: bool) -> list[tuple[float, int, Path]]:
        """When it came, size and path of each file; one that a wrong clock stamped came now."""
        held = []
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if not NAME.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                stat = entry.stat(follow_symlinks=False)
                stamp = stat.st_mtime
                if synced and not _CLOCK_WAS_SET <= stamp <= now:
                    os.utime(entry.path, (now, now))
                    stamp = now
                held.append((stamp, stat.st_size, Path(entry.path)))
        return held


def _move(path: Path, target: Path) -> None:
    """As a rename, also to another file system. Raises `OSError`."""
    try:
        path.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        part = target.with_name(target.name + PART)
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                copy(source, fd, os.fstat(source).st_size)
                os.fsync(fd)
            finally:
                os.close(fd)
            part.rename(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(source)
        path.unlink()
