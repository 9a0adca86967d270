"""One utterance's audio file: how it is begun, grows, is sealed, moves and goes.

`{seq:010}-{id}.open.wav` → `.sealed.wav`, `.sending.wav` while it is sent after a restart, and
`.answered.wav` from its answer until that is in the ledger: a crash is not on its account then, and
it may have been published.
Each step ends with a rename, so that a kill at any instant leaves a file that can be used.
"""

from __future__ import annotations

import enum
import os
import re
import zlib
from pathlib import Path

from msgspec.structs import replace

from scribed.model import SAMPLE_BYTES, UtteranceEnded
from scribed.store.places import Place, blocks, copy, write_all
from scribed.store.wav import HEADER_BYTES, Meta, header

NAME = re.compile(
    r"(\d{10,19})-([0-9A-Za-z_-]{1,64})\.(open|sealed|sending|answered)\.wav(\.part)?"
)
"""Groups: seq, id, kind, and whether it is a copy that was not finished."""
PART = ".part"
_FLAGS = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Kind(enum.Enum):
    """How far it is; the value stands in its name."""

    OPEN = "open"
    SEALED = "sealed"
    SENDING = "sending"
    ANSWERED = "answered"


def name(meta: Meta, kind: Kind) -> str:
    """What the file of `meta` is called."""
    return f"{meta.started.seq:010}-{meta.started.id}.{kind.value}.wav"


class AudioFile:
    """A file and what is known of it. Methods raise `OSError`; no audio is lost by one that does.

    `create` begins one; the constructor takes over one that exists.
    """

    def __init__(
        self, place: Place, path: Path, meta: Meta, kind: Kind, fd: int | None = None
    ) -> None:
        self.place, self.path, self.meta, self.kind = place, path, meta, kind
        self.nbytes = meta.nbytes
        """Of audio in the file."""
        self.crc32 = meta.crc32 or 0
        self.leftovers: set[Path] = set()
        """Older copies that could not be deleted."""
        self.checked = False
        """Whether its audio was compared with the checksum of its seal."""
        self._fd = fd
        self._named = False  # its name is durable
        self.room = blocks(HEADER_BYTES + self.nbytes)
        """Bytes that it takes in `place`."""
        place.used += self.room

    @classmethod
    def create(cls, place: Place, meta: Meta) -> AudioFile:
        """Begin one: its header is one write(2)."""
        path = place.directory / name(meta, Kind.OPEN)
        content = header(meta)
        fd = os.open(path, os.O_RDWR | os.O_EXCL | _FLAGS, 0o600)
        try:
            write_all(fd, content)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return cls(place, path, meta, Kind.OPEN, fd)

    def reopen(self) -> None:
        """Cut what a crash left to whole samples, so that it can be sealed."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.shorten(self.nbytes)

    def matches(self, pcm: bytes) -> bool:
        """Whether `pcm`, which was read from it, is what was sealed."""
        self.checked = True
        return not self.meta.missing and zlib.crc32(pcm) == self.meta.crc32

    @property
    def open(self) -> bool:
        return self._fd is not None

    def append(self, pcm: bytes | bytearray) -> int:
        """One write(2); how many bytes of `pcm` it took."""
        assert self._fd is not None
        written = os.write(self._fd, pcm)
        self.crc32 = zlib.crc32(pcm if written == len(pcm) else pcm[:written], self.crc32)
        self.nbytes += written
        self._measure()
        return written

    def shorten(self, nbytes: int) -> None:
        """Keep the first `nbytes` of its audio, whole samples. After an error it is as it was."""
        assert self._fd is not None
        nbytes = nbytes // SAMPLE_BYTES * SAMPLE_BYTES
        crc32 = zlib.crc32(memoryview(self.read())[:nbytes])
        os.ftruncate(self._fd, HEADER_BYTES + nbytes)
        os.lseek(self._fd, 0, os.SEEK_END)
        self.nbytes, self.crc32 = nbytes, crc32
        self._measure()

    def sync(self) -> None:
        """Make what was appended durable."""
        if self._fd is not None and self.place.durable:
            os.fdatasync(self._fd)
            if not self._named:
                self.place.sync()
                self._named = True

    def seal(self, ended: UtteranceEnded, unix_offset: float, clock_synced: bool | None) -> None:
        """It is complete: say so in its header and, last, in its name."""
        assert self._fd is not None
        if self.nbytes % SAMPLE_BYTES:
            self.shorten(self.nbytes)
        meta = replace(
            self.meta,
            ended=ended,
            crc32=self.crc32,
            nbytes=self.nbytes,
            unix_offset=unix_offset,
            clock_synced=clock_synced,
        )
        if os.pwrite(self._fd, header(meta), 0) != HEADER_BYTES:
            raise OSError("the header was written in part")
        if self.place.durable:
            os.fdatasync(self._fd)
        self.rename(Kind.SEALED)
        self.place.sync()
        self.meta = meta
        self.release()

    def rename(self, kind: Kind) -> None:
        """Its name says `kind` from now on."""
        path = self.place.directory / name(self.meta, kind)
        if path != self.path:
            self.path.rename(path)
            self.path = path
            self.leftovers.discard(path)
        self.kind = kind

    def move(self, place: Place) -> None:
        """To another place, open or not; the original goes last. After an error it is unmoved."""
        target = place.directory / name(self.meta, self.kind)
        part = place.directory / (target.name + PART)
        source = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC) if self._fd is None else self._fd
        try:
            fd = os.open(part, os.O_RDWR | os.O_TRUNC | _FLAGS, 0o600)
            try:
                copy(source, fd, HEADER_BYTES + self.nbytes)
                if place.durable:
                    os.fsync(fd)
                part.rename(target)
                place.sync()
            except OSError:
                os.close(fd)
                for path in (part, target):
                    self._unlink(path)
                raise
        finally:
            if self._fd is None:
                os.close(source)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = fd
        else:
            os.close(fd)
        self.leftovers.discard(target)
        self._unlink(self.path)
        self.place.used -= self.room
        place.used += self.room
        self.place, self.path, self._named = place, target, True

    def read(self) -> bytes:
        """Its audio."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC) if self._fd is None else self._fd
        try:
            pieces = []
            offset, end = HEADER_BYTES, HEADER_BYTES + self.nbytes
            while offset < end and (piece := os.pread(fd, end - offset, offset)):
                pieces.append(piece)
                offset += len(piece)
            return b"".join(pieces)
        finally:
            if self._fd is None:
                os.close(fd)

    def release(self) -> None:
        """Close it: it grows no more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def forget(self) -> None:
        """It is none of ours any more: close it, and take it off the count."""
        self.release()
        self.place.used -= self.room
        self.room = 0

    def tidy(self) -> None:
        """Try once more to delete older copies."""
        for path in tuple(self.leftovers):
            self._unlink(path)

    def remove(self) -> bool:
        """Delete it, and all copies; False: something is left. Raises nothing; may be repeated."""
        self.forget()
        self.leftovers.add(self.path)
        self.tidy()
        return not self.leftovers

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            self.leftovers.discard(path)
        except OSError:
            self.leftovers.add(path)
        else:
            self.leftovers.discard(path)

    def _measure(self) -> None:
        room = blocks(HEADER_BYTES + self.nbytes)
        if room != self.room:
            self.place.used += room - self.room
            self.room = room
