"""Numbers on the command line; each raises `ValueError` for what it does not take."""

from __future__ import annotations

from typing import get_args, get_type_hints

from scribed.config import Audio
from scribed.transcribe.mark import LONGEST_S

RATES = [rate for rate in get_args(get_type_hints(Audio)["rate"]) if rate]
"""What raw samples may have, and a device may be asked for."""
CHANNELS = range(1, 9)


def time(text: str) -> float:
    """`90.5`, `1:30.5` or `0:01:30.5`, in seconds."""
    *before, last = text.split(":")
    value = float(last)
    for n, part in enumerate(reversed(before), 1):
        value += int(part) * 60.0**n
    if len(before) > 2 or not 0 <= value <= LONGEST_S:
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def channel(text: str) -> int:
    """The number of a channel, from 0."""
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value


def factor(text: str) -> float:
    """A number from 0.1 to 1000."""
    if not 0.1 <= (value := float(text)) <= 1000:
        raise ValueError(text)
    return value
