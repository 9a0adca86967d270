"""The end of a process that a sound server hangs: nothing of Python can run in it any more.

pyalsaaudio holds the interpreter's lock while it opens and closes, so that no thread of ours can
notice that it takes for ever, or take a SIGTERM. What does is C's alone: a timer of libc writes the
line that an operator needs, and faulthandler's watchdog every stack before it ends the process.
systemd starts it again.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import time
from collections.abc import Iterator

HUNG_S = 4.0
"""A device that is there opens in well under a second; shorter than the grace and 2 s."""
LINE_AHEAD_S = 0.2
"""The line is written so long before the stacks, which would bury it."""
_SIGEV_THREAD = 2


def advice(name: str) -> str:
    """What to do about a sound server that hangs."""
    return (
        f'audio.device: "{name}": the sound server does not answer; restart it '
        "(systemctl --user restart pipewire pulseaudio), or name a device of the card itself (hw:)"
    )


@contextlib.contextmanager
def not_for_ever(name: str, hung_s: float = HUNG_S) -> Iterator[None]:
    """End the process with status 1, in words, where the block takes `hung_s` seconds."""
    with _line_after(hung_s - LINE_AHEAD_S, advice(name)):
        faulthandler.dump_traceback_later(hung_s, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


class _Event(ctypes.Structure):
    """`struct sigevent`, as far as SIGEV_THREAD needs it, at its full size."""

    _fields_ = (
        ("value", ctypes.c_char_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("rest", ctypes.c_char * 64),
    )


class _Times(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@contextlib.contextmanager
def _line_after(seconds: float, line: str) -> Iterator[None]:
    """Write `line` to stderr if the block takes so long.

    The timer calls warnx(3) itself: a function of ours would need the interpreter's lock, and as a
    ctypes callback memory that is writable and executable, which the unit forbids.
    """
    libc, timer = _libc(), ctypes.c_void_p()
    event = _Event(
        value=line.replace("%", "%%").encode(errors="replace"),
        notify=_SIGEV_THREAD,
        function=ctypes.cast(libc.warnx, ctypes.c_void_p),
    )
    if libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        yield  # no timer, no line: the stacks must do
        return
    whole = int(seconds)
    first = _Times(first_s=whole, first_ns=int((seconds - whole) * 1e9))
    try:
        libc.timer_settime(timer, 0, ctypes.byref(first), None)
        yield
    finally:
        libc.timer_delete(timer)
