"""Writing configuration and secrets: all of it or nothing, and private from the first byte."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scribed.errors import ScribedError


@dataclass(frozen=True, slots=True)
class File:
    """What a file is to hold. `owner` and `group` are numbers, None: those of whoever writes it."""

    path: Path
    content: bytes
    mode: int
    owner: int | None = None
    group: int | None = None


def write_all(files: Sequence[File], *, directory_mode: int) -> None:
    """Write `files` beside those that they replace, then put all in place, the last one last.

    Directories are made where they are missing. Whatever happens before that (no room, Ctrl-C)
    leaves everything as it was. Raises `ScribedError`.
    """
    fresh: list[tuple[Path, Path]] = []
    try:
        for file in files:
            file.path.parent.mkdir(mode=directory_mode, parents=True, exist_ok=True)
            temporary = file.path.with_name(f".{file.path.name}.{os.getpid()}.new")
            fresh.append((temporary, file.path))
            _write(temporary, file)
        with _undisturbed():
            for temporary, path in fresh:
                temporary.replace(path)
    except OSError as exc:
        where = exc.filename or files[-1].path
        raise ScribedError(
            f"{where} cannot be written: {exc.strerror}; nothing was changed"
        ) from exc
    finally:
        for temporary, _ in fresh:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _write(temporary: Path, file: File) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(temporary, flags, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(file.content)
        opened.flush()
        os.fchmod(fd, file.mode)
        fresh = os.fstat(fd)
        if file.owner not in (None, fresh.st_uid) or file.group not in (None, fresh.st_gid):
            owner = -1 if file.owner is None else file.owner
            os.fchown(fd, owner, -1 if file.group is None else file.group)
        os.fsync(fd)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for a moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
