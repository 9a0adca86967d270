"""Standard output, for texts; what it cannot take is told, and not lost in a buffer."""

from __future__ import annotations

import os
import sys

from scribed.errors import ScribedError


def show(text: str) -> None:
    """Write `text`, at once; what its encoding does not have is written as an escape.

    Raises `ScribedError`, and `BrokenPipeError` where nobody reads any more.
    """
    encoding = sys.stdout.encoding or "utf-8"
    left = memoryview(text.encode(encoding, "backslashreplace"))
    try:
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise ScribedError(f"standard output cannot be written: {exc.strerror}") from exc
