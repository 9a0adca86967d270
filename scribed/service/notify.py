"""What systemd is told: readiness, status, watchdog, the end. Outside of it, nothing happens.

The protocol of sd_notify(3), which would wait for room without a bound where nobody reads: an ear
does not stop for that. A status or a sign of life that does not fit is dropped, a newer one comes;
the others are owed, and go with what is told next.
"""

from __future__ import annotations

import os
import socket
import time

from scribed import clock

EXTEND_S = 30.0
"""How much longer than what is known of a start may take, while it makes progress."""
PROGRESS_S = 1.0
"""How often a long start says that it makes progress."""
ROOM_S = 0.5
"""How long to wait for room for what is owed."""

_owed: list[str] = []


def ready(status: str) -> None:
    """Configuration valid, store recovered, threads running; or a reload is over."""
    _owe(f"READY=1\nSTATUS={status}")


def reloading() -> None:
    """A changed configuration is being taken; `ready()` says that this is done."""
    _owe(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def starting(what: str, takes_s: float = 0.0) -> None:
    """Not ready yet, for a reason: what is being done, and for how long it may be silent now."""
    _tell(f"EXTEND_TIMEOUT_USEC={round((takes_s + EXTEND_S) * 1e6)}\nSTATUS=starting: {what}")


class Progress:
    """Asks for more time each time that a long start gets on; to be called at every step of it.

    `TimeoutStartSec=` is then the limit for standing still, not for the amount of work.
    """

    def __init__(self, what: str) -> None:
        self._what, self._told_at = what, clock.now()

    def __call__(self) -> None:
        """One step is done; cheap where systemd was told a moment ago."""
        now = clock.now()
        if now - self._told_at >= PROGRESS_S:
            self._told_at = now
            starting(self._what)


def status(text: str) -> None:
    """One line for `systemctl status`."""
    _tell(f"STATUS={text}")


def alive() -> None:
    """Feed the watchdog; only where every worker's heartbeat is fresh."""
    _tell("WATCHDOG=1")


def stopping() -> None:
    """The end has begun."""
    _owe("STOPPING=1")


def watchdog_s() -> float | None:
    """How often systemd wants `alive()`, or None."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and for_us else None


def _owe(message: str) -> None:
    """Say it now, or with what is said next."""
    _owed.append(message)
    _tell()


def _tell(message: str = "") -> None:
    """Say it, after what is owed, if anybody listens: what nobody hears must not end the ear."""
    while _owed and _sent(_owed[0], ROOM_S):
        del _owed[0]
    if message and not _owed:
        _sent(message, 0.0)


def _sent(message: str, wait_s: float) -> bool:
    """False: there was no room for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        try:
            to.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            to.settimeout(wait_s)
            to.send(message.encode())
        except (BlockingIOError, TimeoutError):
            return False
        except OSError:  # nobody is there
            return True
    return True
