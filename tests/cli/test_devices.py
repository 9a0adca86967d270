"""`scribed devices`: a user looks for the microphone, and speaks into it."""

from __future__ import annotations

import json
import math
import random
import time
from array import array
from pathlib import Path

import pytest

from scribed.cli import devices
from scribed.errors import ExitStatus, SourceError
from tests.capture.sources.trees import pi, respeaker
from tests.cli.shell import Shell
from tests.parts.asound import Asound, Fault, compile_fault

RATE = 16_000


@pytest.fixture(scope="module")
def fault_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fault(tmp_path_factory.mktemp("fault"))


@pytest.fixture
def asound(tmp_path: Path, fault_module: Path, monkeypatch: pytest.MonkeyPatch) -> Asound:
    configuration = Asound(tmp_path, fault_module)
    for name, value in configuration.environment().items():
        monkeypatch.setenv(name, value)
    return configuration


@pytest.fixture
def shell(tmp_path: Path, asound: Asound) -> Shell:
    shell = Shell(tmp_path / "home")
    shell.home.mkdir()
    return shell


def room(path: Path, speech: int, quiet: int) -> Path:
    """Twelve seconds of syllables, a voice's harmonics, over noise."""
    dice = random.Random(1)
    sound = array("h")
    for i in range(12 * RATE):
        value = dice.gauss(0, quiet)
        if i // 4800 % 2:
            value += speech * sum(
                math.sin(2 * math.pi * 150 * n * i / RATE) / n for n in (1, 2, 3, 5)
            )
        sound.append(round(value))
    path.write_bytes(sound.tobytes())
    return path


def card(asound: Asound, name: str, tmp_path: Path, *, speech: int, quiet: int) -> Fault:
    sound = room(tmp_path / f"{name}.s16", speech, quiet)
    return asound.card(name, rates=[RATE], channels=[1], audio=sound)


def test_a_user_copies_the_name_from_the_list(shell: Shell, asound: Asound) -> None:
    asound.card("Left", rates=[48_000], channels=[2], format="S24_3LE")
    asound.card("Right").on("busy")
    asound.fault("shared")
    said = shell.scribed("devices")
    assert said.status == ExitStatus.OK
    lines = said.out.splitlines()
    assert lines[0] == 'audio.device = "card:Left"'
    assert lines[1].strip() == "Left; 48000 Hz; channels: 2; S24_3LE; free"
    assert lines[2] == 'audio.device = "card:Right"'
    assert lines[3].strip() == "Right; in use by another program"
    assert "shared" in lines[-1]
    assert said.err == ""


def test_programs_get_json(shell: Shell, asound: Asound) -> None:
    asound.card("Mic", rates=[16_000, 48_000], channels=[1, 2])
    said = shell.scribed("devices", "--json")
    (mic,) = json.loads(said.out)["devices"]
    assert (mic["name"], mic["pcm"], mic["card"]) == ("card:Mic", "hw:CARD=Mic", "Mic")
    assert (mic["rates"], mic["channels"], mic["formats"]) == ([16_000, 48_000], [1, 2], ["S16_LE"])
    assert mic["in_use"] is False


def test_a_usb_microphone_is_listed_by_what_it_is(
    asound: Asound, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = respeaker(tmp_path / "root")
    asound.card("ArrayUAC10", rates=[16_000], channels=[6])
    assert devices.show(tree.root, as_json=False) == ExitStatus.OK
    assert capfd.readouterr().out.splitlines()[:3] == [
        'audio.device = "usb:2886:0018"',
        "    ReSpeaker 4 Mic Array (UAC1.0); 16000 Hz; channels: 6; S16_LE; free",
        "    also: path:usb-0000:01:00.0-1.2, path:1-1.2, card:ArrayUAC10",
    ]


def test_who_has_it_is_told(
    asound: Asound, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = respeaker(tmp_path / "root")
    tree.hold("ArrayUAC10", 812, comm="pulseaudio")
    asound.card("ArrayUAC10").on("busy")
    devices.show(tree.root, as_json=False)
    assert "16000 Hz; channels: 6; S16_LE; in use by pulseaudio (pid 812)" in capfd.readouterr().out


def test_without_a_microphone_the_list_says_so_and_fails(shell: Shell) -> None:
    said = shell.scribed("devices")
    assert said.status == ExitStatus.FAILED
    assert said.err == "no capture card: plug in a microphone\n"
    found = shell.scribed("devices", "--find")
    assert found.status == ExitStatus.FAILED
    assert found.err == "scribed: there is no microphone to listen on; see scribed devices\n"


def test_find_names_the_one_that_is_spoken_into_and_ends_at_once(
    shell: Shell, asound: Asound, tmp_path: Path
) -> None:
    far = card(asound, "Far", tmp_path, speech=150, quiet=30)
    near = card(asound, "Near", tmp_path, speech=3000, quiet=30)
    asound.card("Taken").on("busy")
    began = time.monotonic()
    said = shell.scribed("devices", "--find", "--seconds", "20")
    assert time.monotonic() - began < 16
    assert said.status == ExitStatus.OK
    assert said.out.splitlines()[-1] == 'audio.device = "card:Near"'
    assert "listening for 20 s at most on 2 of 3; speak into the one you want" in said.err
    assert "not listening on card:Taken: " in said.err
    assert not far.is_open
    assert not near.is_open


def test_find_ends_when_the_time_is_over_and_says_what_was_heard(
    shell: Shell, asound: Asound, tmp_path: Path
) -> None:
    card(asound, "Quiet", tmp_path, speech=0, quiet=30)
    card(asound, "Dead", tmp_path, speech=0, quiet=0)
    said = shell.scribed("devices", "--find", "--seconds", "2")
    assert said.status == ExitStatus.FAILED
    assert "card:Quiet: no speech, -61 dBFS" in said.out
    assert "card:Dead: nothing but digital silence" in said.out
    assert "nobody was heard" in said.err
    told = json.loads(shell.scribed("devices", "--find", "--seconds", "2", "--json").out)
    assert told["found"] is None
    assert [each["digital_silence"] for each in told["heard"]] == [False, True]


def test_find_goes_on_without_a_microphone_that_is_unplugged_meanwhile(
    asound: Asound, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = pi(tmp_path / "root")
    mic = asound.card("Device")
    mic.on("hungup")
    assert devices.find(2, tree.root, as_json=True) == ExitStatus.FAILED
    said = capfd.readouterr()
    assert "hw:CARD=Device: the capture device was lost: poll reports an error" in said.err
    assert json.loads(said.out)["heard"][0]["name"] == "usb:0d8c:013c"


def test_find_asks_for_a_time_that_ends(shell: Shell) -> None:
    said = shell.scribed("devices", "--find", "--seconds", "0")
    assert said.status == ExitStatus.USAGE
    assert "2 to 120 seconds" in said.err


def test_a_microphone_that_cannot_be_had_is_no_microphone_to_listen_on(
    asound: Asound, tmp_path: Path
) -> None:
    tree = respeaker(tmp_path / "root")
    asound.card("ArrayUAC10").on("denied")
    with pytest.raises(SourceError, match="there is no microphone to listen on"):
        devices.find(2, tree.root, as_json=False)
