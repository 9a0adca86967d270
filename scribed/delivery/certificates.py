"""When a certificate begins and ends to hold, and whether that is soon. Pure.

Read from its DER, as X.509 has it (RFC 5280, 4.1): Python tells it of the peer's only.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

SOON_S = 14 * 86_400.0
"""Two weeks are enough for a person to renew it."""
LAST_PART = 5
"""One that is renewed by a program is, well before the last fifth of its time."""
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_LONG = 0x80
_FIELDS_BEFORE = 3
"""Serial number, signature algorithm and issuer."""


class Validity(NamedTuple):
    """From when to when, in seconds of the Unix epoch."""

    begins: float
    ends: float

    def is_soon_over(self, wall: float) -> bool:
        """Whether it ends so soon after `wall` that somebody should look to it."""
        return self.ends - wall <= min(SOON_S, (self.ends - self.begins) / LAST_PART)


def validity(der: bytes) -> Validity:
    """The validity of the certificate `der`. Raises `ValueError` where it is none."""
    try:
        rest = _inside(_inside(der))
        if rest[0] == _VERSION:
            rest = _next(rest)[2]
        for _ in range(_FIELDS_BEFORE):
            rest = _next(rest)[2]
        tag, begins, rest = _next(_inside(rest))
        begin = _time(tag, begins)
        tag, ends, _ = _next(rest)
        return Validity(begin, _time(tag, ends))
    except IndexError as exc:
        raise ValueError("it ends in the middle") from exc


def complaint(name: str, holds: Validity, wall: float) -> str | None:
    """What is wrong at `wall` with how long the certificate called `name` holds; None: nothing."""
    if wall < holds.begins:
        return f"{name} does not hold before {day(holds.begins)}; renew it, or set the clock here"
    if wall >= holds.ends:
        return f"{name} has expired on {day(holds.ends)}; renew it"
    if holds.is_soon_over(wall):
        return f"{name} expires on {day(holds.ends)}; renew it"
    return None


def day(unix_s: float) -> str:
    """For people, as "2026-06-01 09:30 UTC"."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _inside(der: bytes) -> bytes:
    """What the sequence at the beginning of `der` holds."""
    tag, content, _ = _next(der)
    if tag != _SEQUENCE:
        raise ValueError("it is no certificate")
    return content


def _next(der: bytes) -> tuple[int, bytes, bytes]:
    """The tag and the content of the first element of `der`, and what follows it."""
    tag, length, at = der[0], der[1], 2
    if length >= _LONG:
        count = length - _LONG
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    end = at + length
    if end > len(der):
        raise ValueError("it ends in the middle")
    return tag, der[at:end], der[end:]


def _time(tag: int, digits: bytes) -> float:
    text = digits.decode("ascii")
    if tag == _UTC_TIME:  # years from 1950 to 2049, in two digits
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text + "+0000", "%Y%m%d%H%M%SZ%z").timestamp()
