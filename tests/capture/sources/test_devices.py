"""`audio.device`: what each form means, and what is said where it means nothing, or too much."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.capture.sources import devices
from scribed.capture.sources.cards import Card, Usb, read_cards
from scribed.capture.sources.wanted import (
    Auto,
    CardId,
    Named,
    Pcm,
    UsbId,
    UsbPath,
    parse,
)
from scribed.errors import SourceError
from tests.capture.sources.trees import Tree, jetson, pi, plug_in_twins, respeaker, twins


def chosen(device: str, tree: Tree) -> str:
    return devices.choose(device, read_cards(tree.root), []).pcm


def refused(device: str, tree: Tree) -> str:
    with pytest.raises(SourceError) as caught:
        chosen(device, tree)
    return str(caught.value)


# The forms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("auto", Auto()),
        ("default", Pcm("default")),
        ("plughw:CARD=Mic,DEV=0", Pcm("plughw:CARD=Mic,DEV=0")),
        ("card:ArrayUAC10", CardId("ArrayUAC10")),
        ("usb:2886:0018", UsbId("2886", "0018")),
        ("usb:0D8C:013C", UsbId("0d8c", "013c")),
        ("usb:046d:0825:3F0A:5C 20", UsbId("046d", "0825", "3F0A:5C 20")),
        ("path:usb-0000:01:00.0-1.2", UsbPath("usb-0000:01:00.0-1.2")),
        ("name: ReSpeaker", Named("ReSpeaker")),
        ("usbstream:CARD=Mic", Pcm("usbstream:CARD=Mic")),
    ],
)
def test_every_form_is_read(text: str, wanted: object) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize("text", ["", " ", "card:", "name: ", "path:", "usb:"])
def test_a_form_without_anything_in_it_is_answered_with_the_forms(text: str) -> None:
    with pytest.raises(SourceError, match=r"names nothing; write auto, an ALSA PCM name, card:ID"):
        parse(text)


@pytest.mark.parametrize("text", ["usb:2886", "usb:xyz:0018", "usb:2886:18", "usb:2886:0018:"])
def test_a_usb_id_that_is_none_is_answered_with_its_form(text: str) -> None:
    with pytest.raises(SourceError, match=r"is not usb:VVVV:PPPP\[:SERIAL\].*usb:2886:0018"):
        parse(text)


def test_a_number_is_no_card() -> None:
    with pytest.raises(SourceError, match='"card:1" is a number, which changes with the order'):
        parse("card:1")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.from_regex(
        r"(auto|card|usb|path|name|hw|plughw)(:[0-9a-fA-F]{0,5}){0,4}[ -~]{0,6}", fullmatch=True
    )
)
def test_whatever_is_written_is_a_form_or_refused_in_words(text: str) -> None:
    try:
        wanted = parse(text)
    except SourceError as exc:
        assert str(exc).startswith(f'audio.device: "{text}"')  # noqa: PT017
        return
    if isinstance(wanted, Pcm):
        assert wanted.name == text
        assert wanted.card is None or wanted.card in text
        assert wanted.device >= 0
        assert wanted.is_monitor in (True, False)


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.none() | st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1),
)
def test_a_usb_id_is_read_as_it_is_written(vendor: int, product: int, serial: str | None) -> None:
    text = f"usb:{vendor:04x}:{product:04x}" + ("" if serial is None else f":{serial}")
    assert parse(text) == UsbId(f"{vendor:04x}", f"{product:04x}", serial)
    assert parse(text.replace("usb:", "USB:")) == Pcm(text.replace("usb:", "USB:"))


@pytest.mark.parametrize(
    ("name", "card", "device"),
    [
        ("hw:CARD=PCH,DEV=2", "PCH", 2),
        ("plughw:PCH,5", "PCH", 5),
        ("hw:1", "1", 0),
        ("sysdefault:CARD=Mic", "Mic", 0),
        ("dsnoop:DEV=1,CARD=Mic", "Mic", 0),
        ("default", None, 0),
        ("pulse:alsa_input.usb", None, 0),
        ("mine", None, 0),
    ],
)
def test_the_card_in_a_pcms_name_is_known(name: str, card: str | None, device: int) -> None:
    wanted = parse(name)
    assert isinstance(wanted, Pcm)
    assert (wanted.card, wanted.device) == (card, device)


# What they mean on real machines


@pytest.mark.parametrize(
    "device",
    [
        *("auto", "card:Device", "usb:0d8c:013c", "path:1-1.3", "path:usb-0000:01:00.0-1.3"),
        *("name:usb pnp", "name:Device"),
    ],
)
def test_on_a_pi_all_forms_find_the_microphone(tmp_path: Path, device: str) -> None:
    assert chosen(device, pi(tmp_path)) == "hw:CARD=Device"


def test_on_a_jetson_auto_is_ambiguous_and_lists_what_to_write(tmp_path: Path) -> None:
    assert refused("auto", jetson(tmp_path)) == (
        'audio.device: "auto" takes the only capture card, and there are several; write one of: '
        "card:APE (NVIDIA Jetson Orin Nano APE), usb:046d:0825 (HD Webcam C270)"
    )
    tree = jetson(tmp_path / "again")
    assert chosen("usb:046d:0825:3F0A5C20", tree) == "hw:CARD=C270"
    assert chosen("card:APE", tree) == "hw:CARD=APE"


@pytest.mark.parametrize("device", ["card:HDA", "name:jetson orin nano hda", "hw:CARD=HDA", "hw:0"])
def test_a_card_that_only_plays_is_refused_in_words(tmp_path: Path, device: str) -> None:
    assert refused(device, jetson(tmp_path)) == (
        f'audio.device: "{device}" is no microphone: NVIDIA Jetson Orin Nano HDA only plays, it '
        "has no capture device; scribed devices lists those that capture"
    )


@pytest.mark.parametrize(
    "device",
    [
        *("pulse:alsa_output.usb-0.analog-stereo.monitor", "pulse:DEVICE=hdmi.monitor"),
        "plug:'pulse:hdmi.monitor'",
    ],
)
def test_a_monitor_is_refused_in_words(tmp_path: Path, device: str) -> None:
    assert "is a monitor: it gives back what the machine plays" in refused(device, pi(tmp_path))


def test_a_loopback_is_not_taken_by_itself_and_may_be_named(tmp_path: Path) -> None:
    tree = pi(tmp_path)
    tree.card("Loop", "Loopback", captures=(0,), plays=(0,), at="platform/snd_aloop.0")
    assert chosen("auto", tree) == "hw:CARD=Device"
    assert chosen("card:Loop", tree) == "hw:CARD=Loop"


def test_what_is_not_plugged_in_is_answered_with_what_is(tmp_path: Path) -> None:
    cards = read_cards(respeaker(tmp_path).root)
    with pytest.raises(SourceError) as caught:
        devices.choose("usb:0d8c:013c", cards, ["null", "shared"])
    assert str(caught.value) == (
        'audio.device: no microphone "usb:0d8c:013c" is plugged in; '
        "there are: usb:2886:0018, shared"
    )


def test_of_a_card_the_first_capture_device_is_meant_and_libasound_has_names_for_the_rest(
    tmp_path: Path,
) -> None:
    tree = Tree(tmp_path)
    tree.card("PCH", "HDA Intel PCH", captures=(2, 5), plays=(0,))
    assert chosen("auto", tree) == "hw:CARD=PCH,DEV=2"
    assert chosen("hw:CARD=PCH,DEV=5", tree) == "hw:CARD=PCH,DEV=5"


# Two of a kind


def test_two_equal_microphones_are_named_by_their_sockets(tmp_path: Path) -> None:
    assert refused("usb:0d8c:013c", twins(tmp_path)) == (
        'audio.device: "usb:0d8c:013c" is more than one microphone; write one of: '
        "path:usb-0000:01:00.0-1.1 (USB PnP Sound Device), "
        "path:usb-0000:01:00.0-1.2 (USB PnP Sound Device)"
    )


def test_serial_numbers_tell_them_apart_where_they_differ(tmp_path: Path) -> None:
    cards = read_cards(twins(tmp_path, ("A1", "B2")).root)
    assert [devices.stable_name(card, cards) for card in cards] == [
        "usb:0d8c:013c:A1",
        "usb:0d8c:013c:B2",
    ]
    same = read_cards(twins(tmp_path / "same", ("0000", "0000")).root)
    assert [devices.stable_name(card, same)[:5] for card in same] == ["path:", "path:"]


def test_plugged_in_in_the_other_order_each_name_means_the_same_microphone(tmp_path: Path) -> None:
    before, after = Tree(tmp_path / "before"), Tree(tmp_path / "after")
    plug_in_twins(before, [0, 1], ("A1", "B2"))
    plug_in_twins(after, [1, 0], ("A1", "B2"))
    for device in ("usb:0d8c:013c:A1", "path:1-1.1", "path:usb-0000:01:00.0-1.1"):
        assert chosen(device, before) == "hw:CARD=Device"
        assert chosen(device, after) == "hw:CARD=Device_1"


# Whatever is plugged in

SOCKETS = st.sampled_from(["1.1", "1.2", "1.3", "2", "3.1.4"])


@st.composite
def machines(draw: st.DrawFn) -> list[Card]:
    """Up to five cards, of few models, so that there are equal ones; a socket has one device."""
    sockets = draw(st.lists(SOCKETS, max_size=5, unique=True))
    cards = []
    for number, socket in enumerate(sockets):
        usb = Usb(
            draw(st.sampled_from(["0d8c", "2886"])),
            draw(st.sampled_from(["013c", "0018"])),
            draw(st.sampled_from(["", "0000", "A:1", " rubbish\x01"])),
            f"usb-0000:01:00.0-{socket}",
            f"1-{socket}",
        )
        cards.append(
            Card(
                "Device" + (f"_{number}" if number else ""),
                number,
                draw(st.sampled_from(["USB PnP Sound Device", "ReSpeaker", ""])),
                draw(st.sampled_from([usb, usb, None])),
                draw(st.sampled_from([(), (0,), (0,), (1, 2)])),
                draw(st.sampled_from([False, False, True])),
            )
        )
    return cards


DEVICES = st.sampled_from(
    [
        *("auto", "name:usb", "name:Re", "usb:0d8c:013c", "usb:2886:0018:0000", "usb:2886:0018"),
        *("usb:0d8c:0018:A:1", "card:Device", "card:Device_2", "path:1-1.1"),
        "path:usb-0000:01:00.0-2",
    ]
)


@given(machines())
def test_the_stable_name_of_a_microphone_means_it_and_no_other(cards: list[Card]) -> None:
    for card in cards:
        if card.captures:
            name = devices.stable_name(card, cards)
            assert devices.choose(name, cards, []).card == card


@given(machines(), DEVICES)
def test_one_is_chosen_or_all_candidates_are_told(cards: list[Card], device: str) -> None:
    meant = devices.matching(parse(device), cards)
    try:
        one = devices.choose(device, cards, [])
    except SourceError as exc:
        said = str(exc)
        assert len(meant) != 1
        assert said.startswith("audio.device: ")
        assert "\n" not in said
        for card in meant:
            name = devices.stable_name(card, cards)
            assert name in said
            assert devices.choose(name, cards, []).card == card
        return
    assert meant == [one.card]
    assert one.card is not None
    assert one.device in one.card.captures
    assert f"CARD={one.card.id}" in one.pcm


@given(machines(), DEVICES, st.randoms(use_true_random=False))
def test_the_order_of_plugging_in_decides_nothing(
    cards: list[Card], device: str, dice: random.Random
) -> None:
    numbers = [card.number for card in cards]
    dice.shuffle(numbers)
    again = [replace(card, number=n) for card, n in zip(cards, numbers, strict=True)]
    dice.shuffle(again)

    def identity(of: list[Card]) -> str | None:
        try:
            return devices.choose(device, of, []).pcm
        except SourceError:
            return None

    assert identity(cards) == identity(again)


def test_cards_that_only_libasound_knows_are_cards_as_well() -> None:
    hints = ["null", "hw:CARD=Mic,DEV=1", "hw:CARD=Mic,DEV=0", "plughw:CARD=Mic,DEV=0", "mine"]
    cards = devices.complete([Card("Other", 0, captures=(0,))], hints)
    assert [(card.id, card.captures) for card in cards] == [("Other", (0,)), ("Mic", (0, 1))]
    assert devices.choose("card:Mic", cards, hints).pcm == "hw:CARD=Mic"
    assert devices.others(hints) == ["mine"]
