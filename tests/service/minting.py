"""A server of single-use tokens on a real socket, that answers what a test wants."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

SOON = 10.0


@dataclass(frozen=True)
class Asked:
    """A request, as it came."""

    line: str
    headers: dict[str, str]


def http(status: int, body: str | bytes, *headers: str, length: int | None = None) -> bytes:
    """An answer; `length` is what it says of its body."""
    body = body.encode() if isinstance(body, str) else body
    length = len(body) if length is None else length
    head = [f"HTTP/1.1 {status} Because", f"Content-Length: {length}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def minted(token: str) -> bytes:
    """An answer with a token."""
    return http(200, json.dumps({"token": token}))


class Minter:
    """A context manager. `answer` is what every connection is told, or what is done with it."""

    def __init__(
        self, answer: bytes | Callable[[socket.socket], object], tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer, self._tls = answer, tls
        self.asked: list[Asked] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="minter")

    def __enter__(self) -> Minter:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass  # accept() returns
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                if self.stopping.is_set():
                    return
                self.connections += 1
                sock.settimeout(SOON)
                with contextlib.suppress(OSError):  # the client may have gone, or refused us
                    self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        if self._tls is not None:
            with self._tls.wrap_socket(sock, server_side=True) as wrapped:
                self._talk(wrapped)
        else:
            self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (more := sock.recv(4096)):
                return
            received += more
        line, *fields = received.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        pairs = (field.split(": ", 1) for field in fields)
        self.asked.append(Asked(line, {name.lower(): value for name, value in pairs}))
        if callable(self.answer):
            self.answer(sock)
        else:
            sock.sendall(self.answer)


def drip(minter_stops: threading.Event) -> Callable[[socket.socket], None]:
    """Say a little again and again, so that no single read ever times out."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 Slowly\r\n")
        deadline = time.monotonic() + SOON
        while not minter_stops.wait(0.05) and time.monotonic() < deadline:
            sock.sendall(b"X-More: 1\r\n")

    return talk
