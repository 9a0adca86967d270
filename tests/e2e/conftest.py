"""What the end-to-end tests share: devices, a voice, and the service."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.demo.voice import speak
from scribed.simulate.recognizers.pocketsphinx import PocketSphinx
from scribed.simulate.server import Server
from tests.parts import sounds
from tests.parts.asound import Asound, compile_fault
from tests.parts.cloud import Cloud
from tests.parts.robot import KEY


@pytest.fixture(scope="session")
def fault_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fault(tmp_path_factory.mktemp("fault"))


@pytest.fixture
def asound(tmp_path: Path, fault_module: Path) -> Asound:
    """An asound.conf for the daemon: `environment()` is what it needs to see it."""
    (directory := tmp_path / "asound").mkdir()
    return Asound(directory, fault_module)


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A spoken command of 1.9 s, 16 kHz mono."""
    path = tmp_path_factory.mktemp("voice") / "command.wav"
    speak("go forward ten meters", path)
    with wave.open(str(path)) as file:
        pcm: bytes = file.readframes(file.getnframes())
    return pcm


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Single words, by themselves."""
    return sounds.voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def listening_service() -> Iterator[Server]:
    """The stand-in for the service, which recognises English."""
    with Server(recognizer=PocketSphinx(), key=KEY) as server:
        yield server


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """The stand-in that misbehaves on request, and says how much it was sent."""
    server = Cloud()
    server.always.answer = said
    yield server
    server.close()


def said(audio: bytes) -> str:
    """What the misbehaving stand-in answers: it recognises nothing."""
    return f"heard {len(audio)} bytes"
