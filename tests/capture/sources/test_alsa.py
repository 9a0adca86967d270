"""The ALSA source on real libasound: what it opens, what it delivers, and how it loses a device."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import re
import select
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median

import alsaaudio
import pytest

from scribed import clock
from scribed.capture.sources.alsa import AlsaSource, SoundCards, sound_cards
from scribed.capture.sources.hung import HUNG_S, advice
from scribed.capture.sources.pace import WINDOW_S
from scribed.config import Audio
from scribed.demo.microphone import NullSinkMicrophone
from scribed.errors import SourceError
from scribed.model import RATE, Block
from tests.capture.rig import until
from tests.capture.sources.reading import blocks, read_until, samples
from tests.capture.sources.trees import Tree, jetson, plug_in_twins, respeaker
from tests.parts.asound import Asound

FRAME = 320
"""Samples of a frame of 20 ms."""


def open_error(**audio: object) -> str:
    with pytest.raises(SourceError) as caught:
        AlsaSource(Audio(**audio))  # type: ignore[arg-type]
    return str(caught.value)


def drift(block: Block) -> int:
    """By how many samples the world, told by the fault device's ramp, is ahead of the position."""
    ahead = (samples(block.pcm)[0] - block.position) % 32768
    return ahead - 32768 if ahead > 16384 else ahead


# What is opened


def test_what_a_device_plays_is_read_byte_for_byte(asound: Asound, tmp_path: Path) -> None:
    spoken = os.urandom(RATE * 2)
    (tmp_path / "spoken.s16").write_bytes(spoken)
    asound.file("spoken", tmp_path / "spoken.s16")
    source = AlsaSource(Audio(device="spoken"))
    heard = bytearray()
    for block in blocks(source, for_s=5):
        assert block.position * 2 == len(heard)
        assert len(block.pcm) % (FRAME * 2) == 0
        heard += block.pcm
        if len(heard) >= len(spoken):
            break
    source.close()
    assert heard[: len(spoken)] == spoken


