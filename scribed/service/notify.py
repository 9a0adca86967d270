"""What systemd is told: readiness, status, watchdog, the end. Outside of it, nothing happens."""

from __future__ import annotations

import contextlib
import os

from systemd import daemon


def ready(status: str) -> None:
    """Configuration valid, store recovered, threads running."""
    _tell(f"READY=1\nSTATUS={status}")


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
