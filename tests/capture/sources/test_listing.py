"""What is told of the microphones that there are, those included that somebody else has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from scribed.capture.sources.cards import Card, read_cards
from scribed.capture.sources.listing import survey
from scribed.capture.sources.shapes import Has
from scribed.errors import SourceError
from tests.capture.sources.trees import jetson, respeaker, twins


def has_it_all(_pcm: str) -> Has:
    return Has((8000, 48_000), [1, 2], ["S16_LE", "S24_3LE"])


def is_busy(_pcm: str) -> Has:
    raise SourceError(os.strerror(errno.EBUSY))


def is_forbidden(_pcm: str) -> Has:
    raise SourceError(os.strerror(errno.EACCES))


def test_what_a_free_device_has_is_asked_of_it(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    (array,) = survey(tree.root, read_cards(tree.root), has_it_all)
    assert (array.name, array.pcm) == ("usb:2886:0018", "hw:CARD=ArrayUAC10")
    assert array.native is not None
    assert array.native.rates == (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    assert (array.in_use, array.in_use_by, array.problem) == (False, (), "")


def test_what_a_busy_usb_device_has_is_asked_of_the_kernel(tmp_path: Path) -> None:
    tree = respeaker(tmp_path)
    tree.hold("ArrayUAC10", 812, comm="arecord")
    (array,) = survey(tree.root, read_cards(tree.root), is_busy)
    told = array.as_dict()
    assert (told["rates"], told["channels"], told["formats"]) == ([16_000], [6], ["S16_LE"])
    assert told["in_use"] is True
    assert told["in_use_by"] == [{"pid": 812, "name": "arecord", "unit": None}]
    assert told["problem"] is None
    assert told["usb"] == {
        "vendor": "2886",
        "product": "0018",
        "serial": None,
        "path": "usb-0000:01:00.0-1.2",
    }


def test_what_may_not_be_opened_is_listed_with_the_reason(tmp_path: Path) -> None:
    (mic,) = survey(tmp_path, [Card("Mic", captures=(0,))], is_forbidden)
    assert (mic.name, mic.problem) == ("card:Mic", "Permission denied")
    assert mic.in_use is None
    assert mic.as_dict()["rates"] is None


def test_further_capture_devices_of_a_card_have_libasounds_names(tmp_path: Path) -> None:
    tree = jetson(tmp_path)
    engine, webcam = survey(tree.root, read_cards(tree.root), has_it_all)
    assert (engine.name, engine.pcm) == ("card:APE", "hw:CARD=APE")
    assert engine.more == tuple(f"hw:CARD=APE,DEV={n}" for n in range(1, 20))
    assert webcam.name == "usb:046d:0825"
    assert webcam.also == (
        "usb:046d:0825:3F0A5C20",
        "path:usb-3610000.usb-2.1",
        "path:1-2.1",
        "card:C270",
    )


def test_equal_microphones_are_listed_by_what_tells_them_apart(tmp_path: Path) -> None:
    tree = twins(tmp_path)
    listed = survey(tree.root, read_cards(tree.root), has_it_all)
    assert [each.name for each in listed] == [
        "path:usb-0000:01:00.0-1.1",
        "path:usb-0000:01:00.0-1.2",
    ]
    # What would mean both is no name of one.
    assert "usb:0d8c:013c" not in listed[0].also
