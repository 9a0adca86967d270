"""What /sys and /proc/asound look like on machines with sound cards, under a directory of a test.

Put together as the kernel (6.1 to 6.8) writes it: the lines of /proc/asound/cards, pcm and stream0,
and the directories of sysfs with their links.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

PI_USB = "platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0"
JETSON_USB = "platform/bus@0/3610000.usb"


@dataclass
class UsbParts:
    """A USB device: where it is plugged in, and what it says of itself."""

    controller: str
    ports: str  # "1.2"
    vendor: str
    product: str
    name: str
    serial: str | None = None
    bus: int = 1

    @property
    def directory(self) -> str:
        """Below /sys/devices."""
        chain = self.ports.split(".")
        hubs = [f"{self.bus}-{'.'.join(chain[:n])}" for n in range(1, len(chain) + 1)]
        return "/".join([self.controller, f"usb{self.bus}", *hubs])


@dataclass
class Tree:
    """A root directory, filled by `card()`."""

    root: Path
    _numbers: dict[str, int] = field(default_factory=dict)

    def card(
        self,
        id: str,
        name: str,
        *,
        captures: tuple[int, ...] = (),
        plays: tuple[int, ...] = (),
        at: str = "platform/soc/sound",
        usb: UsbParts | None = None,
        number: int | None = None,
        stream: str = "",
    ) -> int:
        """One more card; its number."""
        number = max(self._numbers.values(), default=-1) + 1 if number is None else number
        self._numbers[id] = number
        directory = self.root / "sys/devices" / (usb.directory if usb else at)
        if usb:
            self._describe_usb(directory, usb)
            directory /= f"{directory.name}:1.0"
        node = directory / "sound" / f"card{number}"
        _write(node / "id", f"{id}\n")
        _write(node / "number", f"{number}\n")
        for letter, devices in (("c", captures), ("p", plays)):
            for device in devices:
                (node / f"pcmC{number}D{device}{letter}").mkdir()
        links = self.root / "sys/class/sound"
        links.mkdir(parents=True, exist_ok=True)
        (links / f"card{number}").symlink_to(os.path.relpath(node, links))
        self._proc(number, id, name, captures, plays, usb, stream)
        return number

    def hold(self, id: str, pid: int, *, device: int = 0, comm: str = "", unit: str = "") -> None:
        """A process has the capture device open."""
        lines = f"state: RUNNING\nowner_pid   : {pid}\ntrigger_time: 1.2\nhw_ptr      : 4800\n"
        _write(self._substream(self._numbers[id], device) / "status", lines)
        if comm:
            _write(self.root / f"proc/{pid}/comm", f"{comm}\n")
        if unit:
            _write(self.root / f"proc/{pid}/cgroup", f"0::/system.slice/{unit}\n")

    def without_proc(self) -> None:
        """As a unit with ProcSubset=pid sees it."""
        shutil.rmtree(self.root / "proc")

    def without_sys(self) -> None:
        """As in a container without /sys."""
        shutil.rmtree(self.root / "sys")

    def _describe_usb(self, directory: Path, usb: UsbParts) -> None:
        facts = {"idVendor": usb.vendor, "idProduct": usb.product, "product": usb.name}
        facts |= {"devpath": usb.ports, "busnum": str(usb.bus)}
        if usb.serial is not None:
            facts["serial"] = usb.serial
        for key, value in facts.items():
            _write(directory / key, f"{value}\n")
        hub = self.root / "sys/devices" / usb.controller / f"usb{usb.bus}"
        _write(hub / "idVendor", "1d6b\n")
        _write(hub / "idProduct", "0002\n")

    def _proc(
        self,
        number: int,
        id: str,
        name: str,
        captures: tuple[int, ...],
        plays: tuple[int, ...],
        usb: UsbParts | None,
        stream: str,
    ) -> None:
        asound = self.root / "proc/asound"
        driver, longname = ("USB-Audio", name) if usb else (id, name)
        if usb:
            controller = usb.controller.rsplit("/", 1)[-1]
            longname = f"{name} at usb-{controller}-{usb.ports}, high speed"
            _write(asound / f"card{number}/usbid", f"{usb.vendor}:{usb.product}\n")
        with _appending(asound / "cards") as cards:
            cards.write(f"{number:2d} [{id:<15}]: {driver} - {name}\n{'':22}{longname}\n")
        with _appending(asound / "pcm") as pcm:
            for device in sorted({*captures, *plays}):
                sides = " : playback 1" * (device in plays) + " : capture 1" * (device in captures)
                pcm.write(f"{number:02d}-{device:02d}: {name} : {name}{sides}\n")
        for device in captures:
            _write(self._substream(number, device) / "status", "closed\n")
        if stream:
            _write(asound / f"card{number}/stream0", stream)

    def _substream(self, number: int, device: int) -> Path:
        return self.root / f"proc/asound/card{number}/pcm{device}c/sub0"


def pi(root: Path) -> Tree:
    """A Raspberry Pi 4: its own two cards only play; a cheap USB microphone without a serial."""
    tree = Tree(root)
    tree.card("Headphones", "bcm2835 Headphones", plays=(0,), at="platform/soc/fe00b840.mailbox")
    tree.card("vc4hdmi0", "vc4-hdmi-0", plays=(0,), at="platform/soc/fef00700.hdmi")
    usb = UsbParts(PI_USB, "1.3", "0d8c", "013c", "USB PnP Sound Device")
    tree.card("Device", "USB PnP Sound Device", captures=(0,), plays=(0,), usb=usb)
    return tree


def jetson(root: Path) -> Tree:
    """A Jetson Orin Nano: HDMI plays, the audio engine has 20 channels of both, a USB webcam."""
    tree = Tree(root)
    hda = "platform/bus@0/3510000.hda"
    tree.card("HDA", "NVIDIA Jetson Orin Nano HDA", plays=(3, 7, 8, 9), at=hda)
    engine = tuple(range(20))
    ape = "platform/sound"
    tree.card("APE", "NVIDIA Jetson Orin Nano APE", captures=engine, plays=engine, at=ape)
    usb = UsbParts(JETSON_USB, "2.1", "046d", "0825", "HD Webcam C270", serial="3F0A5C20")
    tree.card("C270", "HD Webcam C270", captures=(0,), usb=usb)
    return tree


def respeaker(root: Path) -> Tree:
    """A ReSpeaker USB Mic Array v2.0 on a Pi: six channels at 16 kHz."""
    tree = Tree(root)
    tree.card("vc4hdmi0", "vc4-hdmi-0", plays=(0,), at="platform/soc/fef00700.hdmi")
    name = "ReSpeaker 4 Mic Array (UAC1.0)"
    usb = UsbParts(PI_USB, "1.2", "2886", "0018", name, serial="")
    tree.card("ArrayUAC10", name, captures=(0,), plays=(0,), usb=usb, stream=RESPEAKER_STREAM)
    return tree


def twins(root: Path, serials: tuple[str | None, str | None] = (None, None)) -> Tree:
    """Two equal USB microphones in two sockets of one hub."""
    tree = Tree(root)
    plug_in_twins(tree, [0, 1], serials)
    return tree


def plug_in_twins(
    tree: Tree, order: list[int], serials: tuple[str | None, str | None] = (None, None)
) -> None:
    """Plug them in in this order: ids and numbers go by it, the sockets do not."""
    for twin, name in zip(order, ("Device", "Device_1"), strict=True):
        usb = UsbParts(
            PI_USB, f"1.{twin + 1}", "0d8c", "013c", "USB PnP Sound Device", serials[twin]
        )
        tree.card(name, "USB PnP Sound Device", captures=(0,), plays=(0,), usb=usb)


RESPEAKER_STREAM = """\
SEEED ReSpeaker 4 Mic Array (UAC1.0) at usb-0000:01:00.0-1.2, high speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 8000, 16000, 48000
    Bits: 16

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: 6
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 16000
    Bits: 16
    Channel map: FL FR FC LFE RL RR
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _appending(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")
