"""The service that hears which frames it is sent, a recording of them, and a shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.faults.cloud import Cloud
from tests.faults.voice import phrases
from tests.transcribe.recording import RUN, Recording, record


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(run=RUN) as running:
        yield running


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Ten phrases, half a minute."""
    return record(phrases(tmp_path_factory.mktemp("voice")) * 2)


@pytest.fixture
def shell(tmp_path: Path, cloud: Cloud) -> Shell:
    shell = Shell(tmp_path)
    shell.environ |= {
        "ELEVENLABS_API_KEY": "sk_canary",
        "SCRIBED_PROVIDER__URL": f"ws://127.0.0.1:{cloud.port}",
    }
    return shell
