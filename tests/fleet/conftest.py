"""What the tests of fleets share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.demo.broker import Broker
from tests.fleet.brokers import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A robot's broker and the site's, as docs/examples/fleet has them, and the bridge stands."""
    with Fleet(tmp_path).running() as fleet:
        yield fleet


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The same for all tests of a file, which leave nothing in it."""
    with Fleet(tmp_path_factory.mktemp("sites")).running() as fleet:
        yield fleet


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One broker, where everybody may do everything."""
    with Broker(tmp_path) as running:
        yield running
