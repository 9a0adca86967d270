"""The demo's microphone: private, complete, and gone without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scribed.demo.microphone import NullSinkMicrophone


def started(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start and stop the microphone in a process of its own with this environment."""
    code = (
        "from scribed.demo.microphone import NullSinkMicrophone\n"
        "from scribed.errors import SourceError\n"
        "try:\n"
        "    with NullSinkMicrophone(): print('started')\n"
        "except SourceError as exc: print(exc)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )


def test_it_leaves_no_process_no_directory_and_nothing_at_home(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(temporary)}
    environment.pop("XDG_CONFIG_HOME", None)
    code = (
        "import os, subprocess, sys\n"
        "from scribed.demo.microphone import NullSinkMicrophone\n"
        "with NullSinkMicrophone() as microphone:\n"
        "    os.environ.update(microphone.environment())\n"
        "    from scribed.capture.sources.alsa import AlsaSource\n"
        "    from scribed.config import Audio\n"
        "    AlsaSource(Audio(device=microphone.device)).close()\n"
        "    print(*os.listdir(os.environ['TMPDIR']))\n"
        "microphone.stop()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    (name,) = ran.stdout.split()
    assert name.startswith("scribed-mic-")
    assert ran.stderr == ""
    assert list(temporary.iterdir()) == list(home.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert name not in running.stdout


def test_what_is_not_installed_is_named_by_its_package(tmp_path: Path) -> None:
    ran = started({**os.environ, "PATH": str(tmp_path)})
    assert ran.stdout == (
        "demo microphone: pulseaudio, pulseaudio-utils missing; "
        "sudo apt-get install pulseaudio pulseaudio-utils\n"
    )


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    for name, script in (("pulseaudio", "echo no such luck >&2; exit 1"), ("paplay", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    ran = started({**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert ran.stdout == "demo microphone: pulseaudio does not start: no such luck\n"


def test_a_directory_too_deep_for_a_socket_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    ran = started({**os.environ, "TMPDIR": str(deep)})
    assert "is too long for a socket; set TMPDIR=/tmp" in ran.stdout
    assert list(deep.iterdir()) == []


def test_two_of_them_do_not_hear_each_other() -> None:
    with NullSinkMicrophone() as one, NullSinkMicrophone() as other:
        assert one.environment()["PULSE_SERVER"] != other.environment()["PULSE_SERVER"]


def test_it_must_be_started_to_be_used(tmp_path: Path) -> None:
    microphone = NullSinkMicrophone()
    with pytest.raises(RuntimeError):
        microphone.environment()
    with pytest.raises(RuntimeError):
        microphone.play(tmp_path / "a.wav")
    microphone.stop()
