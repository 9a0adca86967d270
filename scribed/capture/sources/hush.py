"""Keeps libasound from writing to stderr what scribed says in words of its own."""

from __future__ import annotations

import contextlib
import ctypes
import functools


@functools.cache
def hush() -> None:
    """Once for the process.

    The handler is a C function that ignores what it is given: a Python one would need memory that
    is writable and executable, which the unit forbids.
    """
    with contextlib.suppress(OSError):
        ignore = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(ignore)
