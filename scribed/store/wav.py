"""One utterance's file: a plain WAV that says whose audio it is, and bears being cut anywhere.

```
   0  RIFF  size (0xFFFFFFFF until sealed)  WAVE
  12  fmt   16 kHz mono s16le
  36  scrb  two lines, each JSON padded with blanks and its CRC-32 as 8 hex digits:
  44          the opening, written once when the utterance begins
 512          the seal, blank until the utterance ends
1016  data  size (0xFFFFFFFF until sealed)
1024  the audio
```
Each line lies in a 512-byte sector of its own: a power cut tears the seal, never the opening, and
without the seal it is an open utterance's file, which is audio all the same. Only the lines are
read: what else of the header is damaged loses nothing.
"""

from __future__ import annotations

import struct
import zlib

import msgspec
from msgspec import Struct

from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    EndReason,
    RobotDid,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)

VERSION = 1
"""Of the format; a file of a higher one is left alone (`Newer`)."""
HEADER_BYTES = 1024
"""Length of every header; the audio begins there."""
MAX_AUDIO_BYTES = 16 << 20
"""Nine minutes. An utterance has 28 s: a longer file is not what an utterance left."""

_SECTOR = 512
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
_DATA = struct.Struct("<4sI")
_UNKNOWN = 0xFFFFFFFF
_OPENING = slice(_HEAD.size, _SECTOR)
_SEAL = slice(_SECTOR, HEADER_BYTES - _DATA.size)
_CHECK_BYTES = 9  # 8 hex digits and the line's end


class Damaged(ValueError):
    """The file cannot be used; `str()` says why in words."""


class Newer(Damaged):
    """The file is of a later version of scribed: keep it, and leave it alone."""


class Meta(Struct, frozen=True):
    """What a file says about itself."""

    started: UtteranceStarted  #: `boot` is never set: a file does not know which boot it is read in
    boot_id: str  #: whose clock `started.at` and `ended.at` are of
    unix_offset: float  #: seconds of the Unix epoch minus those of that clock, as last known
    clock_synced: bool | None
    ended: UtteranceEnded | None = None  #: None: not sealed, or the seal is damaged
    crc32: int | None = None  #: of the audio; None: not sealed
    nbytes: int = 0  #: of audio, whole samples: what is there, or what was sealed if that is less
    missing: int = 0  #: bytes of audio that were sealed and are not there


class _Version(msgspec.Struct, frozen=True):
    v: int


class _Opening(msgspec.Struct, frozen=True):
    v: int
    id: str
    seq: int
    boot_id: str
    at: float
    unix_offset: float
    clock_synced: bool | None
    mono_offset: float
    continues: str | None
    trigger: str = "always"


class _Seal(msgspec.Struct, frozen=True):
    reason: str
    ended_at: float
    audio_ms: int
    lost_ms: int
    level_dbfs: float | None
    snr_db: float | None
    crc32: int
    nbytes: int
    unix_offset: float  # once more: the clock may have been set since the opening
    clock_synced: bool | None
    speaking: bool | None = None  # the robot; for what it said there is no room
    moving: bool | None = None


