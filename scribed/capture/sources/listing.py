"""What `scribed devices` tells: the microphones, what to write for each, what each has."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scribed.capture.sources import devices
from scribed.capture.sources.cards import Card, Usb
from scribed.capture.sources.owners import Owner, is_open, owners
from scribed.capture.sources.shapes import Has
from scribed.capture.sources.streams import Native, parse_stream, usual_rates
from scribed.errors import SourceError


@dataclass(frozen=True, slots=True)
class Listed:
    """The first capture device of a card, as it is now."""

    name: str  #: what to write into `audio.device`
    pcm: str  #: libasound's name
    description: str
    card: str  #: the card's id
    usb: Usb | None
    also: tuple[str, ...]  #: other forms of `audio.device` that mean it alone
    more: tuple[str, ...]  #: libasound's names of the card's further capture devices
    native: Native | None  #: None: not known, since it cannot be opened
    in_use: bool | None  #: None: not known
    in_use_by: tuple[Owner, ...]  #: as far as /proc shows other users' processes
    problem: str = ""  #: why it cannot be opened, other than that it is in use

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is None."""
        usb, native = self.usb, self.native
        return {
            "name": self.name,
            "pcm": self.pcm,
            "description": self.description,
            "card": self.card,
            "usb": usb
            and {
                "vendor": usb.vendor,
                "product": usb.product,
                "serial": usb.serial or None,
                "path": usb.path or None,
            },
            "also": list(self.also),
            "more": list(self.more),
            "rates": list(native.rates) if native else None,
            "channels": list(native.channels) if native else None,
            "formats": list(native.formats) if native else None,
            "in_use": self.in_use,
            "in_use_by": [
                {"pid": each.pid, "name": each.name or None, "unit": each.unit or None}
                for each in self.in_use_by
            ],
            "problem": self.problem or None,
        }


def survey(root: Path, cards: Sequence[Card], native: Callable[[str], Has]) -> list[Listed]:
    """Every one of `cards` that captures, hardware first.

    `native` opens a PCM for a moment and says what it has, or raises `SourceError` with the bare
    reason. It does not wait for a device that is in use.
    """
    ordered = sorted(cards, key=lambda card: card.is_virtual)
    return [_listed(root, card, cards, native) for card in ordered if card.captures]


def _listed(root: Path, card: Card, cards: Sequence[Card], native: Callable[[str], Has]) -> Listed:
    pcm, name = devices.pcm(card), devices.stable_name(card, cards)
    has, problem = _ask(pcm, native)
    busy = problem == os.strerror(errno.EBUSY)
    number, device = card.number, card.captures[0]
    told = None if number is None else is_open(root, number, device)
    if told is None and not problem:
        told = False
    return Listed(
        name=name,
        pcm=pcm,
        description=_description(card),
        card=card.id,
        usb=card.usb,
        also=tuple(each for each in devices.names(card, cards) if each != name),
        more=tuple(devices.pcm(card, each) for each in card.captures[1:]),
        native=has or _stream(root, card),
        in_use=busy or told,
        in_use_by=() if number is None else tuple(owners(root, number, device)),
        problem="" if busy else problem,
    )


def _ask(pcm: str, native: Callable[[str], Has]) -> tuple[Native | None, str]:
    """What the device has, and else why that is not known."""
    try:
        has = native(pcm)
    except SourceError as exc:
        return None, str(exc)
    rates = has.rates
    if isinstance(rates, tuple):
        rates = usual_rates(*rates)
    elif isinstance(rates, int):
        rates = [rates]
    return Native(tuple(rates), tuple(has.channels or ()), tuple(has.formats)), ""


def _stream(root: Path, card: Card) -> Native | None:
    """What the kernel says that a USB device has."""
    if card.number is None:
        return None
    try:
        stream = root / f"proc/asound/card{card.number}/stream0"
        return parse_stream(stream.read_text("utf-8", "replace"))
    except OSError:
        return None


def _description(card: Card) -> str:
    words = card.name or card.id
    return f"{words} (a loopback: it hears what is played)" if card.is_virtual else words
