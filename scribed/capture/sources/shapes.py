"""At which rate, channels and sample format a device is opened; pure.

Rates, channels and formats depend on each other (a USB device offers some combinations), and
libasound tells of each alone: so one combination after the other is tried, the best first, and what
the device then says that it gives is what counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from scribed.capture.sources.devices import no_channel
from scribed.capture.sources.samples import S16, WIDTHS
from scribed.errors import SourceError
from scribed.model import RATE

Rates = int | tuple[int, int] | list[int]
"""What a device takes: one rate, all from … to …, or some."""
CHANNELS_MAX = 8
"""So many are tried where a device does not tell how many it has."""
TRIES = 12
"""Combinations that are tried at most, a few ms each; a device has hardly more than three."""


class Shape(NamedTuple):
    """How sound comes, interleaved."""

    rate: int
    channels: int
    format: str  #: ALSA's name of it


class Has(Struct, frozen=True):
    """What libasound says of a device, each alone."""

    rates: Rates
    channels: list[int] | None  #: None: it does not tell, they are found by trying
    formats: list[str]


class Claim(Struct, frozen=True):
    """What the configuration says of a device; 0: whatever suits best."""

    rate: int = 0
    channels: int = 0
    channel: str | int = "mix"

    @property
    def least_channels(self) -> int:
        """So many are needed for the one to be heard."""
        return self.channel + 1 if isinstance(self.channel, int) else 1

    @property
    def ideal(self) -> Shape:
        """What is asked for first: a device that has it needs no more questions."""
        return Shape(self.rate or RATE, self.channels or self.least_channels, S16)


def wishes(name: str, claim: Claim, has: Has, gave: Shape) -> list[Shape]:
    """The combinations to try, the best first; `gave` is what came of asking for the ideal.

    The rate counts most: 16 kHz, else the nearest, but not one that loses half of the band while a
    higher one is there. Then few channels, then the format. None at all: it has no format that can
    be heard. Raises `SourceError` where a claim does not hold.
    """
    rates = _rates(name, claim, has.rates)
    channels = _channels(name, claim, has.channels, gave.channels)
    formats = [each for each in WIDTHS if each in has.formats]
    return [Shape(*each) for each in itertools.product(rates, channels, formats)]


class Opened(Protocol):
    """A device that is open, and what it gives."""

    shape: Shape

    def has(self) -> Has: ...
    def close(self) -> None: ...


D = TypeVar("D", bound=Opened)


def negotiate(name: str, claim: Claim, open: Callable[[str, Shape], D], *, may_plug: bool) -> D:
    """The device `name`, opened as `claim` says or as suits best of what it has.

    `may_plug`: a format that cannot be heard is left to libasound's plug. Raises `SourceError`
    where a claim does not hold, and what `open` raises.
    """
    if claim.channels and claim.channels < claim.least_channels:
        raise SourceError(no_channel(name, claim.least_channels - 1, claim.channels))
    device = open(name, claim.ideal)
    if device.shape == claim.ideal:
        return device
    try:
        has = device.has()
        for target, wish in _targets(name, claim, has, device.shape, may_plug=may_plug):
            device.close()  # also where it has this shape: it was asked for another's period
            device = open(target, wish)
            if device.shape == wish:
                return device
    except SourceError:
        device.close()
        raise
    device.close()
    if device.shape.channels < claim.least_channels:
        raise SourceError(no_channel(name, claim.least_channels - 1, device.shape.channels))
    raise SourceError(disagreement(name, has, device.shape))


def _targets(
    name: str, claim: Claim, has: Has, gave: Shape, *, may_plug: bool
) -> list[tuple[str, Shape]]:
    """What to open, and how, one after the other."""
    if wanted := wishes(name, claim, has, gave):
        return [(name, wish) for wish in wanted[:TRIES]]
    if not may_plug:
        raise SourceError(unheard(name, has.formats))
    return [(f"plug{name}", wishes(name, claim, replace(has, formats=[S16]), gave)[0])]


def unheard(name: str, formats: list[str]) -> str:
    """The line for a device with sample formats that scribed does not take."""
    advice = f'write "plug{name}"' if name.startswith("hw:") else "put a plug in front of it"
    return (
        f'audio.device: "{name}" gives {", ".join(formats) or "no format"}, scribed takes '
        f"{', '.join(WIDTHS)}; {advice}"
    )


def disagreement(name: str, has: Has, gave: Shape) -> str:
    """The line for a device of which no combination of what it says could be had."""
    return (
        f'audio.device: "{name}" says that it has {list_of(has.rates)} Hz with '
        f"{list_of(has.channels or gave.channels)} channels as {', '.join(has.formats)}, and gave "
        f"{gave.rate} Hz with {gave.channels} as {gave.format}; write audio.rate and "
        "audio.channels as it gives them, or put a plug in front of it"
    )


def list_of(has: Rates) -> str:
    """`has` in words."""
    if isinstance(has, tuple):
        return f"{has[0]} to {has[1]}"
    return ", ".join(map(str, has)) if isinstance(has, list) else str(has)


def _rates(name: str, claim: Claim, has: Rates) -> list[int]:
    if isinstance(has, tuple):
        lowest, highest = has
        wanted = claim.rate or RATE
        choices = [min(max(wanted, lowest), highest)]
    else:
        choices = has if isinstance(has, list) else [has]
    if not claim.rate:
        return sorted(choices, key=lambda rate: (rate < RATE, abs(rate - RATE)))
    if claim.rate not in choices:
        raise SourceError(
            f'audio.rate: "{name}" does not take {claim.rate} Hz; '
            f"it has {list_of(has)}: write one of these, or 0 to resample"
        )
    return [claim.rate]


def _channels(name: str, claim: Claim, has: list[int] | None, gave: int) -> list[int]:
    least = claim.least_channels
    if claim.channels and claim.channels not in (has or [gave]):
        there_are = list_of(has) if has else f"{gave} and perhaps others"
        raise SourceError(
            f'audio.channels: "{name}" does not take {claim.channels}; '
            f"it has {there_are}: write one of these, or 0"
        )
    if claim.channels:
        return [claim.channels]
    enough = [each for each in _choices(has, gave) if each >= least]
    if not enough:
        raise SourceError(no_channel(name, least - 1, max(has or [gave])))
    return enough


def _choices(has: list[int] | None, gave: int) -> list[int]:
    """As few as possible; where nobody knows, as many as came, then what may be there."""
    return sorted(has) if has else list(dict.fromkeys([gave, *range(1, CHANNELS_MAX + 1)]))
