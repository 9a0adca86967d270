"""Holds a step to a bound of its thread's own CPU time (G18: 100 ms whatever a peer says)."""

from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc
from collections.abc import Iterator

AT_MOST_S = 0.1
"""Processor time that one message may cost us, whatever it is."""
TRACED = 4
"""How much longer it may take while Python notes where each piece of memory came from."""


@contextlib.contextmanager
def promptly() -> Iterator[None]:
    """What is done inside takes at most `AT_MOST_S`, but for the collection of the garbage that
    thousands of other tests have left in this process."""
    at_most_s = AT_MOST_S * (TRACED if tracemalloc.is_tracing() else 1)
    gc.disable()
    begun = time.thread_time()
    try:
        yield
        assert time.thread_time() - begun < at_most_s
    finally:
        gc.enable()
