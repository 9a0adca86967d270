"""Numbers on the command line; each raises `ValueError` for what it does not take."""

from __future__ import annotations

import math


def time(text: str) -> float:
    """`90.5`, `1:30.5` or `0:01:30.5`, in seconds."""
    *before, last = text.split(":")
    value = float(last)
    for n, part in enumerate(reversed(before), 1):
        value += int(part) * 60.0**n
    if len(before) > 2 or not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def factor(text: str) -> float:
    """A number from 0.1 to 1000."""
    if not 0.1 <= (value := float(text)) <= 1000:
        raise ValueError(text)
    return value