def test_what_the_device_gave_is_read_back(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    assert (source.device.name, source.device.rate, source.device.channels) == ("mic", 16_000, 1)
    assert source.device.state == "open"
    assert source.buffer_ms >= 500
    source.close()
    assert source.device.state == "closed"


def test_a_small_buffer_is_told(asound: Asound, caplog: pytest.LogCaptureFixture) -> None:
    asound.fault("mic", periods_max=4)
    source = AlsaSource(Audio(device="mic"))
    source.close()
    assert source.buffer_ms < 500
    assert "mic: buffers only" in caplog.text


def test_an_unknown_device_is_answered_with_those_that_exist(asound: Asound) -> None:
    asound.card("Mic")
    asound.fault("arm")
    message = open_error(device="foo")
    assert 'audio.device: no capture device "foo"; there are: card:Mic, ' in message
    assert "arm" in message
    assert "lavrate" not in message


def test_a_name_that_no_c_string_can_hold_is_refused_like_any_other(asound: Asound) -> None:
    asound.fault("mic")
    assert "cannot be opened" in open_error(device="a\0b")


def test_a_device_in_use_is_told(asound: Asound) -> None:
    asound.fault("mic").on("busy")
    assert '"mic" is in use by another program' in open_error(device="mic")


def test_a_device_without_permission_is_told(asound: Asound) -> None:
    asound.fault("mic").on("denied")
    assert "add the user to the group audio" in open_error(device="mic")


def test_libasound_writes_nothing_to_stderr(asound: Asound) -> None:
    code = (
        "from scribed.capture.sources.alsa import AlsaSource; from scribed.config import Audio\n"
        "from scribed.errors import SourceError\n"
        "for name in 'foo', 'hw:CARD=Nope', 'default:CARD=Nope', 'auto':\n"
        "    try: AlsaSource(Audio(device=name))\n"
        "    except SourceError as exc: print(exc)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 4


def test_at_16_khz_mono_numpy_is_not_imported(asound: Asound) -> None:
    asound.fault("mic")
    code = (
        "import sys; from scribed.capture.sources.alsa import AlsaSource\n"
        "import scribed.capture.sources.pcm, scribed.capture.levels, scribed.capture.vad\n"
        "from scribed.config import Audio\n"
        "AlsaSource(Audio(device='mic')).read()\n"
        "print('numpy' in sys.modules, 'soxr' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


# "auto"


def test_auto_takes_the_only_card_whatever_else_asound_conf_defines(asound: Asound) -> None:
    asound.fault("other")
    card = asound.card("Mic")
    source = AlsaSource(Audio())
    assert source.device.name == "hw:CARD=Mic"
    assert card.is_open
    source.close()
    assert not card.is_open


def test_auto_without_a_card_says_so(asound: Asound) -> None:
    asound.fault("other")
    message = open_error()
    assert 'audio.device: no capture card found for "auto"' in message
    assert "other" in message


def test_auto_with_several_cards_lists_the_names_to_write(asound: Asound) -> None:
    asound.card("Left")
    asound.card("Right")
    assert open_error().endswith("write one of: card:Left, card:Right")


# Formats


@pytest.mark.parametrize("format", ["S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 6), (48_000, 2)])
def test_every_format_is_heard_as_it_comes_and_without_libasounds_conversion(
    asound: Asound, format: str, rate: int, channels: int
) -> None:
    asound.card("I2S", rates=[rate], channels=[channels], format=format)
    source = AlsaSource(Audio())
    assert (source.device.name, source.format) == ("hw:CARD=I2S", format)
    assert (source.device.rate, source.device.channels) == (rate, channels)
    block = read_until(source, lambda block: block.position > 0 and any(block.pcm))
    source.close()
    ramp = samples(block.pcm)
    steps = [(b - a) % 32768 for a, b in pairwise(ramp)]
    assert median(steps) == rate / RATE  # the ramp of the device; a machine that was late lost some
    if rate == RATE:
        assert list(ramp) == [(block.position + i) % 32768 for i in range(len(ramp))]


def test_a_route_of_asound_conf_is_heard_as_it_is_made(asound: Asound) -> None:
    asound.fault("array", rates=[RATE], channels=[6], format="S32_LE")
    asound.add("pcm.two { type route slave { pcm array channels 6 } ttable.0.4 1 ttable.1.5 0.25 }")
    for channel, gain in ((0, 1.0), (1, 0.25)):
        source = AlsaSource(Audio(device="two", channels=2, channel=channel))
        assert (source.device.channels, source.format) == (2, "S32_LE")
        block = read_until(source, lambda block: block.position > RATE // 5)
        source.close()
        ramp = samples(block.pcm)
        assert (ramp[-1] - ramp[0]) / (len(ramp) - 1) == pytest.approx(gain, abs=0.01)


def test_channels_that_a_device_does_not_tell_of_are_found_by_trying(asound: Asound) -> None:
    asound.fault("mine", channels=[2, 6])
    source = AlsaSource(Audio(device="mine", channel=4))
    assert source.device.channels == 6
    source.close()


def test_a_format_that_scribed_does_not_take_is_left_to_libasound(asound: Asound) -> None:
    asound.card("Old", rates=[8000], channels=[2], format="U8")
    source = AlsaSource(Audio())
    assert (source.device.name, source.device.rate) == ("plughw:CARD=Old", 8000)
    assert source.format == "S16_LE"
    assert read_until(source, lambda block: any(block.pcm))
    source.close()


def test_a_named_device_of_such_a_format_is_refused_with_the_remedy(asound: Asound) -> None:
    old = asound.card("Old", format="U8")
    message = open_error(device="hw:CARD=Old")
    assert message.startswith('audio.device: "hw:CARD=Old" gives U8, scribed takes S16_LE, ')
    assert message.endswith('; write "plughw:CARD=Old"')
    assert not old.is_open


@pytest.mark.parametrize(("channel", "imported"), [(3, False), ("mix", True)])
def test_one_channel_of_an_array_at_16_khz_needs_no_numpy(
    asound: Asound, channel: str | int, imported: bool
) -> None:
    asound.card("Array", rates=[16_000], channels=[6], format="S32_LE")
    code = (
        "import sys; from scribed.capture.sources.alsa import AlsaSource\n"
        "from scribed.config import Audio\n"
        f"AlsaSource(Audio(channel={channel!r})).read()\n"
        "print('numpy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(imported)]


@pytest.mark.parametrize("speed", [300, pytest.param(50, marks=pytest.mark.slow)])
def test_a_card_that_does_not_keep_the_rate_it_claims_is_told(asound: Asound, speed: int) -> None:
    asound.card("Warped", rates=[16_000], channels=[1], speed=speed)
    source = AlsaSource(Audio())
    with pytest.raises(SourceError) as caught:
        for _ in blocks(source, for_s=2 * WINDOW_S + 3):
            pass
    source.close()
    match = re.match(
        r'audio.rate: "hw:CARD=Warped" says 16000 Hz and gives (\d+) samples a second',
        str(caught.value),
    )
    assert match is not None
    assert int(match[1]) == pytest.approx(RATE * speed / 100, rel=0.1)


# By what it is


def test_a_microphone_is_opened_by_its_usb_id_its_socket_or_its_name(
    asound: Asound, tmp_path: Path
) -> None:
    tree = respeaker(tmp_path / "root")
    asound.card("ArrayUAC10", rates=[16_000], channels=[6])
    for device in ("auto", "usb:2886:0018", "path:1-1.2", "name:respeaker", "card:ArrayUAC10"):
        source = AlsaSource(Audio(device=device, channel=0), tree.root)
        assert source.device.name == "hw:CARD=ArrayUAC10"
        assert source.device.channels == 6
        source.close()


def test_replugged_in_the_other_order_the_same_microphone_is_opened(
    asound: Asound, tmp_path: Path
) -> None:
    first, second = asound.card("Device"), asound.card("Device_1")
    audio = Audio(device="path:usb-0000:01:00.0-1.1")
    for order, expected in (([0, 1], first), ([1, 0], second)):
        tree = Tree(tmp_path / f"root{order[0]}")
        plug_in_twins(tree, order)
        source = AlsaSource(audio, tree.root)
        assert expected.is_open
        source.close()


def test_who_has_a_device_open_is_told(asound: Asound, tmp_path: Path) -> None:
    tree = respeaker(tmp_path / "root")
    tree.hold("ArrayUAC10", 812, comm="arecord", unit="wakeword.service")
    asound.card("ArrayUAC10").on("busy")
    with pytest.raises(SourceError) as caught:
        AlsaSource(Audio(device="usb:2886:0018"), tree.root)
    assert str(caught.value) == (
        'audio.device: "hw:CARD=ArrayUAC10" is in use by arecord (pid 812, wakeword.service); '
        "end that, or share the microphone through dsnoop or a sound server"
    )


def test_a_card_that_only_plays_is_not_even_opened(asound: Asound, tmp_path: Path) -> None:
    tree = jetson(tmp_path / "root")
    with pytest.raises(SourceError, match="NVIDIA Jetson Orin Nano HDA only plays"):
        AlsaSource(Audio(device="plughw:CARD=HDA"), tree.root)


def test_a_card_named_by_its_number_is_heard_and_warned_of_once(
    asound: Asound, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = respeaker(tmp_path / "root")
    asound.card("1")
    for _ in range(2):
        AlsaSource(Audio(device="hw:1"), tree.root).close()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "write card:ArrayUAC10" in warnings[0]


def test_the_names_that_exist_are_names_that_can_be_written(asound: Asound) -> None:
    asound.card("Mic")
    asound.fault("arm")
    names = open_error(device="foo").split("there are: ")[1].split(", ")
    assert {"card:Mic", "arm"} <= set(names)
    for name in ("card:Mic", "arm"):
        AlsaSource(Audio(device=name)).close()


# Rates and channels


def test_a_rate_that_the_device_refuses_is_an_error_that_says_what_it_has(asound: Asound) -> None:
    device = asound.fault("usb", rates=[44_100, 48_000])
    message = open_error(device="usb", rate=16_000)
    assert message.startswith('audio.rate: "usb" does not take 16000 Hz; it has ')
    assert "44100, 48000" in message
    assert not device.is_open


def test_channels_that_the_device_refuses_are_an_error_that_says_what_it_has(
    asound: Asound,
) -> None:
    array = asound.card("Array", channels=[2, 6])
    message = open_error(device=array.name, channels=4)
    assert message.startswith('audio.channels: "hw:CARD=Array" does not take 4; it has 2, 6')
    asound.fault("mine", channels=[2, 6])
    message = open_error(device="mine", channels=4)
    assert message.startswith('audio.channels: "mine" does not take 4; it has 2 and perhaps others')


def test_a_channel_that_the_device_has_not_is_an_error(asound: Asound) -> None:
    asound.fault("stereo", channels=[2])
    message = open_error(device="stereo", channel=2)
    assert message.startswith('audio.channel: "stereo" has no channel 2; write a number up to 1')


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([44_100, 48_000], 44_100), ([8000, 48_000], 48_000), ([8000], 8000), ([96_000], 96_000)],
)
def test_another_native_rate_is_taken_and_resampled(
    asound: Asound, rates: list[int], expected: int
) -> None:
    asound.fault("usb", rates=rates, channels=[2])
    source = AlsaSource(Audio(device="usb"))
    assert (source.device.rate, source.device.channels) == (expected, 2)
    assert source.buffer_ms >= 500
    begun = time.monotonic()
    heard = list(blocks(source, for_s=0.5))
    most_s = time.monotonic() - begun + source.buffer_ms / 1000
    source.close()
    assert 0.28 * RATE <= sum(len(block.pcm) for block in heard) / 2 <= most_s * RATE
    assert all(a.position + len(a.pcm) // 2 == b.position for a, b in pairwise(heard))


def tone(hertz: float, rate: int, seconds: float) -> list[int]:
    return [
        round(10_000 * math.sin(2 * math.pi * hertz * i / rate))
        for i in range(round(seconds * rate))
    ]


def strength(pcm: bytes, hertz: float) -> float:
    """Amplitude of the sine of `hertz` in internal audio."""
    heard = samples(pcm)
    angles = [2 * math.pi * hertz * i / RATE for i in range(len(heard))]
    sine = sum(value * math.sin(angle) for value, angle in zip(heard, angles, strict=True))
    cosine = sum(value * math.cos(angle) for value, angle in zip(heard, angles, strict=True))
    return 2 * math.hypot(sine, cosine) / len(heard)


@pytest.mark.parametrize(
    ("channel", "low", "high"), [("mix", 5000, 5000), (0, 10_000, 0), (1, 0, 10_000)]
)
def test_channels_are_mixed_or_picked(
    asound: Asound, tmp_path: Path, channel: str | int, low: int, high: int
) -> None:
    left, right = tone(500, 48_000, 3), tone(2000, 48_000, 3)
    interleaved = array("h", [value for pair in zip(left, right, strict=True) for value in pair])
    (tmp_path / "two.s16").write_bytes(interleaved.tobytes())
    asound.fault("two", rates=[48_000], channels=[2], audio=tmp_path / "two.s16")
    source = AlsaSource(Audio(device="two", channel=channel))
    read_until(source, lambda block: block.position >= RATE // 10)
    heard = b"".join(block.pcm for block in blocks(source, for_s=0.5))
    source.close()
    whole = heard[: len(heard) // 640 * 640]
    assert strength(whole, 500) == pytest.approx(low, abs=200)
    assert strength(whole, 2000) == pytest.approx(high, abs=200)


# Time and loss


def test_a_block_is_dated_by_when_its_first_sample_was_heard(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    began = clock.now()
    heard = list(blocks(source, for_s=1.0))
    source.close()
    first = heard[0].at
    assert first == pytest.approx(began, abs=0.03)
    for block in heard:
        assert block.at == pytest.approx(first + block.position / RATE, abs=0.02)
    assert [block.at for block in heard] == sorted(block.at for block in heard)


def test_a_reader_who_sleeps_loses_nothing_within_the_buffer(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    for pause_s in (0.1, 0.3, 0.6, 0.02):
        until(lambda: source._pcm.avail() >= pause_s * RATE)  # noqa: B023
        block = source.read()
        assert block is not None
        ramp = samples(block.pcm)
        assert list(ramp) == [(block.position + i) % 32768 for i in range(len(ramp))]
    source.close()
    assert source.overruns == 0


def test_reads_of_odd_lengths_are_put_together_without_a_seam(asound: Asound) -> None:
    mic = asound.fault("mic")
    mic.on("coarse")
    source = AlsaSource(Audio(device="mic"))
    heard = list(blocks(source, for_s=0.5))
    source.close()
    assert source.overruns == 0
    assert all(len(block.pcm) % 640 == 0 for block in heard)
    ramp = samples(b"".join(block.pcm for block in heard))
    assert len(ramp) > 0.4 * RATE
    assert list(ramp) == [(heard[0].position + i) % 32768 for i in range(len(ramp))]


def test_a_device_that_vanishes_while_it_is_opened_is_told_and_freed(asound: Asound) -> None:
    mic = asound.fault("mic")
    for _ in range(2):
        mic.on("vanishing")
        assert 'no capture device "mic"' in open_error(device="mic")
        assert not mic.is_open
        mic.off("unplugged")
    AlsaSource(Audio(device="mic")).close()


def test_in_a_storm_of_overruns_nothing_is_made_up(asound: Asound) -> None:
    mic = asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    before = read_until(source, lambda block: block.position >= RATE // 10)
    mic.on("storm")
    during = list(blocks(source, for_s=0.4))
    mic.off("storm")
    after = read_until(source, lambda block: block.position > before.position + RATE // 5)
    source.close()
    assert sum(len(block.pcm) for block in during) / 2 < 0.1 * RATE
    assert abs(drift(after)) < 0.04 * RATE


def test_an_overrun_is_a_jump_of_the_position_as_long_as_the_loss(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    before = read_until(source, lambda block: block.position >= RATE // 10)
    heard_until = before.at + len(before.pcm) / 2 / RATE
    until(lambda: has_run_over(source))
    after = read_until(source, lambda block: block.position != before.position)
    source.close()
    assert source.overruns == 1
    lost = after.position - (before.position + len(before.pcm) // 2)
    assert lost / RATE >= source.buffer_ms / 1000
    assert lost / RATE == pytest.approx(after.at - heard_until, abs=0.03)
    assert abs(drift(after)) < 0.03 * RATE


def has_run_over(source: AlsaSource) -> bool:
    try:
        return bool(source._pcm.avail() < 0)
    except alsaaudio.ALSAAudioError:
        return True


def test_a_suspended_device_is_no_lost_one_and_the_time_is_a_jump(asound: Asound) -> None:
    mic = asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    before = read_until(source, lambda block: block.position >= RATE // 10)
    mic.on("suspended")
    until(lambda: not mic.is_on("suspended") or source.read())
    after = read_until(source, lambda block: block.position > before.position)
    source.close()
    assert source.overruns == 1
    assert source.device.state == "closed"
    assert abs(drift(after)) < 0.03 * RATE


def test_a_storm_of_overruns_costs_only_what_was_lost(asound: Asound) -> None:
    mic = asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    heard = [read_until(source, lambda _: True)]
    for count in range(1, 6):
        mic.on("overrun")
        heard.append(
            read_until(source, lambda _: source.overruns == count and not mic.is_on("overrun"))  # noqa: B023
        )
    heard += blocks(source, for_s=0.2)
    source.close()
    assert source.overruns == 5
    assert all(a.position + len(a.pcm) // 2 <= b.position for a, b in pairwise(heard))
    assert all(a.at <= b.at for a, b in pairwise(heard))
    assert all(abs(drift(block)) < 0.04 * RATE for block in heard)


def test_sound_that_a_stalled_device_withheld_is_a_jump_too(asound: Asound) -> None:
    mic = asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    before = read_until(source, lambda block: block.position >= RATE // 10)
    mic.on("stalled")
    stalled = list(blocks(source, for_s=0.8))
    mic.off("stalled")
    after = read_until(source, lambda block: block.position > before.position + RATE // 2)
    source.close()
    assert sum(len(block.pcm) for block in stalled) / 2 < 0.1 * RATE
    assert source.overruns == 1
    assert abs(drift(after)) < 0.04 * RATE


def test_poll_wakes_once_a_period_and_not_for_nothing(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    poller = select.poll()
    for fd, events in source.pollable():
        poller.register(fd, events)
    wakes, heard, deadline = 0, 0, time.monotonic() + 1
    while time.monotonic() < deadline:
        wakes += bool(poller.poll(1000))
        block = source.read()
        heard += len(block.pcm) // 640 if block else 0
    source.close()
    assert heard >= 40
    assert 25 <= wakes <= heard + 10  # who is late finds several periods


# The device goes and comes


def test_an_unplugged_device_is_lost_by_name_and_opened_again_when_it_is_back(
    asound: Asound,
) -> None:
    mic = asound.card("Mic")
    source = AlsaSource(Audio(device="plughw:CARD=Mic"))
    read_until(source, lambda block: block.position > 0)
    mic.on("unplugged")
    with pytest.raises(SourceError, match=r"^plughw:CARD=Mic: the capture device was lost: "):
        list(blocks(source, for_s=2))
    assert source.device.state == "lost"
    source.close()
    source.close()
    assert 'no capture device "plughw:CARD=Mic"' in open_error(device="plughw:CARD=Mic")
    mic.off("unplugged")
    again = AlsaSource(Audio(device="plughw:CARD=Mic"))
    assert read_until(again, lambda _: True).position == 0
    again.close()


def test_a_device_that_hangs_up_is_lost_though_reading_it_is_no_error(asound: Asound) -> None:
    mic = asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    read_until(source, lambda _: True)
    mic.on("hungup")
    with pytest.raises(SourceError, match=r"^mic: the capture device was lost: poll reports"):
        list(blocks(source, for_s=2))
    source.close()


def test_a_device_that_does_not_start_is_told_and_freed(asound: Asound) -> None:
    mic = asound.fault("mic")
    mic.on("nospace")
    assert open_error(device="mic") == (
        'audio.device: "mic" does not start: No space left on device'
    )
    assert not mic.is_open


def test_a_closed_source_reads_no_more(asound: Asound) -> None:
    asound.fault("mic")
    source = AlsaSource(Audio(device="mic"))
    source.close()
    with pytest.raises(SourceError, match="mic: is closed"):
        source.read()


def test_opening_and_closing_leaves_no_descriptor_behind(asound: Asound) -> None:
    mic = asound.fault("mic", rates=[48_000])
    AlsaSource(Audio(device="mic")).close()
    gc.collect()  # of earlier tests
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        AlsaSource(Audio(device="mic")).close()
        open_error(device="mic", rate=16_000)
        mic.on("unplugged")
        open_error(device="mic")
        mic.off("unplugged")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# A sound server


def test_what_is_played_is_captured_in_real_time_without_a_hole(
    microphone: NullSinkMicrophone, tmp_path: Path
) -> None:
    (tmp_path / "tone.wav").write_bytes(_wav(tone(1000, RATE, 2.0)))
    source = AlsaSource(Audio(device=microphone.device))
    read_until(source, lambda _: True)
    player = microphone.play(tmp_path / "tone.wav")
    heard = list(blocks(source, for_s=4.0))
    assert player.wait(5) == 0
    source.close()
    assert source.overruns == 0
    assert all(a.position + len(a.pcm) // 2 == b.position for a, b in pairwise(heard))
    span = heard[-1].at - heard[0].at
    assert (heard[-1].position - heard[0].position) / RATE == pytest.approx(span, abs=0.03)
    loud = played([value for block in heard for value in samples(block.pcm)])
    assert len(loud) == pytest.approx(2.0 * RATE, abs=4)
    assert loud[8:-8] == pytest.approx(
        [10_000 * math.sin(2 * math.pi * 1000 * (i + 9) / RATE) for i in range(len(loud) - 16)],
        abs=2,
    )


def played(heard: list[int]) -> list[int]:
    """A tone without the silence around it, and in it: a sound server whose player is late on a
    busy machine gives zeros, and goes on where it was."""
    first = next(i for i, value in enumerate(heard) if value)
    last = len(heard) - next(i for i, value in enumerate(reversed(heard)) if value)
    runs = [(is_loud, list(run)) for is_loud, run in groupby(heard[first:last], bool)]
    return [value for is_loud, run in runs if is_loud or len(run) < 8 for value in run]


def test_what_a_sound_server_kept_for_a_late_reader_is_not_lost(
    microphone: NullSinkMicrophone, tmp_path: Path
) -> None:
    source = AlsaSource(Audio(device=microphone.device))
    (tmp_path / "tone.wav").write_bytes(_wav(tone(1000, RATE, 2.5 * source.buffer_ms / 1000)))
    before = read_until(source, lambda _: True)
    assert microphone.play(tmp_path / "tone.wav").wait(10) == 0  # in real time
    heard = [before, *blocks(source, for_s=0.3)]
    ended = clock.now()
    source.close()
    assert source.overruns == 0
    assert all(a.position + len(a.pcm) // 2 == b.position for a, b in pairwise(heard))
    assert heard[-1].at == pytest.approx(ended, abs=0.2)


def test_a_sound_server_that_dies_is_a_lost_device(microphone: NullSinkMicrophone) -> None:
    source = AlsaSource(Audio(device=microphone.device))
    read_until(source, lambda _: True)
    microphone.stop()
    with pytest.raises(SourceError, match="demo_mic: the capture device was lost"):
        list(blocks(source, for_s=2))
    source.close()


def test_a_sound_server_that_hangs_ends_the_process_and_says_what_to_do(
    microphone: NullSinkMicrophone,
) -> None:
    code = (
        "import sys; from scribed.capture.sources.alsa import AlsaSource\n"
        "from scribed.config import Audio\n"
        "print('opens', flush=True)\n"
        "AlsaSource(Audio(device=sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, microphone.device]
    with frozen(microphone._server):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "opens\n"
        began = time.monotonic()
        _, said = process.communicate(timeout=15)
    assert process.returncode == 1
    assert HUNG_S - 0.5 < time.monotonic() - began < HUNG_S + 5.0
    first, second, *stacks = said.splitlines()
    assert first.endswith(f": {advice(microphone.device)}")
    assert second.startswith("Timeout")
    assert any("alsa.py" in line for line in stacks)


def test_a_sound_server_that_is_slow_is_waited_for_and_nothing_is_said(
    microphone: NullSinkMicrophone, capfd: pytest.CaptureFixture[str]
) -> None:
    with frozen(microphone._server) as pid:
        began = time.monotonic()
        thaw = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {pid}"])
        AlsaSource(Audio(device=microphone.device)).close()  # holds the interpreter's lock
        took_s = time.monotonic() - began
        assert thaw.wait(5) == 0
    assert took_s > 0.4
    assert capfd.readouterr().err == ""


@contextlib.contextmanager
def frozen(server: subprocess.Popen[bytes] | None) -> Iterator[int]:
    """The sound server does nothing until the block ends; its process id."""
    assert server is not None
    server.send_signal(signal.SIGSTOP)
    try:
        yield server.pid
    finally:
        server.send_signal(signal.SIGCONT)


def _wav(values: list[int]) -> bytes:
    pcm = array("h", values).tobytes()
    header = b"RIFF" + (36 + len(pcm)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\1\0\1\0"
    rates = RATE.to_bytes(4, "little") + (2 * RATE).to_bytes(4, "little") + b"\2\0\x10\0"
    return header + rates + b"data" + len(pcm).to_bytes(4, "little") + pcm


def test_who_waits_for_a_microphone_asks_libasound_anew_when_the_cards_are_others(
    asound: Asound, tmp_path: Path
) -> None:
    look = SoundCards()
    look(tmp_path)
    asound.fault("later")
    assert "later" not in look(tmp_path)[1]
    assert "later" in sound_cards(tmp_path)[1]
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/asound/cards").write_text(" 0 [Mic            ]: USB-Audio - Mic\n\n")
    assert "later" in look(tmp_path)[1]
