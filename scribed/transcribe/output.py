"""Where texts go: a file that a later run can go on with, or standard output.

Beside a file that is not finished lies `FILE.resume`: how much of the source is told in how many
bytes of the file. It is written behind each text, so a run may end in any way. While a run writes
there is `FILE.lock` as well.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from io import FileIO
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from scribed.errors import ScribedError
from scribed.transcribe.formats import Format, Spoken, Writer
from scribed.transcribe.mark import Lock, Mark, beside, read


class Outlet(Protocol):
    """Takes the texts of one source."""

    mark: Mark  #: what was told so far, by earlier runs as well

    def open(self) -> None:
        """Begin. Raises `ScribedError`."""
        ...

    def write(self, said: Spoken, done_s: float) -> None:
        """One more text, with which the source is told up to `done_s`."""
        ...

    def passed(self, done_s: float) -> None:
        """The source is told up to there."""
        ...

    def close(self, *, complete: bool) -> None:
        """Nothing more comes; where it is not complete a later run may go on."""
        ...


class FileOutlet:
    """A file of its own; raises `ScribedError` where that cannot be written."""

    def __init__(
        self,
        path: Path,
        form: Format,
        source: str,
        *,
        resume: bool,
        address: str = "",
        languages: Collection[str] = (),
    ) -> None:
        self.path = path
        self.is_done = False  #: an earlier run has finished it
        self.mark = Mark(source, form, address=address)
        self._beside = beside(path)
        self._lock: Lock | None = None
        self._writer = Writer(form, languages=languages)
        self._file: FileIO | None = None
        self.is_broken = False  #: it could not be written
        self._found = self._bytes_beside()
        if self._beside.exists():
            if not resume:
                raise ScribedError(
                    f"{path} is not finished: add --resume to go on with it, or delete "
                    f"{self._beside} to begin anew"
                )
            self.mark = read(path, self.mark)
            self._writer.cues = self.mark.cues
        elif resume and path.exists():
            self.is_done = True

    def begin_at(self, start_s: float) -> None:
        """This run begins there in the source, unless an earlier one was further."""
        if start_s > self.mark.done_s:
            self.mark = replace(self.mark, done_s=start_s)

    def open(self) -> None:
        target = self.path if self.path.exists() else self.path.parent
        if self.path.is_dir() or not os.access(target, os.W_OK):
            raise ScribedError(f"{self.path} cannot be written; name another file with -o")
        if self.path.exists() and not self.path.is_file():
            return
        try:
            self._lock = Lock(self.path)
        except OSError as exc:
            raise ScribedError(f"{self.path} cannot be written: {exc.strerror}") from exc
        if self._bytes_beside() != self._found:
            self._unlock()
            raise ScribedError(f"{self.path}: another run has written it meanwhile; begin again")

    def write(self, said: Spoken, done_s: float) -> None:
        text = self._writer.write(said)
        mark, cues = self.mark, self._writer.cues
        self._put(text, replace(mark, done_s=done_s, cues=cues, utterances=said.seq))

    def passed(self, done_s: float) -> None:
        if done_s > self.mark.done_s:
            self._put("", replace(self.mark, done_s=done_s))

    def close(self, *, complete: bool) -> None:
        try:
            self._finish(complete=complete)
        finally:
            self._unlock()

    def _finish(self, *, complete: bool) -> None:
        if complete and self._file is None:
            self._put("", self.mark)
        if self._file is not None:
            with contextlib.suppress(OSError):  # all of it is written
                self._file.close()
        if complete and not self.is_broken:
            self._beside.unlink(missing_ok=True)

    def _unlock(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):  # it is no lock any more, if it stays
                self._lock.release()
            self._lock = None

    def _bytes_beside(self) -> bytes | None:
        try:
            return self._beside.read_bytes()
        except OSError:
            return None

    def _put(self, text: str, mark: Mark) -> None:
        """Write `text`, then what it means: the other way round it might be missing."""
        if self.is_broken:
            return
        try:
            if self._file is None:
                self._file = self._begin()
                text = text if mark.nbytes else self._writer.head() + text
            raw = text.encode()
            left = memoryview(raw)
            while left:
                left = left[self._file.write(left) :]
            self.mark = replace(mark, nbytes=mark.nbytes + len(raw))
            self._note()
        except OSError as exc:
            self.is_broken = True  # nothing behind what is missing now
            raise ScribedError(f"{self.path} cannot be written: {exc.strerror}") from exc

    def _note(self) -> None:
        """Write the mark; there is none of a pipe or a terminal."""
        if self.path.exists() and not self.path.is_file():
            return
        fresh = self._beside.with_name(self._beside.name + ".new")
        fresh.write_bytes(msgspec.json.encode(self.mark) + b"\n")
        fresh.replace(self._beside)

    def _begin(self) -> FileIO:
        """The file, at the end of what is told; not before there is something to write."""
        if not self.mark.nbytes:
            self._note()  # first: what stood in the file is gone from here on
            return self.path.open("wb", buffering=0)
        file = self.path.open("r+b", buffering=0)
        if file.seek(0, os.SEEK_END) < self.mark.nbytes:
            file.close()
            raise ScribedError(
                f"{self.path} is shorter than {self._beside} says: delete both to begin anew"
            )
        file.truncate(self.mark.nbytes)
        file.seek(self.mark.nbytes)
        return file


class StreamOutlet:
    """A part of standard output, handed to `show`; `start_s` is where this run begins.

    Where it `waits`, everything is held until `release()`. What raises `ScribedError` in `show` is
    not told: nothing more is shown then, and `mark` stays where it was.
    """

    def __init__(
        self,
        form: Format,
        source: str,
        *,
        start_s: float,
        title: str = "",
        show: Callable[[str], object],
        waits: bool = False,
        languages: Collection[str] = (),
    ) -> None:
        self.mark = Mark(source, form, done_s=start_s)
        self._writer = Writer(form, languages=languages)
        self._title, self._show = title, show
        self._first, self.is_broken = self.mark, False
        self._waits, self._held, self._has_begun = waits, "", False

    def open(self) -> None:
        """Nothing is said before there is something to say."""

    def write(self, said: Spoken, done_s: float) -> None:
        if self.is_broken:
            return
        self._say(self._begin() + self._writer.write(said))
        self.mark = replace(self.mark, done_s=done_s, utterances=said.seq)

    def passed(self, done_s: float) -> None:
        if done_s > self.mark.done_s and not self.is_broken:
            self.mark = replace(self.mark, done_s=done_s)

    def close(self, *, complete: bool) -> None:
        if complete:
            self._say(self._begin())

    def release(self) -> None:
        """Its turn has come."""
        self._waits = False
        held, self._held = self._held, ""
        try:
            self._say(held)
        except ScribedError:
            self.mark = self._first  # nothing of it was seen
            raise

    def _begin(self) -> str:
        if self._has_begun:
            return ""
        self._has_begun = True
        return self._title + self._writer.head()

    def _say(self, text: str) -> None:
        if self._waits:
            self._held += text
        elif text and not self.is_broken:
            try:
                self._show(text)
            except ScribedError:
                self.is_broken = True  # nothing behind what is missing now
                raise
