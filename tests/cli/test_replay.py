"""`scribed replay` at a shell: the same, or what is not, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scribed.capture.gate import Gate
from scribed.capture.recorder import Recorder
from scribed.capture.vad import WebRtcVad
from scribed.config import Config
from scribed.model import Block, Device
from scribed.parts import gate_settings
from scribed.recording import Record, Recording, encode
from tests.capture.rig import wav
from tests.capture.test_trace import COMMAND, noise, numbered_ear
from tests.cli.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def recording(shell: Shell) -> Path:
    """Of the real gate, with the defaults."""
    settings = gate_settings(Config())
    if "vad.engine" in settings:
        settings["vad.engine"] = "webrtc"
    flight = Recorder(8.0, ("command",), settings, "1.2.3")
    ear = numbered_ear(WebRtcVad(2), Gate(), flight)
    pcm = noise(700, 3)
    for at in range(0, len(pcm), 3200):
        ear.hear(Block(pcm[at : at + 3200], at // 2, at / 32_000))
    taken = flight.take(Record("command", "", COMMAND), Device("hw:CARD=Mic", 48_000, 1, "open"))
    assert isinstance(taken, Recording)
    return shell.write("flight.wav", encode(taken, "2026-06-01T09:30:02.000Z"))


def test_the_same_gate_decides_the_same_and_shows_it(shell: Shell, recording: Path) -> None:
    said = shell.scribed("replay", recording)
    assert said.status == 0, said.err
    assert "the same, byte for byte: " in said.out
    assert "hw:CARD=Mic, 48000 Hz" in said.out
    assert "#####" in said.out


def test_another_setting_is_shown_beside_what_was_decided(shell: Shell, recording: Path) -> None:
    said = shell.scribed("replay", recording, "--set", "vad.hangover_ms=900")
    assert said.status == 0, said.err
    assert "recorded  " in said.out
    assert "replayed  " in said.out
    assert "NOT the same: " in said.out
    told = json.loads(
        shell.scribed("replay", recording, "--json", "--set", "vad.hangover_ms=900").out
    )
    assert told["same"] is False
    assert len(told["recorded"]["utterances"]) >= len(told["replayed"]["utterances"])


def test_decisions_that_cannot_be_had_again_are_told_apart(shell: Shell, recording: Path) -> None:
    content = bytearray(recording.read_bytes())
    at = content.index(b"\n", content.index(b"scrd")) + 200
    content[at : at + 1] = b"." if content[at : at + 1] == b"#" else b"#"
    said = shell.scribed("replay", shell.write("changed.wav", bytes(content)))
    assert said.status == 1
    assert "NOT the same: 1 of " in said.out
    assert "scribed 1.2.3, and this is" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "hangover_ms=1"], "is to be vad.KEY=VALUE"),
        (["--set", "vad.hangover=700"], "did you mean vad.hangover_ms?"),
        (["--set", "vad.hangover_ms=7"], "a whole number from 100 to 5000"),
        (["--set", "vad.hangover_ms"], "is to be vad.KEY=VALUE"),
    ],
)
def test_a_setting_that_is_none_is_an_error_in_words(
    shell: Shell, recording: Path, words: list[str], says: str
) -> None:
    said = shell.scribed("replay", recording, *words)
    assert said.status == 1
    assert says in said.err


def test_a_file_that_is_no_flight_recording_is_an_error_that_says_what_to_do(
    shell: Shell, recording: Path
) -> None:
    assert "No such file" in shell.scribed("replay", "none.wav").err
    said = shell.scribed("replay", wav(shell.home / "plain.wav", bytes(6400)))
    assert said.status == 1
    assert "scribed tune FILE" in said.err
    torn = shell.write("torn.wav", recording.read_bytes()[:-5000])
    assert "it was cut" in shell.scribed("replay", torn).err
