"""paho's client where it makes its socket: every wait has a bound, and no socket is left open.

paho's own connects to a Unix socket without a limit, takes any time for a WebSocket's handshake
that comes byte by byte, and forgets the socket where that fails.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from paho.mqtt.client import Client

from scribed.delivery.frames import Frames

PATH = "/mqtt"
"""Where brokers have their WebSocket, unless `mqtt.path` says otherwise."""


class Door(Client):
    """Connects as `transport` says; `connect_timeout` is for each of TCP, TLS and the WebSocket."""

    _made: Any = None

    def _create_socket(self) -> Any:
        try:
            made = super()._create_socket()
        except BaseException:
            if self._made is not None:
                self._made.close()
            raise
        if isinstance(self._made, _Hasty):
            return Frames(made, self._made.connection)
        return made

    def _create_socket_connection(self) -> Any:
        self._made = super()._create_socket_connection()
        return self._made if self._ssl else self._hurried()

    def _create_unix_socket_connection(self) -> Any:
        self._made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._made.settimeout(self.connect_timeout)
        self._made.connect(self._host)
        return self._made

    def _ssl_wrap_socket(self, tcp_sock: Any) -> Any:
        self._made = super()._ssl_wrap_socket(tcp_sock)
        return self._hurried()

    def _hurried(self) -> Any:
        if self.transport == "websockets":
            self._made = _Hasty(self._made, self.connect_timeout)
        return self._made


class _Hasty:
    """A socket that is read for so long and no longer: by a WebSocket's handshake."""

    def __init__(self, connection: Any, within_s: float) -> None:
        self.connection, self._until = connection, time.monotonic() + within_s

    def recv(self, nbytes: int) -> bytes:
        if time.monotonic() > self._until:
            raise TimeoutError
        data: bytes = self.connection.recv(nbytes)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def beneath(connection: Any) -> Any:
    """The socket that a WebSocket of paho's goes through; another one is its own."""
    hasty = getattr(connection, "_socket", connection)
    return hasty.connection if isinstance(hasty, _Hasty) else hasty
