"""Which capture device `audio.device` means, and what to say where it means none; pure."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

from msgspec import Struct

from scribed.capture.sources.cards import Card
from scribed.capture.sources.wanted import (
    Auto,
    CardId,
    Named,
    Pcm,
    UsbId,
    UsbPath,
    Wanted,
    parse,
)
from scribed.errors import SourceError

_CARD_HINT = re.compile(r"hw:CARD=([^,]+),DEV=(\d+)")
_NOT_MICROPHONES = frozenset(
    ("null", "lavrate", "samplerate", "speexrate", "jack", "oss", "speex", "upmix", "vdownmix")
)
"""PCMs that libasound's plugins define for capture, and that are no microphone by themselves."""
UNKNOWN_HOLDER = "another program (sudo scribed devices says which)"
"""A hardened unit sees neither /proc/asound nor other users' processes."""


class Chosen(Struct, frozen=True):
    """The PCM to open, and its card where it is one's."""

    pcm: str
    card: Card | None = None
    device: int = 0
    is_resolved: bool = False  #: found by what it is; else it is the PCM that was named
    is_numbered: bool = False  #: it was named by its card's number, which may be another's tomorrow


def complete(cards: Sequence[Card], hints: Sequence[str]) -> list[Card]:
    """The kernel's cards, and those that only libasound's `hints` for capture know.

    `hw:CARD=…,DEV=…` stands there for hardware only.
    """
    known = {card.id for card in cards}
    hinted: dict[str, set[int]] = {}
    for match in filter(None, map(_CARD_HINT.fullmatch, hints)):
        hinted.setdefault(match[1], set()).add(int(match[2]))
    rest = [
        Card(each, captures=tuple(sorted(hinted[each]))) for each in hinted if each not in known
    ]
    return [*cards, *rest]


def others(hints: Sequence[str]) -> list[str]:
    """The PCMs of asound.conf among libasound's `hints`: what is not a card's."""
    return [name for name in hints if ":" not in name and name not in _NOT_MICROPHONES]


def choose(device: str, cards: Sequence[Card], hints: Sequence[str]) -> Chosen:
    """What `audio.device` means among `cards` (see `complete`), at this moment.

    Raises `SourceError` where it is nothing that captures, or more than one.
    """
    wanted = parse(device)
    if isinstance(wanted, Pcm):
        return _named_pcm(wanted, cards)
    found = matching(wanted, cards)
    if len(found) > 1:
        raise SourceError(_ambiguous(device, found, cards))
    if not found:
        raise SourceError(_absent(device, wanted, cards, hints))
    return Chosen(pcm(found[0]), found[0], found[0].captures[0], is_resolved=True)


def matching(wanted: Wanted, cards: Sequence[Card]) -> list[Card]:
    """The cards that capture and are meant by `wanted`."""
    return [card for card in cards if card.captures and _fits(wanted, card)]


def pcm(card: Card, device: int | None = None) -> str:
    """The name of a card's capture device for libasound, by default of its first.

    By the card's id, which outlives its number.
    """
    number = card.captures[0] if device is None else device
    return f"hw:CARD={card.id}" + (f",DEV={number}" if number else "")


def stable_name(card: Card, cards: Sequence[Card]) -> str:
    """What to write into `audio.device` for `card`, one that captures: the first of its `names`.

    What it is survives reboots, other ports and a spare of the same model; then its serial number,
    then where it is plugged in; a card's id (`Device`, `Device_1`) goes by the order of plugging in
    where two are equal.
    """
    return names(card, cards)[0]


def names(card: Card, cards: Sequence[Card]) -> list[str]:
    """Every form of `audio.device` that means `card` alone among `cards`, the best first."""
    found = []
    if usb := card.usb:
        model = f"usb:{usb.vendor}:{usb.product}"
        found = [model, *([f"{model}:{usb.serial}"] if _is_writable(usb.serial) else [])]
        found += [f"path:{each}" for each in (usb.path, usb.port) if each]
    alone = [each for each in found if matching(parse(each), cards) == [card]]
    return [*alone, f"card:{card.id}"]


