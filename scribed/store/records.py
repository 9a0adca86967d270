"""What the ledger's rows say, as bytes that later versions still read. Pure.

A final or an end is JSON of `scribed.model`'s own fields, in an object whose one key is its kind:
`{"final": {…}}` or `{"closed": {…}}`. Enumerations are stored by value, unknown fields are ignored
and fields with a default may be absent, so that a field may be added to the model and not removed.
"""

from __future__ import annotations

import zlib

import msgspec
from msgspec import Struct

from scribed.items import without
from scribed.model import (
    Closed,
    EarlierBoot,
    Final,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)
from scribed.ulid import ALPHABET


class Waiting(msgspec.Struct, frozen=True):
    """An utterance without an answer, as it is noted beside its file."""

    started: UtteranceStarted
    ended: UtteranceEnded | None = None  #: None: it was open


class Packed(Struct, frozen=True):
    """A final or an end as it is held in memory until the ledger takes it: a tenth of its room."""

    id: UtteranceId
    seq: int
    deflated: bytes

    __repr__ = without("deflated")

    @property
    def body(self) -> bytes:
        """The body of its row."""
        return zlib.decompress(self.deflated)


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    final: Final | None = None
    closed: Closed | None = None


def encode(item: Final | Closed) -> bytes:
    """The body of an outbox row."""
    body = _Body(final=item) if isinstance(item, Final) else _Body(closed=item)
    return msgspec.json.encode(body)


def pack(item: Final | Closed) -> Packed:
    """As `encode()`, in less room."""
    return Packed(item.started.id, item.started.seq, zlib.compress(encode(item), 1))


def decode(body: bytes) -> Final | Closed:
    """The reverse of `encode()`. Raises `ValueError` where it is none."""
    try:
        read = msgspec.json.decode(body, type=_Body)
    except msgspec.MsgspecError as exc:
        raise ValueError(str(exc)) from exc
    item = read.final or read.closed
    if item is None:
        raise ValueError("neither a final nor an end")
    return item


def encode_waiting(record: Waiting) -> bytes:
    """The body of a row of `waiting`."""
    return msgspec.json.encode(record)


def decode_waiting(body: bytes) -> Waiting:
    """The reverse of `encode_waiting()`. Raises `ValueError` where it is none."""
    try:
        return msgspec.json.decode(body, type=Waiting)
    except msgspec.MsgspecError as exc:
        raise ValueError(str(exc)) from exc


def bare(id: str, seq: int, boot: str = "unknown") -> UtteranceStarted:
    """An utterance of which no more is left: it began when its id was made (0: that is no ULID)."""
    digits = [ALPHABET.find(letter) for letter in id[:10]]  # milliseconds of the Unix epoch
    at = 0.0
    if len(id) == 26 and min(digits) >= 0:
        at = sum(digit << 5 * place for place, digit in enumerate(reversed(digits))) / 1000
    return UtteranceStarted(UtteranceId(id), seq, at, boot=EarlierBoot(boot, 0.0, None))


def checksum(seq: int, id: str, boot: str, body: bytes) -> int:
    """CRC-32 over a row: a flipped bit in a text would be another order."""
    return zlib.crc32(body, zlib.crc32(f"{seq} {id} {boot} ".encode("utf-8", "replace")))
