"""Which capture device, at which rate and channels, and what to say where it cannot be; pure."""

from __future__ import annotations

import errno
import os
import re

from scribed.errors import SourceError
from scribed.model import RATE

Rates = int | tuple[int, int] | list[int]
"""What a device takes: one rate, all from … to …, or some."""

_CARD = re.compile(r"hw:CARD=([^,]+),DEV=(\d+)")
_NOT_MICROPHONES = frozenset(
    ("null", "lavrate", "samplerate", "speexrate", "jack", "oss", "speex", "upmix", "vdownmix")
)
"""PCMs that libasound's plugins define for capture, and that are no microphone by themselves."""


def cards(names: list[str]) -> list[str]:
    """The first capture device of each card, by the card's id, which outlives its number.

    `names` are libasound's hints for capture; `hw:CARD=…,DEV=…` stands there for hardware only.
    """
    first: dict[str, int] = {}
    for match in filter(None, map(_CARD.fullmatch, names)):
        card, device = match[1], int(match[2])
        first[card] = min(device, first.get(card, device))
    return [f"hw:CARD={card}" + (f",DEV={n}" if n else "") for card, n in first.items()]


def writable(names: list[str]) -> list[str]:
    """What of `names` may be written into `audio.device`: the cards, then those of asound.conf."""
    others = [name for name in names if ":" not in name and name not in _NOT_MICROPHONES]
    return ["plug" + card for card in cards(names)] + others


def only_card(names: list[str]) -> str:
    """The device that "auto" means; raises `SourceError` where it is not exactly one."""
    found = cards(names)
    if not found:
        raise SourceError(
            'audio.device: no capture card found for "auto"; plug in a microphone, '
            f"or write the name of an ALSA device; {_there_are(names)}"
        )
    if len(found) > 1:
        raise SourceError(
            'audio.device: "auto" takes the only capture card, and there are several; '
            f"write one of: {', '.join('plug' + card for card in found)}"
        )
    return found[0]


def best_rate(name: str, asked: int, given: int, rates: Rates) -> int:
    """The rate to open `name` at, which gave `given` and not what was asked for (0: any).

    The nearest, but not one that loses half of the band while a higher one is there.
    """
    if asked:
        raise SourceError(
            f'audio.rate: "{name}" does not take {asked} Hz, it gave {given}; '
            f"it has {_list(rates)}: write one of these, or 0 to resample"
        )
    if isinstance(rates, list) and rates:
        return min([each for each in rates if each >= RATE] or [max(rates)])
    return given


def best_channels(name: str, asked: int, given: int, choices: list[int], least: int) -> int:
    """The channels to open `name` with, of which `least` are needed; likewise."""
    if asked:
        raise SourceError(
            f'audio.channels: "{name}" does not take {asked}, it gave {given}; '
            f"it has {_list(choices)}: write one of these, or 0"
        )
    enough = [each for each in choices if each >= least]
    if not enough:
        raise SourceError(no_channel(name, least - 1, max(choices, default=given)))
    return min(enough)


def no_channel(name: str, channel: int, channels: int) -> str:
    """The line for an `audio.channel` that `name` has not."""
    last = f"a number up to {channels - 1}" if channels > 1 else "0"
    return f'audio.channel: "{name}" has no channel {channel}; write {last}, or "mix"'


def refusal(name: str, why: str, names: list[str]) -> str:
    """The line for a device that could not be opened; libasound's `why` is strerror's text."""
    if why == os.strerror(errno.EBUSY):
        return (
            f'audio.device: "{name}" is in use by another program; end that, '
            "or share the microphone through dsnoop or a sound server"
        )
    if why in (os.strerror(errno.EACCES), os.strerror(errno.EPERM)):
        return f'audio.device: "{name}" may not be opened; add the user to the group audio'
    if why in (os.strerror(errno.ENOENT), os.strerror(errno.ENODEV)):
        return f'audio.device: no capture device "{name}"; {_there_are(names)}'
    return f'audio.device: "{name}" cannot be opened: {why}; {_there_are(names)}'


def _there_are(names: list[str]) -> str:
    return f"there are: {', '.join(writable(names)) or 'none'}"


def _list(has: Rates) -> str:
    if isinstance(has, tuple):
        return f"{has[0]} to {has[1]}"
    return ", ".join(map(str, has)) if isinstance(has, list) else str(has)
