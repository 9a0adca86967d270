"""Programs that scribed starts and that must not outlive it, by their process groups.

Whoever starts one notes it here for the time that it runs; who ends the process ends them with it.
Any thread may: each call is one operation on a set, which the interpreter does not divide.
"""

from __future__ import annotations

import contextlib
import os
import signal

_groups: set[int] = set()


def begun(group: int) -> None:
    """A program runs, the leader of a process group of its own."""
    _groups.add(group)


def ended(group: int) -> None:
    """It is over: the number may soon be somebody else's."""
    _groups.discard(group)


def end_all() -> None:
    """Kill those that still run, with all that they started."""
    for group in tuple(_groups):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
