"""The last line before the log: no secret passes it, whoever wrote the text.

Nothing here is needed as long as everything else is right. A library's exception may yet quote a
header or an address in its message, and a bug's traceback ends with it.
"""

from __future__ import annotations

import logging
import re
from collections import deque

from scribed.masking import MASK, spelled

SHORTEST = 6
"""A shorter one would be found in ordinary words."""
LATEST = 32
"""So many are remembered: of tokens there is one for each connection."""

_patterns: deque[re.Pattern[str]] = deque(maxlen=LATEST)


def hide(secret: str) -> None:
    """From now on `secret` is not told, in whatever spelling. For any thread."""
    if len(secret) >= SHORTEST and (pattern := spelled(secret)) not in _patterns:
        _patterns.append(pattern)


def redacted(text: str) -> str:
    """`text` with a mask for each secret."""
    for pattern in tuple(_patterns):
        text = pattern.sub(MASK, text)
    return text


class Redaction(logging.Filter):
    """Lets every record pass, without the secrets in its text, its fields and its exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in tuple(vars(record).items()):
            if name.startswith("SCRIBED_") and isinstance(value, str):
                setattr(record, name, redacted(value))
        text = record.getMessage()
        clean = redacted(text)
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            if (told := redacted(trace)) != trace:
                record.exc_info = None
                clean += "\n" + told
        if clean != text:
            record.msg, record.args = clean, ()
        return True
