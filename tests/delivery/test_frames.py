"""A broker's WebSocket is read in pieces, whatever its frames are like."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.frames import PIECE_BYTES, Frames
from tests.delivery.peers import wait_for

DATA, MORE, TEXT, CLOSE, PING, PONG = 2, 0, 1, 8, 9, 10


@dataclass
class Made:
    """What paho keeps of a WebSocket beside its socket."""

    _sendbuffer: bytes = b""


def frame(payload: bytes, opcode: int = DATA) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + payload


class Ends:
    """The two ends of a connection; `sends` is what the broker has sent."""

    def __init__(self, sends: bytes = b"", **made: Any) -> None:
        self.theirs, self.ours = socket.socketpair()
        self.ours.setblocking(False)
        self.frames = Frames(Made(**made), self.ours)
        self.sent = 0
        self.theirs.settimeout(5)
        self.theirs.sendall(sends)

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self.theirs.close()
        self.ours.close()

    def read(self, nbytes: int = 1 << 20) -> bytes | None:
        """One read; None: there is nothing now."""
        try:
            return self.frames.recv(nbytes)
        except BlockingIOError:
            return None

    def all_of(self, size: int) -> bytes:
        """Read until so many bytes of data have come."""
        said = bytearray()

        def read() -> bool:
            said.extend(self.read() or b"")
            return len(said) >= size

        wait_for(read)
        return bytes(said)


@pytest.fixture
def ends() -> Iterator[Ends]:
    with Ends() as both:
        yield both


@given(st.lists(st.tuples(st.sampled_from([DATA, MORE, TEXT, PING]), st.binary(max_size=125))))
def test_data_comes_whole_and_in_order_however_it_is_framed(
    frames: list[tuple[int, bytes]],
) -> None:
    stream = b"".join(frame(payload, opcode) for opcode, payload in frames)
    wanted = b"".join(payload for opcode, payload in frames if opcode in (DATA, MORE))
    with Ends(_sendbuffer=b"busy") as ends:
        said = bytearray()
        for at in range(len(stream)):  # byte by byte
            ends.theirs.send(stream[at : at + 1])
            said += ends.read() or b""
            said += ends.read() or b""
        assert said == wanted


def test_a_frame_of_megabytes_comes_in_pieces(ends: Ends) -> None:
    size, sent = 3 << 20, frame(b"x" * (3 << 20))
    ends.theirs.setblocking(False)
    at, got, most = 0, 0, 0
    while got < size:
        if at < len(sent):
            at += ends.theirs.send(sent[at : at + 65_536])
        while piece := ends.read():
            got, most = got + len(piece), max(most, len(piece))
    assert most <= PIECE_BYTES


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_every_length_is_understood(ends: Ends, size: int) -> None:
    ends.theirs.sendall(frame(b"y" * size) + frame(b"end"))
    assert ends.all_of(size + 3) == b"y" * size + b"end"


def test_a_ping_is_answered_with_its_words_and_a_mask(ends: Ends) -> None:
    ends.theirs.sendall(frame(b"there?", PING) + frame(b"on"))
    assert ends.all_of(2) == b"on"
    pong = ends.theirs.recv(100)
    assert pong[:2] == bytes([0x80 | PONG, 0x80 | 6])
    assert bytes(b ^ pong[2 + i % 4] for i, b in enumerate(pong[6:])) == b"there?"


def test_no_answer_goes_into_the_midst_of_a_frame_of_ours() -> None:
    with Ends(frame(b"", PING) + frame(b"on"), _sendbuffer=b"half a frame") as ends:
        assert ends.all_of(2) == b"on"
        ends.theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            ends.theirs.recv(100)


def test_a_close_is_answered_and_the_end_is_the_end(ends: Ends) -> None:
    ends.theirs.sendall(frame(b"\x03\xe8", CLOSE))
    assert ends.read() is None
    assert ends.theirs.recv(100)[:2] == bytes([0x80 | CLOSE, 0x80 | 2])
    ends.theirs.close()
    assert ends.read() == b""


@pytest.mark.parametrize("sent", [b"\x82\x85", b"\x89\x7e\x01\x00", b"\x88\x7f" + b"\xff" * 8])
def test_what_no_server_may_send_ends_it_in_words(ends: Ends, sent: bytes) -> None:
    ends.theirs.sendall(sent)
    with pytest.raises(ConnectionError, match="the broker's WebSocket"):
        ends.frames.recv(10)
