"""Another text in the place of a file, which stays as it was otherwise."""

from __future__ import annotations

import stat
from pathlib import Path

from scribed.errors import ScribedError
from scribed.service.files import File, write_all


def rewrite(path: Path, before: str, after: str) -> None:
    """Replace the text of `path`, which is `before`; mode, owner, group and line ends stay, and a
    link stays one. Raises `ScribedError`, and has changed nothing then."""
    try:
        real = path.resolve(strict=True)
        was, content = real.stat(), real.read_bytes()
    except OSError as exc:
        raise ScribedError(f"{path} cannot be read: {exc.strerror}") from exc
    if content.decode("utf-8", "replace").replace("\r\n", "\n") != before.replace("\r\n", "\n"):
        raise ScribedError(f"{path} was changed meanwhile; nothing is written, try again")
    if b"\r\n" in content:
        after = after.replace("\r\n", "\n").replace("\n", "\r\n")
    mode = stat.S_IMODE(was.st_mode)
    file = File(real, after.encode(), mode, owner=was.st_uid, group=was.st_gid)
    write_all([file], directory_mode=0o755)
