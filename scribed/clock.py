"""The clocks: `now()` counts suspend, the wall clock appears only at the edge.

Every `now`, `at` and deadline in scribed is in seconds of CLOCK_BOOTTIME, because the age of
speech must go on counting while the robot's computer sleeps (CLOCK_MONOTONIC does not).
"""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since boot, time in suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def mono_offset() -> float:
    """CLOCK_MONOTONIC minus `now()`, in seconds: 0 until the first suspend, then negative."""
    return time.monotonic() - now()


def wall() -> float:
    """Seconds since the Unix epoch, as the machine believes."""
    return time.time()
