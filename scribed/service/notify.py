"""What systemd is told: readiness, status, watchdog, the end. Outside of it, nothing happens."""

from __future__ import annotations

import contextlib
import os
import time

from scribed import clock
from systemd import daemon

EXTEND_S = 30.0
"""How much longer than what is known of a start may take, while it makes progress."""
PROGRESS_S = 1.0
"""How often a long start says that it makes progress."""


def ready(status: str) -> None:
    """Configuration valid, store recovered, threads running; or a reload is over."""
    _tell(f"READY=1\nSTATUS={status}")


def reloading() -> None:
    """A changed configuration is being taken; `ready()` says that this is done."""
    _tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


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
    _tell("STOPPING=1")


def watchdog_s() -> float | None:
    """How often systemd wants `alive()`, or None."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and for_us else None


def _tell(message: str) -> None:
    """Say it if anybody listens: a socket that is gone must not end an ear that hears."""
    with contextlib.suppress(OSError):
        daemon.notify(message)
