"""The socket below a WebSocket: TCP and TLS within one deadline, and what bounds the upgrade."""

from __future__ import annotations

import re
import socket
import ssl
import time
from urllib.parse import urlsplit

MAX_HANDSHAKE = 1 << 16
"""Bytes of the longest answer to the upgrade request, with the body of a refusal."""
SEND_BUFFER = 64 * 1024
"""Bytes of the socket's send buffer, 1.5 s of speech: what waits in there cannot be withdrawn."""
USER_TIMEOUT_S = 120.0
"""The kernel's own limit, behind `liveness`, which counts every byte acknowledged: the kernel does
not, where the peer takes less at a time than it has queued as one piece (a narrow link)."""


def dial(url: str, deadline: float, tls: ssl.SSLContext | None) -> socket.socket:
    """A TCP connection to the first address that takes it, with TLS for wss://.

    Raises `OSError`, and `ValueError` for what cannot be a host's name; `deadline` is of
    `time.monotonic()`.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    addresses = socket.getaddrinfo(
        host, parts.port or (443 if secure else 80), type=socket.SOCK_STREAM
    )
    last: OSError = OSError("no address")
    for n, (family, kind, protocol, _, address) in enumerate(addresses):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as exc:  # a family that this kernel does not have
            last = exc
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
            # A black hole (IPv6 without a route) may not take the time of the addresses behind it.
            sock.settimeout(_remaining(deadline) / (len(addresses) - n))
            sock.connect(address)
            if not secure:
                return sock
            assert tls is not None, "wss:// needs a context"
            sock.settimeout(_remaining(deadline))
            return tls.wrap_socket(sock, server_hostname=host)
        except (ssl.SSLCertVerificationError, ValueError):
            sock.close()
            raise
        except OSError as exc:
            sock.close()
            last = exc
    raise last


class HandshakeSocket:
    """What the library sees of the socket during the upgrade: bounded in bytes and in time."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline, self._left = sock, deadline, MAX_HANDSHAKE
        self._first = b""

    @property
    def status(self) -> int:
        """The HTTP status of the answer; 0: none came."""
        line = re.match(rb"HTTP/\S+ (\d{3})\s", self._first)
        return int(line[1]) if line else 0

    def recv(self, size: int) -> bytes:
        self._arm()
        received = self._sock.recv(min(size, self._left))
        self._left -= len(received)
        if len(self._first) < 16:
            self._first += received
        return received

    def send(self, payload: bytes) -> int:
        self._arm()
        return self._sock.send(payload)

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def _arm(self) -> None:
        if self._left <= 0:
            raise OSError(f"an answer to the upgrade over {MAX_HANDSHAKE} bytes")
        self._sock.settimeout(_remaining(self._deadline))


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
