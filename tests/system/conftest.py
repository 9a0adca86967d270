"""One box for all these tests, with scribed installed in it; each has an instance of its own."""

from __future__ import annotations

import contextlib
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scribed.demo.broker import Broker
from scribed.demo.voice import speak
from tests.parts.cloud import Cloud
from tests.system import box as boxes
from tests.system.box import Box, CannotBoot
from tests.system.ear import Ear, put_the_key
from tests.system.installing import install, make_wheels, unusable_python

Listen = Callable[..., Ear]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels of scribed and of all it needs; the test is skipped where no box can
    be booted."""
    if reason := boxes.why_not() or unusable_python():
        pytest.skip(reason)
    return make_wheels(tmp_path_factory.mktemp("wheels")).parent


@pytest.fixture(scope="session")
def box(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A real systemd with this checkout installed."""
    directory = tmp_path_factory.mktemp("system")
    tree = directory / "tree"
    install(tree, wheels)
    with contextlib.ExitStack() as stack:
        try:
            box = stack.enter_context(boxes.booted(directory / "box", tree))
        except CannotBoot as exc:
            pytest.skip(str(exc))
        put_the_key(box)
        box.run("journalctl", "--update-catalog")  # as an installation does that is not --root
        yield box


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """The stand-in for the service; its texts tell how many bytes it heard."""
    server = Cloud()
    server.always.answer = lambda audio: f"heard {len(audio)} bytes"
    yield server
    server.close()


@pytest.fixture
def listen(box: Box, broker: Broker, cloud: Cloud) -> Iterator[Listen]:
    """Makes an instance of the unit: `listen(name, sections, service=…, drop_ins=…)`."""
    with contextlib.ExitStack() as stack:

        def make(
            name: str, sections: Mapping[str, Mapping[str, Any]] | None = None, **more: Any
        ) -> Ear:
            whole = {"provider": {"url": cloud.url}} if sections is None else sections
            return stack.enter_context(Ear(box, name, whole, port=broker.port, **more))

        yield make


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A spoken command of 1.9 s, 16 kHz mono."""
    path = tmp_path_factory.mktemp("voice") / "command.wav"
    speak("go forward ten meters", path)
    with wave.open(str(path)) as file:
        pcm: bytes = file.readframes(file.getnframes())
    return pcm
