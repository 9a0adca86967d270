"""What the scenarios share: the voice."""

from __future__ import annotations

import pytest

from tests.faults import voice


@pytest.fixture(scope="session")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What is said: see `voice.PHRASES`."""
    return voice.phrases(tmp_path_factory.mktemp("voice"))
