"""What the uplink's alerts say, and when they are over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import Alert, AlertCleared, LinkState
from scribed.uplink.retries import Retries
from scribed.uplink.troubles import DOWN_FAILURES, STANDS_S, Troubles
from scribed.worker import Mailbox

GONE = Failed(Remedy.BACK_OFF, "connection refused")


@pytest.fixture
def supervisor() -> Iterator[Mailbox[Any]]:
    mailbox: Mailbox[Any] = Mailbox()
    yield mailbox
    mailbox.close()


def go_down(troubles: Troubles, now: float) -> None:
    """The link fails as often as makes an alert."""
    retries = Retries(Retry())
    for _ in range(DOWN_FAILURES):
        retries.failed(GONE, now, busy=True)
        troubles.link_down(GONE, LinkState.BACKOFF, retries, 0, now)


def alerts(supervisor: Mailbox[Any]) -> list[Alert | AlertCleared]:
    return [item for item in supervisor.drain() if isinstance(item, (Alert, AlertCleared))]


def test_a_link_that_stands_is_no_trouble_though_nobody_speaks(supervisor: Mailbox[Any]) -> None:
    troubles = Troubles(supervisor)
    go_down(troubles, 100.0)
    assert [item.code for item in alerts(supervisor)] == ["backend_down"]
    troubles.link_up("elevenlabs", 110.0)
    troubles.link_stands(110.0 + STANDS_S - 1)
    assert alerts(supervisor) == []
    troubles.link_stands(110.0 + STANDS_S)
    troubles.link_stands(111.0 + STANDS_S)
    assert alerts(supervisor) == [AlertCleared("backend_down", "uplink")]


def test_a_link_that_stood_before_it_failed_proves_nothing(supervisor: Mailbox[Any]) -> None:
    troubles = Troubles(supervisor)
    troubles.link_up("elevenlabs", 0.0)
    go_down(troubles, 100.0)
    alerts(supervisor)
    troubles.link_stands(200.0)  # there is a connection, and the service has said nothing yet
    assert alerts(supervisor) == []
