"""The `scribed` command, and `python -m scribed`: what has to come before every import."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def main() -> int:
    """Run the command; return its exit status.

    Who asks it to stop while it imports sees it gone: nothing has begun, and an exception in the
    middle of an import is a traceback, or crashes Python (where msgspec 0.22 makes its classes).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _leave)
    from scribed.cli import main as command  # noqa: PLC0415 -- see above

    return command()


if __name__ == "__main__":
    sys.exit(main())
