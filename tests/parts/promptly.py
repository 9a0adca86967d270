"""Holds a step to a bound of its thread's own CPU time (G18: 100 ms whatever a peer says)."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

AT_MOST_S = 0.1
"""Processor time that one message may cost us, whatever it is."""


@contextlib.contextmanager
def promptly() -> Iterator[None]:
    """What is done inside takes at most `AT_MOST_S`, but for the collection of the garbage that
    thousands of other tests have left in this process."""
    gc.disable()
    begun = time.thread_time()
    try:
        yield
        assert time.thread_time() - begun < AT_MOST_S
    finally:
        gc.enable()
