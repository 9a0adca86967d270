"""Another text in the place of a file: all of it or nothing, and as it was otherwise."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from scribed.errors import ScribedError


def rewrite(path: Path, before: str, after: str) -> None:
    """Replace the text of `path`, which is `before`; mode, owner and line ends stay, and a link
    stays one. Raises `ScribedError`, and has changed nothing then."""
    fresh = None
    try:
        real = path.resolve(strict=True)
        was, content = real.stat(), real.read_bytes()
        if content.decode("utf-8").replace("\r\n", "\n") != before.replace("\r\n", "\n"):
            raise ScribedError(f"{path} was changed meanwhile; nothing is written, try again")
        if b"\r\n" in content:
            after = after.replace("\r\n", "\n").replace("\n", "\r\n")
        fresh = real.with_name(f".{real.name}.{os.getpid()}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(after.encode())
            file.flush()
            now = os.fstat(file.fileno())
            if (now.st_uid, now.st_gid) != (was.st_uid, was.st_gid):
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fchmod(file.fileno(), was.st_mode & 0o7777)
            os.fsync(file.fileno())
        fresh.replace(real)
    except OSError as exc:
        why = f"{path} cannot be written: {exc.strerror}; nothing was changed"
        raise ScribedError(why) from exc
    finally:
        if fresh is not None:
            with contextlib.suppress(OSError):
                fresh.unlink()
