"""The forms of `audio.device`: what each asks for; pure."""

from __future__ import annotations

import re

from msgspec import Struct

from scribed.errors import SourceError

_USB = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE | re.DOTALL)
_FORMS = "auto, an ALSA PCM name, card:ID, usb:VVVV:PPPP[:SERIAL], path:USB-PATH or name:TEXT"
_CARD_OF_PCM = re.compile(r"[^:]+:(?:.*\bCARD=)?([^,\s]+).*", re.DOTALL)
_DEVICE_OF_PCM = re.compile(r"[^:]+:[^,]*,\s*(?:DEV=)?(\d{1,4})\b.*", re.DOTALL)
_MONITOR = re.compile(r"[:='\"].*\.monitor\b", re.DOTALL)


class Auto(Struct, frozen=True):
    """The only hardware card that captures."""


class CardId(Struct, frozen=True):
    """The card with this ALSA id."""

    id: str


class UsbId(Struct, frozen=True):
    """A USB device by what it is; `serial` None: whichever."""

    vendor: str
    product: str
    serial: str | None = None


class UsbPath(Struct, frozen=True):
    """A USB device by where it is plugged in."""

    path: str


class Named(Struct, frozen=True):
    """A card whose name has this text in it, in any case."""

    text: str


class Pcm(Struct, frozen=True):
    """A PCM that libasound knows by this name."""

    name: str

    @property
    def card(self) -> str | None:
        """The card in the name, an id or a number: "Mic" of "plughw:CARD=Mic,DEV=0"."""
        if not self.name.split(":", 1)[0].endswith(("hw", "default", "snoop", "front", "iec958")):
            return None
        match = _CARD_OF_PCM.fullmatch(self.name)
        return match[1] if match else None

    @property
    def device(self) -> int:
        """The device in the name, 0 if there is none: 2 of "hw:CARD=PCH,DEV=2" and "hw:1,2"."""
        match = _DEVICE_OF_PCM.fullmatch(self.name)
        return int(match[1]) if match else 0

    @property
    def is_monitor(self) -> bool:
        """Whether it names what a sound server plays, as "pulse:SINK.monitor" does."""
        return bool(_MONITOR.search(self.name))


Wanted = Auto | CardId | UsbId | UsbPath | Named | Pcm


def parse(device: str) -> Wanted:
    """What `audio.device` asks for. Raises `SourceError` where it has none of the forms."""
    if device == "auto":
        return Auto()
    form, colon, rest = device.partition(":")
    rest = rest.strip()
    if not device.strip() or (colon and form in ("card", "path", "name", "usb") and not rest):
        raise SourceError(f'audio.device: "{device}" names nothing; write {_FORMS}')
    match form if colon else "":
        case "card":
            return _card(rest, device)
        case "usb":
            return _usb(device)
        case "path":
            return UsbPath(rest)
        case "name":
            return Named(rest)
        case _:
            return Pcm(device)


def _card(card: str, device: str) -> CardId:
    if card.isdecimal():
        raise SourceError(
            f'audio.device: "{device}" is a number, which changes with the order of plugging '
            "in; write the card's id: scribed devices lists them"
        )
    return CardId(card)


def _usb(device: str) -> UsbId:
    match = _USB.fullmatch(device.strip())
    if not match:
        raise SourceError(
            f'audio.device: "{device}" is not usb:VVVV:PPPP[:SERIAL], vendor and product in four '
            'hexadecimal digits each, as in "usb:2886:0018"; scribed devices lists them'
        )
    return UsbId(match[1].lower(), match[2].lower(), match[3])
