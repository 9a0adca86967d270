"""An alert that two workers have raised is over when both say so."""

from __future__ import annotations

from scribed.alerts import Alerts
from scribed.model import Alert, AlertCleared

DISK = Alert("spool_full", "the disk is full", "free space", owner="store")
MEMORY = Alert("spool_full", "32 MB wait in memory", "restore the link", owner="uplink")


def test_one_owner_raises_and_clears() -> None:
    alerts = Alerts()
    assert alerts.take(DISK) == DISK
    cleared = AlertCleared("spool_full", "store")
    assert alerts.take(cleared) == cleared


def test_what_another_owner_still_has_to_say_stays_up() -> None:
    alerts = Alerts()
    alerts.take(DISK)
    assert alerts.take(MEMORY) == MEMORY
    assert alerts.take(AlertCleared("spool_full", "uplink")) == DISK
    cleared = AlertCleared("spool_full", "store")
    assert alerts.take(cleared) == cleared


def test_a_code_that_was_never_raised_is_cleared_all_the_same() -> None:
    cleared = AlertCleared("quota", "uplink")
    assert Alerts().take(cleared) == cleared
