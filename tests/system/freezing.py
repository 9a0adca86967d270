"""One thread of a process stands still, as in a driver that does not answer; the others go on."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


@contextlib.contextmanager
def frozen(tid: int) -> Iterator[None]:
    """Hold the thread `tid` until the context ends, or its process. For one thread of ours."""
    _ptrace(PTRACE_SEIZE, tid)
    _ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        has_ended(tid)  # else it goes on when we do: a tracer that ends lets go
        with contextlib.suppress(OSError):
            _ptrace(PTRACE_DETACH, tid)


def has_ended(tid: int) -> bool:
    """Whether a frozen thread is gone; it cannot go before its tracer has looked."""
    try:
        return os.waitpid(tid, WALL | os.WNOHANG)[0] == tid
    except ChildProcessError:
        return True


def _ptrace(request: int, tid: int) -> None:
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    if ptrace(request, tid, None, None) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace of {tid}")
