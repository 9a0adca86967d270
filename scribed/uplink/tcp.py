"""What TCP says about a connection: how much of what was sent has arrived."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

_BYTES_ACKED = 120
"""Offset of the u64 tcpi_bytes_acked in `struct tcp_info` (linux/tcp.h, since Linux 4.1): behind
8 u8, 24 u32 and 2 u64, none of which needs padding, also where a u64 is aligned to 4 bytes."""
_UNACKED, _LAST_ACK_RECV, _RTT = 24, 56, 68
"""Offsets of the u32 tcpi_unacked, tcpi_last_ack_recv (milliseconds) and tcpi_rtt with tcpi_rttvar
(microseconds), there since Linux 2.4."""
_TCP_INFO_SIZE = 128
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset


def unsent(sock: socket.socket) -> int:
    """Bytes that the peer's TCP has not acknowledged (SIOCOUTQ)."""
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def info(sock: socket.socket) -> bytes:
    """The beginning of `struct tcp_info`, as much of it as this kernel knows."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)


def mark(sock: socket.socket) -> int:
    """The place in the stream behind all that was sent so far, for `has_passed()`."""
    while True:  # each turn too many has seen bytes acknowledged, of which none are added
        before = info(sock)
        place = place_behind(before, unsent(sock))
        if bytes_acked(info(sock)) == bytes_acked(before):
            return place


def bytes_acked(tcp_info: bytes) -> int:
    """What the peer has acknowledged since the connection was begun; 0: the kernel cannot tell.

    It counts the SYN as 1, and is thus never 0 on a connection where it is counted.
    """
    if len(tcp_info) < _BYTES_ACKED + 8:
        return 0
    return int(struct.unpack_from("=Q", tcp_info, _BYTES_ACKED)[0])


def answered_s(tcp_info: bytes) -> float | None:
    """How long ago the peer's TCP said anything, if only that a segment came out of order or twice;
    None: no segment is on its way, and what it says is no more than that its window is shut."""
    known = len(tcp_info) >= _LAST_ACK_RECV + 4
    if not known or not struct.unpack_from("=I", tcp_info, _UNACKED)[0]:
        return None
    return float(struct.unpack_from("=I", tcp_info, _LAST_ACK_RECV)[0]) / 1000


def retry_s(tcp_info: bytes) -> float:
    """How long TCP waits for an answer before it sends again for the first time (RFC 6298), by the
    round trips that it has seen; 0: the kernel does not tell."""
    if len(tcp_info) < _RTT + 8:
        return 0.0
    round_trip, varies = struct.unpack_from("=2I", tcp_info, _RTT)
    return (float(round_trip) + 4 * float(varies)) / 1e6


def withdraw(sock: socket.socket) -> None:
    """Let `close()` throw away what the peer has not acknowledged, instead of sending it on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


def place_behind(tcp_info: bytes, unsent: int) -> int:
    """The mark of a moment; both figures are of the same moment."""
    return bytes_acked(tcp_info) + unsent


def has_passed(tcp_info: bytes, unsent: int, mark: int) -> bool:
    """Whether all up to `mark` was acknowledged; where the kernel does not count, all there is."""
    acked = bytes_acked(tcp_info)
    return acked >= mark if acked else unsent == 0
