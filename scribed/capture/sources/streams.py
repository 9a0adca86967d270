"""What a USB microphone has natively, from /proc/asound/cardN/stream0; pure.

The kernel lists it also while another program has the device, which libasound could not open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

USUAL_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192_000)

_RANGE = re.compile(r"(\d+) - (\d+)")


@dataclass(frozen=True, slots=True)
class Native:
    """Everything that a device has; not each rate goes with each number of channels."""

    rates: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    formats: tuple[str, ...] = ()


def usual_rates(lowest: int, highest: int) -> list[int]:
    """The rates people know of a device that takes all in between."""
    return [rate for rate in USUAL_RATES if lowest <= rate <= highest] or [lowest]


def parse_stream(text: str) -> Native | None:
    """The capture side of a `stream0`; None: it has none."""
    lines = iter(text.splitlines())
    if not any(line.strip() == "Capture:" for line in lines):
        return None
    rates: set[int] = set()
    channels: set[int] = set()
    formats: dict[str, None] = {}
    for line in lines:
        if line and not line[0].isspace():
            break  # the next section
        key, _, value = line.strip().partition(": ")
        if key == "Rates":
            rates |= _rates(value)
        elif key == "Channels" and value.isdecimal():
            channels.add(int(value))
        elif key == "Format":
            formats[value.strip()] = None
    return Native(tuple(sorted(rates)), tuple(sorted(channels)), tuple(formats))


def _rates(value: str) -> set[int]:
    if between := _RANGE.match(value):
        return set(usual_rates(int(between[1]), int(between[2])))
    return {int(word) for word in value.split(", ") if word.strip().isdecimal()}