def refusal(name: str, why: str, there_are: str, held_by: str = "") -> str:
    """The line for a device that could not be opened; libasound's `why` is strerror's text."""
    if why == os.strerror(errno.EBUSY):
        return (
            f'audio.device: "{name}" is in use by {held_by or UNKNOWN_HOLDER}; end that, '
            "or share the microphone through dsnoop or a sound server"
        )
    if why in (os.strerror(errno.EACCES), os.strerror(errno.EPERM)):
        return f'audio.device: "{name}" may not be opened; add the user to the group audio'
    if why in (os.strerror(errno.ENOENT), os.strerror(errno.ENODEV)):
        return f'audio.device: no capture device "{name}"; {there_are}'
    return f'audio.device: "{name}" cannot be opened: {why}; {there_are}'


def no_channel(name: str, channel: int, channels: int) -> str:
    """The line for an `audio.channel` that `name` has not."""
    last = f"a number up to {channels - 1}" if channels > 1 else "0"
    return f'audio.channel: "{name}" has no channel {channel}; write {last}, or "mix"'


def off_pace(name: str, rate: int, gives: int) -> str:
    """The line for a device that does not keep the rate that it says it has."""
    return (
        f'audio.rate: "{name}" says {rate} Hz and gives {gives} samples a second, so that speech '
        "is warped; write another of its rates (scribed devices lists them), or use another "
        "microphone"
    )


def there_are(cards: Sequence[Card], hints: Sequence[str]) -> str:
    """What may be written into `audio.device`: the cards that capture, then PCMs of asound.conf."""
    found = [stable_name(card, cards) for card in cards if card.captures]
    return f"there are: {', '.join([*found, *others(hints)]) or 'none'}"


def _fits(wanted: Wanted, card: Card) -> bool:
    usb = card.usb
    match wanted:
        case Auto():
            return not card.is_virtual
        case CardId(id):
            return card.id == id
        case UsbId(vendor, product, serial):
            return (
                usb is not None
                and (usb.vendor, usb.product) == (vendor, product)
                and serial in (None, usb.serial)
            )
        case UsbPath(path):
            return usb is not None and path in (usb.path, usb.port)
        case Named(text):
            return text.casefold() in f"{card.name}\n{card.id}".casefold()
        case Pcm():
            return wanted.card in (card.id, str(card.number))


def _named_pcm(wanted: Pcm, cards: Sequence[Card]) -> Chosen:
    """A PCM as it was named; a card in its name must be one that captures."""
    if wanted.is_monitor:
        raise SourceError(
            f'audio.device: "{wanted.name}" is a monitor: it gives back what the machine plays, '
            "and the robot would hear itself; name a microphone (scribed devices lists them)"
        )
    card = next((each for each in cards if _fits(wanted, each)), None) if wanted.card else None
    if card and not card.captures:
        raise SourceError(_only_plays(wanted.name, [card]))
    numbered = (wanted.card or "").isdecimal()
    return Chosen(wanted.name, card, wanted.device, is_numbered=numbered)


def _ambiguous(device: str, found: Sequence[Card], cards: Sequence[Card]) -> str:
    candidates = ", ".join(_described(card, cards) for card in found)
    means = (
        "takes the only capture card, and there are several"
        if device == "auto"
        else ("is more than one microphone")
    )
    return f'audio.device: "{device}" {means}; write one of: {candidates}'


def _described(card: Card, cards: Sequence[Card]) -> str:
    name = stable_name(card, cards)
    return f"{name} ({card.name})" if card.name else name


def _absent(device: str, wanted: Wanted, cards: Sequence[Card], hints: Sequence[str]) -> str:
    if isinstance(wanted, Auto):
        return (
            'audio.device: no capture card found for "auto"; plug in a microphone, '
            f"or write the name of an ALSA device; {there_are(cards, hints)}"
        )
    if deaf := [card for card in cards if _fits(wanted, card)]:
        return _only_plays(device, deaf)
    return f'audio.device: no microphone "{device}" is plugged in; {there_are(cards, hints)}'


def _only_plays(device: str, cards: Sequence[Card]) -> str:
    those = ", ".join(card.name or card.id for card in cards)
    return (
        f'audio.device: "{device}" is no microphone: {those} only plays, it has no capture device; '
        "scribed devices lists those that capture"
    )


def _is_writable(serial: str) -> bool:
    """Whether a serial number can stand in a configuration; some devices have only rubbish."""
    return bool(serial) and serial.isprintable() and serial == serial.strip()
