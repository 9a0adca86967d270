"""Where log records go: the journal with its fields under systemd, else lines on stderr."""

from __future__ import annotations

import logging
import os
import sys
import time

LOUD_LIBRARIES = ("websocket", "paho", "asyncio", "websockets")
"""Their debug output would hold headers and frames, and so the key and what was said."""


class _Lines(logging.Formatter):
    """`12:00:01.234 WARNING uplink: link down: …`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        head = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.threadName}: "
        line = head + record.getMessage()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(level: str) -> None:
    """Send the records of all loggers at `level` and above to their place."""
    if _stderr_is_journal():
        from systemd.journal import JournalHandler  # noqa: PLC0415 -- 2 MB that a terminal does not need

        handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="scribed")
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Say from now on what is of this level and above."""
    logging.getLogger().setLevel(level.upper())


def _stderr_is_journal() -> bool:
    """Whether stderr is the stream that systemd connected to the journal."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"
