"""Secrets in what others say: found in every spelling that an address or JSON has. Pure."""

from __future__ import annotations

import re

MASK = "***"


def spelled(secret: str) -> re.Pattern[str]:
    """Finds `secret`, however each of its characters is escaped."""
    return re.compile("".join(map(_spellings, secret)))


def masked(text: str, *secrets: str) -> str:
    """`text` with a mask for each of the `secrets`; an empty one is none."""
    for secret in filter(None, secrets):
        text = spelled(secret).sub(MASK, text)
    return text


def _spellings(char: str) -> str:
    """A pattern for one character: plain, escaped in JSON, or percent-encoded, also twice."""
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in char.encode("utf-8", "surrogatepass"))
    return rf"(?:\\?{re.escape(char)}|{encoded}|\\u(?i:{ord(char):04x}))"
