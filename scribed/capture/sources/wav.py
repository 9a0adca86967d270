"""The header of a WAV file, and its samples as s16le; reads also what was torn or never closed."""

from __future__ import annotations

import struct
from typing import BinaryIO

from msgspec import Struct

from scribed.errors import SourceError

_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
_NAMES = {
    0x0002: "ADPCM",
    0x0003: "floating point",
    0x0006: "A-law",
    0x0007: "µ-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM",
    0x0055: "MP3",
}
_FORMAT_BYTES = 1 << 16
"""A format chunk is 16 to 40 bytes; one that claims more than this is no WAV file."""
_BYTES = {8: 1, 16: 2, 24: 3, 32: 4}
_RATES = range(1000, 768_001)
_CHANNELS = range(1, 33)
_UNKNOWN = 0x7FFF_0000
"""Who writes into a pipe says 0, or a size from here on: sox 0x7FFFF000, arecord 0x80000000, ffmpeg
0xFFFFFFFF."""
_FLIP_SIGN = bytes(value ^ 0x80 for value in range(256))


class Header(Struct, frozen=True):
    """What is in the file; its samples are the next bytes."""

    rate: int
    channels: int
    bits: int
    size: int | None  #: bytes of samples as it says, torn or not; None: up to the end of the file


def read_header(file: BinaryIO, path: str) -> Header:
    """Read `file` up to its first sample; raises `SourceError` where it is no WAV that we take."""
    magic = file.read(12)
    if magic[:4] != b"RIFF" or magic[8:] != b"WAVE":
        what = "is empty" if not magic else "is not a WAV file"
        raise SourceError(_refuse(path, what))
    form: tuple[int, int, int] | None = None
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data" and form:
            return Header(*form, _declared(file, size))
        if name == b"fmt " and size <= _FORMAT_BYTES:
            form = _format(file.read(size + size % 2), path)
        else:
            file.seek(size + size % 2, 1)
    raise SourceError(_refuse(path, "has no samples"))


def to_s16le(raw: bytes, bits: int) -> bytes:
    """The 16 most significant bits of little-endian samples of `bits`, whole ones only."""
    if bits == 16:
        return raw
    width = _BYTES[bits]
    pcm = bytearray(len(raw) // width * 2)
    if bits == 8:  # unsigned
        pcm[1::2] = raw.translate(_FLIP_SIGN)
    else:
        raw = raw[: len(raw) // width * width]
        pcm[0::2], pcm[1::2] = raw[width - 2 :: width], raw[width - 1 :: width]
    return bytes(pcm)


def _format(chunk: bytes, path: str) -> tuple[int, int, int]:
    """Rate, channels and bits of a format chunk."""
    if len(chunk) < 16:
        raise SourceError(_refuse(path, "is torn in its header"))
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 26:
        (kind,) = struct.unpack_from("<H", chunk, 24)
    if kind != _PCM:
        raise SourceError(_refuse(path, f"holds {_NAMES.get(kind, f'format {kind:#06x}')}"))
    if bits not in _BYTES:
        raise SourceError(_refuse(path, f"has {bits} bits"))
    if rate not in _RATES or channels not in _CHANNELS:
        raise SourceError(_refuse(path, f"has {rate} Hz and {channels} channels"))
    return rate, channels, bits


def _declared(file: BinaryIO, size: int) -> int | None:
    """The size of the samples, unless the header was written before anybody knew it."""
    here = file.tell()
    there = file.seek(0, 2)
    file.seek(here)
    return size if 0 < size <= max(there - here, _UNKNOWN - 1) else None


def _refuse(path: str, what: str) -> str:
    return (
        f'audio.path: "{path}" {what}; scribed reads WAV with PCM of 8, 16, 24 or 32 bits: '
        "ffmpeg -i FILE -ac 1 -ar 16000 -c:a pcm_s16le OUT.wav makes one"
    )
