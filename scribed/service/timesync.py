"""Whether the wall clock can be believed: asked of the kernel, without privilege."""

from __future__ import annotations

import ctypes
from pathlib import Path

STA_UNSYNC = 0x40
_STATUS_OFFSET = 40
"""Bytes from the start of `struct timex` to `status` on 64-bit Linux: modes, offset, freq,
maxerror, esterror of 8 bytes each (modes padded)."""
TIMESYNCD = Path("/run/systemd/timesync/synchronized")


def clock_synced() -> bool | None:
    """True: synchronised since this boot; False: not; None: unknown."""
    if TIMESYNCD.exists():
        return True
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(256)  # struct timex has 208 bytes; modes 0 only reads
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        return None
    status = ctypes.c_int.from_buffer(buffer, _STATUS_OFFSET).value
    return not status & STA_UNSYNC