def header(meta: Meta) -> bytes:
    """The first `HEADER_BYTES` of the file of `meta`; `meta.missing` is not written.

    Raises `ValueError` where an id is too long for it (a ULID and a UUID are not).
    """
    sealed = meta.ended is not None and meta.crc32 is not None
    size = meta.nbytes if sealed else _UNKNOWN
    whole = HEADER_BYTES - 8 + meta.nbytes if sealed else _UNKNOWN
    scrb = _SEAL.stop - _OPENING.start
    rate = RATE * SAMPLE_BYTES
    fmt = (b"fmt ", 16, 1, 1, RATE, rate, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    head = _HEAD.pack(b"RIFF", whole, b"WAVE", *fmt, b"scrb", scrb)
    return head + _opening(meta) + _seal(meta) + _DATA.pack(b"data", size)


def _opening(meta: Meta) -> bytes:
    started = meta.started
    line = _Opening(
        v=VERSION,
        id=started.id,
        seq=started.seq,
        boot_id=meta.boot_id,
        at=started.at,
        unix_offset=meta.unix_offset,
        clock_synced=meta.clock_synced,
        mono_offset=started.mono_offset,
        continues=started.continues,
        trigger=started.trigger,
    )
    return _line(line, _OPENING)


def parse(first: bytes, file_size: int) -> Meta:
    """What the first `HEADER_BYTES` of a file of `file_size` bytes say. Raises `Damaged`."""
    if len(first) < HEADER_BYTES or file_size < HEADER_BYTES:
        raise Damaged(f"it has {min(len(first), file_size)} bytes, and a header has {HEADER_BYTES}")
    text = _checked(first[_OPENING])
    if text is None:
        raise Damaged("the checksum of its header is wrong")
    nbytes = (file_size - HEADER_BYTES) // SAMPLE_BYTES * SAMPLE_BYTES
    try:
        version = msgspec.json.decode(text, type=_Version).v
        start = None if version > VERSION else msgspec.json.decode(text, type=_Opening)
    except (msgspec.DecodeError, ValueError) as exc:
        raise Damaged(f"its header cannot be read: {exc}") from exc
    if start is None:
        raise Newer("it was written by a later version of scribed")
    continues = None if start.continues is None else UtteranceId(start.continues)
    meta = Meta(
        started=UtteranceStarted(
            UtteranceId(start.id),
            start.seq,
            start.at,
            start.mono_offset,
            continues,
            trigger=start.trigger,
        ),
        boot_id=start.boot_id,
        unix_offset=start.unix_offset,
        clock_synced=start.clock_synced,
        nbytes=nbytes,
    )
    meta = _with_seal(meta, first[_SEAL])
    if meta.nbytes > MAX_AUDIO_BYTES:
        raise Damaged(f"it has {meta.nbytes} bytes of audio, more than any utterance")
    return meta


def _seal(meta: Meta) -> bytes:
    ended = meta.ended
    if ended is None or meta.crc32 is None:
        return b" " * (_SEAL.stop - _SEAL.start - 1) + b"\n"
    line = _Seal(
        reason=ended.reason.value,
        ended_at=ended.at,
        audio_ms=ended.audio_ms,
        lost_ms=ended.lost_ms,
        level_dbfs=ended.level_dbfs,
        snr_db=ended.snr_db,
        crc32=meta.crc32,
        nbytes=meta.nbytes,
        unix_offset=meta.unix_offset,
        clock_synced=meta.clock_synced,
        speaking=ended.robot.speaking,
        moving=ended.robot.moving,
    )
    return _line(line, _SEAL)


def _with_seal(meta: Meta, line: bytes) -> Meta:
    """`meta` with what the seal says, where there is one and it is whole."""
    text = _checked(line)
    if text is None:
        return meta
    try:
        seal = msgspec.json.decode(text, type=_Seal)
        reason = EndReason(seal.reason)
    except (msgspec.DecodeError, ValueError):
        return meta
    ended = UtteranceEnded(
        id=meta.started.id,
        at=seal.ended_at,
        reason=reason,
        audio_ms=seal.audio_ms,
        lost_ms=seal.lost_ms,
        level_dbfs=seal.level_dbfs,
        snr_db=seal.snr_db,
        robot=RobotDid(seal.speaking, seal.moving),
    )
    return Meta(
        started=meta.started,
        boot_id=meta.boot_id,
        unix_offset=seal.unix_offset,
        clock_synced=seal.clock_synced,
        ended=ended,
        crc32=seal.crc32,
        nbytes=min(seal.nbytes, meta.nbytes),
        missing=max(0, seal.nbytes - meta.nbytes),
    )


def _line(fields: msgspec.Struct, place: slice) -> bytes:
    """The JSON of `fields` with its checksum, as long as `place`."""
    room = place.stop - place.start - _CHECK_BYTES
    text = msgspec.json.encode(fields)
    if len(text) > room:
        raise ValueError(f"the description of an utterance takes {len(text)} bytes, not {room}")
    text = text.ljust(room)
    return text + b"%08x\n" % zlib.crc32(text)


def _checked(line: bytes) -> bytes | None:
    """The JSON of a line, None where it is not what was written."""
    text = line[:-_CHECK_BYTES]
    return text if line[-_CHECK_BYTES:] == b"%08x\n" % zlib.crc32(text) else None
