"""Which utterances have begun and may be in no file yet: a few lines in memory that outlive the
process.

That somebody speaks is told at once, and the file is the store's to make, a moment later. An
utterance of which a kill left nothing else is found here at the next start, so that it has its end.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import zlib
from pathlib import Path

from scribed.model import UtteranceId, UtteranceStarted
from scribed.store.places import mapped

SLOTS = 8
"""So many utterances may be on their way to the store; of more, the oldest are forgotten."""
_BEGUN = struct.Struct("=Q26sI")  # seq, id, CRC-32 of both
_KEPT = struct.Struct("=Q")  # the seq of that utterance, when it needs to be noted no more
_KEPT_OFFSET = 40
SLOT = 64
SIZE = SLOTS * SLOT
_ID_BYTES = 26


class Begun:
    """`note` is for the capture thread, `keep` for the store's; neither makes a system call.

    Where the file cannot be used (`path` None: there is none) what is noted ends with the process,
    and nothing raises.
    """

    def __init__(self, path: Path | None) -> None:
        self._map: mmap.mmap | None = None
        if path is not None:
            with contextlib.suppress(OSError, ValueError):
                self._map = mapped(path, SIZE)
        if self._map is None:
            self._map = mmap.mmap(-1, SIZE)
        self.before: tuple[tuple[UtteranceId, int], ...] = tuple(
            sorted(filter(None, map(self._read, range(SLOTS))), key=lambda found: found[1])
        )
        """What an earlier run left: id and seq of each, by seq."""

    def note(self, started: UtteranceStarted) -> None:
        """It has begun; to be called before anybody is told."""
        id_ = started.id.encode()
        if self._map is None or len(id_) != _ID_BYTES:
            return
        # Torn by a kill it is nothing: then nobody was told either.
        seq, at = started.seq, started.seq % SLOTS * SLOT
        _BEGUN.pack_into(self._map, at, seq, id_, _checksum(seq, id_))

    def keep(self, seq: int) -> None:
        """It is in a file, or has its end: it needs to be noted no more."""
        if self._map is not None:
            # A place of its own, so that of two threads each writes only what is its.
            _KEPT.pack_into(self._map, seq % SLOTS * SLOT + _KEPT_OFFSET, seq)

    def forget(self) -> None:
        """Of all that an earlier run left it is known what became of them."""
        for _, seq in self.before:
            self.keep(seq)

    def close(self) -> None:
        """Give the map free, after both threads ended. What it holds stays."""
        if self._map is not None:
            held, self._map = self._map, None
            held.close()

    def _read(self, slot: int) -> tuple[UtteranceId, int] | None:
        assert self._map is not None
        seq, id_, crc = _BEGUN.unpack_from(self._map, slot * SLOT)
        (kept,) = _KEPT.unpack_from(self._map, slot * SLOT + _KEPT_OFFSET)
        if crc != _checksum(seq, id_) or not id_.isalnum() or kept == seq:
            return None
        return UtteranceId(id_.decode()), seq


def _checksum(seq: int, id: bytes) -> int:
    return zlib.crc32(id, zlib.crc32(_KEPT.pack(seq)))
