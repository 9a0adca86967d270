"""Whether a server is there: a broker that was stopped, or one that has thrown us out."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

CONNECT_S = 1.0
"""How long to wait for TCP: who has just hung up is not far."""
WAITS_S = 0.1
"""A broker waits for our first word. What only stands before it (a balancer, Docker's proxy) takes
any connection, and closes it as soon as it finds nobody behind."""
BUSY_S = CONNECT_S + WAITS_S


class Place(NamedTuple):
    """The other end of a connection."""

    family: int
    address: Any


def place(connection: socket.socket) -> Place | None:
    """The other end of `connection`; None: that is gone already."""
    try:
        return Place(connection.family, connection.getpeername())
    except OSError:
        return None


def opens(there: Place) -> bool:
    """Whether somebody takes a connection and waits for what is said; blocks for `BUSY_S`."""
    with socket.socket(there.family, socket.SOCK_STREAM) as knocking:
        knocking.settimeout(CONNECT_S)
        try:
            knocking.connect(there.address)
        except OSError:
            return False
        knocking.settimeout(WAITS_S)
        try:
            return bool(knocking.recv(1))
        except TimeoutError:
            return True
        except OSError:
            return False
