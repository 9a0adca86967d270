"""The sound cards that the kernel has, read from /sys and /proc/asound under a root directory.

Either will do: a hardened unit has no /proc/asound, a container may lack /sys/class/sound. A card's
number changes with the order of plugging in; nothing here identifies a card by it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

_CARD_LINE = re.compile(r"\s*(\d+) \[(\S+)\s*\]: .*? - (.*)")
_PCM_LINE = re.compile(r"(\d+)-(\d+): .*")
_CAPTURE_NODE = re.compile(r"pcmC\d+D(\d+)c")
_LONG_NAME_PATH = re.compile(r" at (usb-\S+?), ")
_VIRTUAL = ("snd_aloop", "snd_dummy")
"""Drivers that hear nothing: what is played into a loopback card comes back out of it."""
_MAX_BYTES = 65_536
"""More than any of these files has."""


class Usb(Struct, frozen=True):
    """What tells one USB device from another; `serial` and `path` are "" where it has none."""

    vendor: str  #: four hexadecimal digits in lower case, as is `product`
    product: str
    serial: str = ""
    path: str = ""  #: "usb-CONTROLLER-PORTS", as in the card's long name: where it is plugged in
    port: str = ""  #: "BUS-PORTS", as the kernel's log has it; buses are numbered as they are found


class Card(Struct, frozen=True):
    """A sound card as it is now. `number` is None where only libasound told of it."""

    id: str
    number: int | None = None
    name: str = ""
    usb: Usb | None = None
    captures: tuple[int, ...] = ()  #: its capture devices; none: it only plays
    is_virtual: bool = False


def read_cards(root: Path, names: Mapping[int, str] | None = None) -> list[Card]:
    """The cards under `root` ("/"), by number. `names` has those that someone else knows."""
    told = {number: card for number, *card in _proc_cards(root)}
    captures = _proc_captures(root)
    found = []
    for number in sorted({*told, *_sys_numbers(root)}):
        node = root / "sys/class/sound" / f"card{number}"
        card_id = _text(node / "id") or (told[number][0] if number in told else "")
        if not card_id:
            continue  # it has just gone
        usb = _sys_usb(node) or _proc_usb(root, number, told.get(number))
        name = told[number][1] if number in told else (names or {}).get(number, "")
        devices = {*_sys_captures(node), *captures.get(number, ())}
        found.append(
            Card(
                id=card_id,
                number=number,
                name=name or _product(node),
                usb=usb,
                captures=tuple(sorted(devices)),
                is_virtual=_is_virtual(node) or card_id in ("Loopback", "Dummy"),
            )
        )
    return found


def _proc_cards(root: Path) -> Iterator[tuple[int, str, str, str]]:
    """Number, id, name and long name of each card in /proc/asound/cards."""
    lines = _text(root / "proc/asound/cards").splitlines()
    for line, below in itertools.zip_longest(lines, lines[1:], fillvalue=""):
        if match := _CARD_LINE.fullmatch(line):
            yield int(match[1]), match[2], match[3].strip(), below.strip()


def _proc_captures(root: Path) -> dict[int, list[int]]:
    """The capture devices of each card number in /proc/asound/pcm."""
    found: dict[int, list[int]] = {}
    for line in _text(root / "proc/asound/pcm").splitlines():
        match = _PCM_LINE.match(line)
        if match and any(part.strip().startswith("capture ") for part in line.split(" : ")):
            found.setdefault(int(match[1]), []).append(int(match[2]))
    return found


def _proc_usb(root: Path, number: int, told: list[str] | None) -> Usb | None:
    vendor, colon, product = _text(root / f"proc/asound/card{number}/usbid").partition(":")
    if not colon:
        return None
    at = _LONG_NAME_PATH.search(told[2]) if told else None
    return Usb(vendor.lower(), product.lower(), path=at[1] if at else "")


def _sys_numbers(root: Path) -> list[int]:
    return [
        int(name.removeprefix("card"))
        for name in _names(root / "sys/class/sound")
        if re.fullmatch(r"card\d+", name)
    ]


def _sys_captures(node: Path) -> list[int]:
    return [int(match[1]) for match in map(_CAPTURE_NODE.fullmatch, _names(node)) if match]


def _sys_usb(node: Path) -> Usb | None:
    device = _usb_device(node)
    if device is None:
        return None
    bus = next((each for each in device.parents if re.fullmatch(r"usb\d+", each.name)), None)
    ports = _text(device / "devpath") or device.name.partition("-")[2]
    return Usb(
        _text(device / "idVendor").lower(),
        _text(device / "idProduct").lower(),
        _text(device / "serial"),
        f"usb-{bus.parent.name}-{ports}" if bus else "",
        device.name,
    )


def _product(node: Path) -> str:
    device = _usb_device(node)
    return _text(device / "product") if device else ""


def _usb_device(node: Path) -> Path | None:
    """The directory of the USB device that the card belongs to."""
    try:
        here = node.resolve(strict=True)
        return next((each for each in here.parents if (each / "idVendor").is_file()), None)
    except OSError:
        return None


def _is_virtual(node: Path) -> bool:
    try:
        return any(part.startswith(_VIRTUAL) for part in node.resolve(strict=True).parts)
    except OSError:
        return False


def _names(directory: Path) -> list[str]:
    try:
        return sorted(each.name for each in directory.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    """The file's text without surrounding space; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").strip("\0\n\t ")
    except OSError:
        return ""
