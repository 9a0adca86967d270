"""The lines of the log as an operator sees them: each trouble once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from scribed import clock
from scribed.service.repeats import Repeats


class Told(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def telling(name: str, level: int = logging.INFO) -> Iterator[list[logging.LogRecord]]:
    """What the loggers below `name` tell meanwhile, at `level` and above."""
    logger, target = logging.getLogger(name), Told()
    handler = Repeats(target, clock.now)
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield target.records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()
