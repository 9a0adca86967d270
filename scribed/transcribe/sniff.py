"""What standard input is: raw samples, or a file that says what it is. Nothing is taken from it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import stat

HEAD_BYTES = 16
WAIT_S = 0.02
"""Between two looks at a pipe that has less than that."""
_MAGIC = (
    (0, b"RIFF", "WAV"),
    (0, b"RF64", "WAV"),
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"FORM", "AIFF"),
    (0, b".snd", "AU"),
    (0, b"caff", "CAF"),
    (0, b"#!AMR", "AMR"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"FLV\x01", "FLV"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "ASF"),
    (4, b"ftyp", "MP4"),
)


def container(head: bytes) -> str | None:
    """The kind of file that begins with `head`; None: no known one, so it is raw samples."""
    for at, magic, name in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return name
    if len(head) >= 4 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return "AAC"
        layer, bitrate, rate = head[1] & 0x06, head[2] >> 4, head[2] & 0x0C
        if head[1] & 0xE0 == 0xE0 and layer == 0x02 and 0 < bitrate < 15 and rate != 0x0C:
            return "MP3"
    return None


def head(fd: int, nbytes: int = HEAD_BYTES) -> bytes:
    """The first `nbytes` that wait at `fd`, which stay there; waits for them, or for the end.

    Empty also where it cannot be looked into, as a terminal.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return os.pread(fd, nbytes, os.lseek(fd, 0, os.SEEK_CUR))
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return b""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while True:
        events = poller.poll()[0][1]
        seen = (_peek_pipe if stat.S_ISFIFO(mode) else _peek_socket)(fd, nbytes)
        if len(seen) >= nbytes or not seen or events & select.POLLHUP:
            return seen
        select.select((), (), (), WAIT_S)


def _peek_pipe(fd: int, nbytes: int) -> bytes:
    """tee(2) copies what is in a pipe to another, and takes nothing."""
    reading, writing = os.pipe()
    try:
        if ctypes.CDLL(None, use_errno=True).tee(fd, writing, nbytes, 0) <= 0:
            return b""
        return os.read(reading, nbytes)
    finally:
        os.close(reading)
        os.close(writing)


def _peek_socket(fd: int, nbytes: int) -> bytes:
    with socket.socket(fileno=os.dup(fd)) as peer, contextlib.suppress(OSError):
        return peer.recv(nbytes, socket.MSG_PEEK)
    return b""
