"""Sockets that this machine's programs may connect to: listening, and clearing up after who did."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CONTROL = "control.sock"
"""What the daemon is asked through, in its runtime directory."""
MAX_ADDRESS_BYTES = 107
"""What the kernel takes for the path of a Unix socket (man 7 unix: `sun_path`)."""


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect to for a socket at `path`, however deep that lies. Raises `OSError`
    where its directory is not there."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_at(path: Path, backlog: int, mode: int = 0o600) -> socket.socket:
    """A Unix socket at `path`, in the place of one that nobody listens to any more. Raises
    `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        with address_of(path) as address:
            listening.bind(address)
        path.chmod(mode)  # before anybody can connect
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def listen_on(host: str, port: int, backlog: int) -> socket.socket:
    """A TCP socket of the loopback address `host`. Raises `OSError`."""
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.create_server((address, port), family=family, backlog=backlog)
    listening.setblocking(False)
    return listening


def write(
    client: socket.socket, reply: bytes, until_writable: Callable[[socket.socket, float], bool]
) -> None:
    """Send all of `reply`, or what goes before `until_writable(client, when this began)` says no.
    Raises `OSError` where the client goes away."""
    begun, rest = time.monotonic(), memoryview(reply)
    while rest:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:
            if not until_writable(client, begun):
                return


def _clear(path: Path) -> None:
    """Remove the socket of a daemon that has ended. Raises `OSError` where it is none of those."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError("something else is there; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            with address_of(path) as address:
                probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # so many wait there
            pass
    raise OSError("another scribed listens there; give each its own RUNTIME_DIRECTORY")
