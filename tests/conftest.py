"""What holds for every test, and what is printed when all have run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import settings

from tests.faults import report

# A shared machine pauses a process for longer than any deadline that finds a slow example;
# pytest-timeout is what ends a test that hangs.
settings.register_profile("explore", deadline=None)
# The same examples each time: what is submitted does not fail for what was there before.
settings.register_profile("scribed", deadline=None, derandomize=True)
settings.load_profile("scribed")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Figures of a process beside others (pytest-xdist) go to the one that prints."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = [asdict(figures) for figures in report.ALL]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of those processes has ended."""
    for figures in getattr(node, "workeroutput", {}).get("figures", ()):
        report.ALL.append(report.Figures(**figures))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if report.ALL:
        terminalreporter.section("figures of the fault scenarios")
        for line in report.lines():
            terminalreporter.write_line(line)
