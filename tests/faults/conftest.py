"""What the scenarios share: the voice, and the figures they print at the end."""

from __future__ import annotations

import pytest

from tests.faults import report, voice


@pytest.fixture(scope="session")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What is said: see `voice.PHRASES`."""
    return voice.phrases(tmp_path_factory.mktemp("voice"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if report.ALL:
        terminalreporter.section("figures of the fault scenarios")
        for line in report.lines():
            terminalreporter.write_line(line)
