"""`scribed tune` on a recording and on a device, and what it writes."""

from __future__ import annotations

import json
import random
import signal
import stat
import subprocess
from array import array
from pathlib import Path

import pytest

from tests.capture.rig import wav
from tests.cli.shell import COMMAND, Shell
from tests.parts.asound import Asound, compile_fault
from tests.parts.robot import silence
from tests.parts.sounds import voices
from tests.service.rig import Daemon


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    said = voices(tmp_path_factory.mktemp("voices"))
    words = [said[word] + silence(0.25) for word in said]
    return silence(1.0) + b"".join(words * 3) + silence(1.0)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def recording(tmp_path: Path, speech: bytes) -> Path:
    chance = random.Random(5)
    samples = array("h", speech)
    quiet = array("h", (sample // 120 + round(chance.gauss(0, 3)) for sample in samples))
    return wav(tmp_path / "room.wav", quiet.tobytes())


def test_a_recording_is_shown_with_its_levels_and_a_faint_voice_gets_gain(
    shell: Shell, recording: Path
) -> None:
    path = shell.write("scribed.toml", "# mine\n[audio]  # the microphone\n# gain_db = 0.0  # dB\n")
    path.chmod(0o640)
    said = shell.scribed("tune", recording, "-c", path)
    assert said.status == 0, said.err
    assert "#" in said.out
    assert "audio.gain_db = " in said.out
    assert path.read_text() == "# mine\n[audio]  # the microphone\n# gain_db = 0.0  # dB\n"

    said = shell.scribed("tune", recording, "-c", path, "--write")
    assert said.status == 0, said.err
    assert "-# gain_db = 0.0  # dB" in said.out
    written = path.read_text()
    assert written.startswith("# mine\n[audio]  # the microphone\ngain_db = ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert shell.scribed("check", "-c", path).status == 0
    assert list(shell.home.glob(".*.new")) == []


def test_for_programs_it_has_every_figure(shell: Shell, recording: Path) -> None:
    said = json.loads(shell.scribed("tune", recording, "--json").out)
    assert {"floor_dbfs", "speech_dbfs", "snr_db", "now", "proposals", "notes"} <= set(said)
    assert len(said["voices"]) == len(said["gate"]) == said["audio_ms"] // 20
    assert said["now"]["openings"] == len(said["utterances"])


def test_a_value_that_a_variable_sets_is_named_and_an_invalid_file_is_left(
    shell: Shell, recording: Path
) -> None:
    path = shell.write("scribed.toml", "[audio]\ngain_db = 1\n")
    shell.environ["SCRIBED_AUDIO__GAIN_DB"] = "0"
    said = shell.scribed("tune", recording, "-c", path, "--write")
    assert "audio.gain_db: SCRIBED_AUDIO__GAIN_DB stands over the file" in said.err
    broken = shell.write("broken.toml", "[vad]\nhangover = 1\n")
    for words in (["--write"], []):
        assert shell.scribed("tune", recording, "-c", broken, *words).status == 78
    assert broken.read_text() == "[vad]\nhangover = 1\n"


def test_what_is_no_recording_is_an_error_in_words(shell: Shell) -> None:
    said = shell.scribed("tune", shell.write("x.wav", "RIFF"))
    assert said.status == 1
    assert "x.wav" in said.err


def test_where_scribed_is_muted_it_does_not_listen_either(shell: Shell) -> None:
    shell.environ["RUNTIME_DIRECTORY"] = str(shell.home / "run")
    path = shell.write("scribed.toml", '[audio]\ndevice = "null"\n')
    with Daemon(shell.home / "run") as daemon:
        daemon.answer = lambda _: {"mute_reasons": ["local"]}
        said = shell.scribed("tune", "-c", path)
    assert said.status == 1
    assert "scribed mute off" in said.err


def test_live_it_shows_decisions_until_ctrl_c_and_then_the_summary(
    shell: Shell, speech: bytes, tmp_path: Path
) -> None:
    asound = Asound(tmp_path, compile_fault(tmp_path))
    (raw := tmp_path / "mic.raw").write_bytes(speech)
    mic = asound.fault("mic", audio=raw)
    path = shell.write("scribed.toml", f'[audio]\ndevice = "{mic.name}"\n')
    live = subprocess.Popen(
        [*COMMAND, "tune", "-c", str(path), "--quiet", "0.5"],
        env={**shell.environ, **asound.environment(), "PYTHONUNBUFFERED": "1"},
        cwd=shell.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert live.stdout is not None
    said = ""
    while "###" not in said:
        line = live.stdout.readline()
        assert line, live.communicate()[1]
        said += line
    live.send_signal(signal.SIGINT)
    rest, err = live.communicate(timeout=20)
    assert live.returncode == 0, err
    assert "Traceback" not in err
    assert "be quiet for 0.5 s" in said
    assert "utterances, " in rest

    mic.on("stalled")
    shell.environ |= asound.environment()
    stalled = shell.scribed("tune", "-c", path, "--quiet", "0.5")
    assert stalled.status == 1
    assert "no frames for 1.5 s" in stalled.err

    mic.off("stalled")
    mic.on("busy")
    busy = shell.scribed("tune", "-c", path)
    assert busy.status == 1
    assert "mic" in busy.err
