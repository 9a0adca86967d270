"""Where log records go: the journal with its fields under systemd, else lines on stderr."""

from __future__ import annotations

import logging
import os
import sys
import time

from scribed import clock, kinds
from scribed.service.redaction import Redaction
from scribed.service.repeats import Repeats

LOUD_LIBRARIES = ("websocket", "paho", "asyncio", "websockets")
"""Their debug output would hold headers and frames, and so the key and what was said."""

_PRIORITIES = (
    (logging.CRITICAL, "2"),
    (logging.ERROR, "3"),
    (logging.WARNING, "4"),
    (logging.INFO, "6"),
)


class _Lines(logging.Formatter):
    """`12:00:01.234 WARNING uplink: link down: …`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        head = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.threadName}: "
        line = head + record.getMessage()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Journal(logging.Handler):
    """Sends each record with the fields of its kind, and nothing else of it."""

    def __init__(self) -> None:
        super().__init__()
        from systemd import journal  # noqa: PLC0415 -- 2 MB that a terminal does not need

        self._send = journal.send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(
                self.format(record),
                MESSAGE_ID=getattr(record, "MESSAGE_ID", None),
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                PRIORITY=next((p for level, p in _PRIORITIES if record.levelno >= level), "7"),
                SYSLOG_IDENTIFIER="scribed",
                THREAD_NAME=record.threadName,
                LOGGER=record.name,
                **fields(record),
            )
        except Exception:  # noqa: BLE001 -- what every handler does: a log line ends nothing
            self.handleError(record)


def configure(level: str) -> None:
    """Send the records of all loggers at `level` and above to their place."""
    handler: logging.Handler
    if stderr_is_journal():
        handler = _Journal()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Lines())
    handler.addFilter(Redaction())
    logging.getLogger().handlers[:] = [Repeats(handler, clock.now)]
    set_level(level)
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """From now on say what is at `level` (as in `log.level`) and above: the one place for it."""
    logging.getLogger().setLevel(level.upper())


def settle(*, everything: bool = False) -> None:
    """Say what was held back as a repetition, where it is due; `everything`: nothing comes after.

    To be called from time to time, and at the end.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Repeats):
            handler.settle(everything=everything)


def fields(record: logging.LogRecord) -> dict[str, str]:
    """The fields of its kind, as the journal takes them."""
    said = ((name, getattr(record, name, None)) for name in kinds.FIELDS)
    return {name: _value(value) for name, value in said if value is not None}


def _value(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def stderr_is_journal() -> bool:
    """Whether stderr is the stream that systemd connected to the journal."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"
