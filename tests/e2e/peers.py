"""Peers that stall: whoever talks to them waits, in DNS, in connect, in TLS or in send."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.parts.cloud import raw_server

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455, 1.3, appends to the key of the upgrade."""
_RESOLVERS = "127.83.{}.{}"
"""Addresses of loopback that nobody else uses but tests in other processes, each one of its own."""
_SYN_SENT = "02"


@contextlib.contextmanager
def silent_resolver(directory: Path) -> Iterator[tuple[tuple[str, ...], Callable[[], bool]]]:
    """A name server that swallows questions.

    Yields what must stand before a command that is to ask it (as root: the command gets a mount
    namespace with its own resolv.conf), and whether it was asked by now.
    """
    address = _RESOLVERS.format(*divmod(os.getpid() % 65_536, 256))
    (directory / "resolv.conf").write_text(f"nameserver {address}\n")
    (directory / "nsswitch.conf").write_text("hosts: files dns\n")
    script = "".join(
        f'mount --bind "{directory}/{name}" /etc/{name} && '
        for name in ("resolv.conf", "nsswitch.conf")
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind((address, 53))
        asked.setblocking(False)
        yield (
            ("unshare", "--mount", "sh", "-c", f'{script}exec "$@"', "sh"),
            lambda: _has_mail(asked),
        )


def may_have_a_namespace() -> bool:
    """Whether this user may do what `silent_resolver()` needs."""
    command = ["unshare", "--mount", "mount", "--bind", "/etc/hostname", "/etc/hostname"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@contextlib.contextmanager
def full_backlog() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A listener that accepts nobody and has no room: its port, and whether somebody waits there.

    Linux drops a SYN where the queue is full, so that connect() waits.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            queued = stack.enter_context(socket.socket())
            queued.settimeout(0.2)
            if queued.connect_ex(address):
                queued.close()  # this one found no room
                break
        else:
            raise AssertionError("the backlog cannot be filled")
        yield address[1], lambda: _connecting(address[1])


@contextlib.contextmanager
def mute_server() -> Iterator[tuple[int, threading.Event]]:
    """A server that accepts and never says a word: its port, and whether somebody has come."""
    released, met = threading.Event(), threading.Event()

    def say_nothing(_peer: socket.socket) -> None:
        met.set()
        released.wait(30)

    with raw_server(say_nothing) as port:
        try:
            yield port, met
        finally:
            released.set()


@contextlib.contextmanager
def deaf_server() -> Iterator[tuple[int, threading.Event]]:
    """A service that says session_started and reads nothing: its port, and whether it has said so.

    Its receive buffer is as small as the kernel allows.
    """
    released, greeted = threading.Event(), threading.Event()

    def greet_only(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        request = b""
        while b"\r\n\r\n" not in request:
            request += peer.recv(4096)
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID, usedforsecurity=False).digest())
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        hello = b'{"message_type":"session_started","session_id":"deaf","config":{}}'
        peer.sendall(bytes([0x81, len(hello)]) + hello)
        greeted.set()
        released.wait(30)

    with raw_server(greet_only) as port:
        try:
            yield port, greeted
        finally:
            released.set()


def unsent(port: int) -> int:
    """Bytes that wait in the send buffers of connections to `port` of 127.0.0.1."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(int(row[4].split(":")[0], 16) for row in rows if row[2] == _address(port))


def wait_until(condition: Callable[[], bool], timeout: float = 15.0) -> None:
    """Wait for something in the kernel, which tells nobody."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def _address(port: int) -> str:
    """127.0.0.1 and `port`, as /proc/net/tcp of a little-endian machine has them."""
    return f"0100007F:{port:04X}"


def _connecting(port: int) -> bool:
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[2] == _address(port) and row[3] == _SYN_SENT for row in rows)


def _has_mail(asked: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(asked.recv(4096))
    return False
