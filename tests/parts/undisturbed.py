"""A promise in milliseconds, held while other tests have the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

BEFORE_OTHERS = 10
"""By so much less nice: ten times the share of a processor that others have."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Threads and processes that are started inside go before all others, where this user may say
    so: what is measured is what scribed takes, and not how many tests run beside it."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)  # of this thread; who is started inherits it
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice - BEFORE_OTHERS)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
