"""Devices for the tests of the sources: real libasound, no hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.demo.microphone import NullSinkMicrophone
from tests.parts.asound import Asound, compile_fault


@pytest.fixture(scope="session")
def fault_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fault(tmp_path_factory.mktemp("fault"))


@pytest.fixture
def asound(tmp_path: Path, fault_module: Path, monkeypatch: pytest.MonkeyPatch) -> Asound:
    """An asound.conf that this process sees."""
    configuration = Asound(tmp_path, fault_module)
    for name, value in configuration.environment().items():
        monkeypatch.setenv(name, value)
    return configuration


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> Iterator[NullSinkMicrophone]:
    """The demo's microphone, whose device this process sees."""
    with NullSinkMicrophone() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running
