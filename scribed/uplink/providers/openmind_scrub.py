"""What a peer says, made fit for a log: one short line without a key. Pure.

OpenMind's key stands in the URL, so servers, proxies and libraries repeat it, often in another
spelling.
"""

from __future__ import annotations

import re

from scribed.masking import MASK, spelled

MAX_LINE = 200
"""Characters that are told of what a peer says."""
_MAX_RAW = 4_000
_SECRETS = re.compile(
    r"""(?i)(?P<name>(?:api|xi-api|x-api)[_-]?key["']?\s?(?:=|:|%3d|\\u003d)\s?["']?|bearer\s)"""
    r"""[^&\s"'<>()\[\]{},;]+|om1_(?:live|test)_\w+"""
)
"""Keys of whomever, by what stands before them or by their look."""


class Scrub:
    """Makes `text` printable; the key is not in it, in any spelling that a URL or JSON has."""

    def __init__(self, key: str) -> None:
        self._key = spelled(key) if key else None

    def __call__(self, text: str) -> str:
        text = self._without_keys(text)[:_MAX_RAW]
        text = "".join(char if char.isprintable() else " " for char in text)
        return self._without_keys(" ".join(text.split()))[:MAX_LINE]

    def _without_keys(self, text: str) -> str:
        if self._key is not None:
            text = self._key.sub(MASK, text)
        return _SECRETS.sub(lambda found: (found["name"] or "") + MASK, text)
