"""Which file the texts of a source go to, and whether it may be written over: no recording may."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from scribed.capture.sources import urls
from scribed.errors import ScribedError, SourceError
from scribed.transcribe.formats import SUFFIXES, Format
from scribed.transcribe.sniff import HEAD_BYTES, container
from scribed.transcribe.sound import Sound


def path(output: str, sound: Sound, form: Format, *, several: bool) -> Path:
    """The file for `sound`: `output`, or one in it where that is a directory, as it is made for
    `several`. Raises `ScribedError`."""
    path = Path(output)
    if several or output.endswith("/") or path.is_dir():
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ScribedError(f"{path} is no directory: {exc.strerror}") from exc
        path /= sound.stem + SUFFIXES[form]
    return path


def refuse_recording(path: Path, sources: Sequence[str]) -> None:
    """Raises `ScribedError` where `path` is one of `sources`, or begins like a recording."""
    try:
        there = path.stat()
    except OSError:  # it is not there, or that is told when it is written
        return
    if not stat.S_ISREG(there.st_mode):
        return
    for asked in sources:
        if _is_same(there, asked):
            raise ScribedError(f"{path} is a source itself: name another file with -o")
    try:
        with path.open("rb") as file:
            kind = container(file.read(HEAD_BYTES))
    except OSError:  # who may not read it may be allowed to write it
        return
    if kind is not None:
        raise ScribedError(
            f"{path} begins like {kind}, and would be lost: name another file with -o"
        )


def _is_same(there: os.stat_result, asked: str) -> bool:
    try:
        local = 0 if asked == "-" else urls.address(asked).path
        return local is not None and os.path.samestat(there, _status(local))
    except (OSError, ValueError, SourceError):  # that is told when it is opened
        return False


def _status(local: int | str) -> os.stat_result:
    return os.fstat(local) if isinstance(local, int) else Path(local).stat()
