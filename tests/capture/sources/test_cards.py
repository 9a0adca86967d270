"""What is known of sound cards: the same from /sys, from /proc/asound, and from both."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.capture.sources.cards import Card, Usb, read_cards
from scribed.capture.sources.owners import Owner, is_open, owners
from scribed.capture.sources.streams import Native, parse_stream
from tests.capture.sources.trees import RESPEAKER_STREAM, Tree, jetson, pi, respeaker, twins


def test_a_pi_with_a_usb_microphone(tmp_path: Path) -> None:
    assert read_cards(pi(tmp_path).root) == [
        Card("Headphones", 0, "bcm2835 Headphones"),
        Card("vc4hdmi0", 1, "vc4-hdmi-0"),
        Card(
            "Device",
            2,
            "USB PnP Sound Device",
            Usb("0d8c", "013c", "", "usb-0000:01:00.0-1.3", "1-1.3"),
            captures=(0,),
        ),
    ]


def test_a_jetson_has_many_capture_devices_and_a_webcam_with_a_serial(tmp_path: Path) -> None:
    hda, ape, webcam = read_cards(jetson(tmp_path).root)
    assert (hda.id, hda.captures) == ("HDA", ())
    assert (ape.id, ape.captures, ape.usb) == ("APE", tuple(range(20)), None)
    assert webcam.usb == Usb("046d", "0825", "3F0A5C20", "usb-3610000.usb-2.1", "1-2.1")


def test_two_equal_microphones_differ_by_their_socket_alone(tmp_path: Path) -> None:
    one, two = read_cards(twins(tmp_path).root)
    assert (one.id, two.id) == ("Device", "Device_1")
    assert one.usb is not None
    assert two.usb is not None
    assert (one.usb.path, two.usb.path) == ("usb-0000:01:00.0-1.1", "usb-0000:01:00.0-1.2")
    assert (one.usb.port, two.usb.port) == ("1-1.1", "1-1.2")


def test_a_unit_that_sees_no_proc_asound_knows_usb_devices_as_well(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    hdmi, array = read_cards(tree.root)
    tree.without_proc()
    assert read_cards(tree.root, {0: "vc4-hdmi-0"}) == [hdmi, array]


def test_without_sys_only_the_serial_and_the_bus_are_missing(tmp_path: Path) -> None:
    tree = jetson(tmp_path)
    hda, ape, _ = read_cards(tree.root)
    tree.without_sys()
    usb = Usb("046d", "0825", "", "usb-3610000.usb-2.1")
    webcam = Card("C270", 2, "HD Webcam C270", usb, captures=(0,))
    assert read_cards(tree.root) == [hda, ape, webcam]


def test_a_loopback_card_is_no_hardware(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.card("Loop", "Loopback", captures=(0, 1), plays=(0, 1), at="platform/snd_aloop.0")
    assert [card.is_virtual for card in read_cards(tree.root)] == [True]


def test_a_machine_without_sound_has_no_cards(tmp_path: Path) -> None:
    assert read_cards(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b"--- no soundcards ---\n", b"\xff\xfe 0 [\x00", b" 0 [x"])
def test_what_is_no_list_of_cards_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/asound/cards").write_bytes(text)
    (tmp_path / "proc/asound/pcm").write_bytes(text)
    assert read_cards(tmp_path) == []


# Who has it open


def test_who_has_a_device_open_is_told_with_its_unit(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    tree.hold("ArrayUAC10", 812, comm="arecord", unit="wakeword.service")
    assert is_open(tree.root, 1, 0) is True
    (owner,) = owners(tree.root, 1, 0)
    assert owner == Owner(812, "arecord", "wakeword.service")
    assert str(owner) == "arecord (pid 812, wakeword.service)"


def test_of_a_process_that_is_hidden_the_number_is_told(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    tree.hold("ArrayUAC10", 812)
    assert [str(owner) for owner in owners(tree.root, 1, 0)] == ["(pid 812)"]


def test_a_device_that_nobody_has_open_is_free(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    assert is_open(tree.root, 1, 0) is False
    assert owners(tree.root, 1, 0) == []


def test_without_proc_asound_the_holder_is_found_by_its_descriptor(tmp_path: Path) -> None:
    descriptors = tmp_path / "proc/700/fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to("/dev/null")
    (descriptors / "4").symlink_to("/dev/snd/pcmC1D0c")
    (tmp_path / "proc/700/comm").write_text("pipewire\n")
    assert owners(tmp_path, 1, 0) == [Owner(700, "pipewire")]
    assert owners(tmp_path, 2, 0) == []
    assert is_open(tmp_path, 1, 0) is None


# What a USB device has


def test_the_capture_side_of_a_stream_is_read_and_not_the_other(tmp_path: Path) -> None:
    assert parse_stream(RESPEAKER_STREAM) == Native((16_000,), (6,), ("S16_LE",))
    playback = RESPEAKER_STREAM[: RESPEAKER_STREAM.index("Capture:")]
    assert parse_stream(playback) is None


def test_alternatives_of_a_stream_are_put_together() -> None:
    text = (
        "Mic\n\nCapture:\n  Status: Stop\n  Interface 1\n    Altset 1\n    Format: S16_LE\n"
        "    Channels: 1\n    Rates: 44100, 48000\n  Interface 1\n    Altset 2\n"
        "    Format: S24_3LE\n    Channels: 2\n    Rates: 8000 - 48000 (continuous)\n"
    )
    native = parse_stream(text)
    assert native is not None
    assert (native.channels, native.formats) == ((1, 2), ("S16_LE", "S24_3LE"))
    assert (native.rates[0], native.rates[-1]) == (8000, 48_000)
