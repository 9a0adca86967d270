"""An alert that two workers have raised is over when both say so; what a wrong clock is worth."""

from __future__ import annotations

from scribed.alerts import UNSYNCED, UNSYNCED_S, Alerts, WallClock
from scribed.model import Alert, AlertCleared, Event

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


# The wall clock


def test_a_clock_that_is_set_soon_after_the_start_is_no_alert_but_an_event() -> None:
    clock = WallClock()
    assert clock.look(False, 100.0) == []
    assert clock.look(False, 100.0 + UNSYNCED_S - 1) == []
    assert clock.look(True, 100.0 + UNSYNCED_S) == [Event("clock_synced")]
    assert clock.look(True, 1000.0) == []


def test_a_clock_that_nobody_sets_is_an_alert_until_somebody_does() -> None:
    clock = WallClock()
    told = [clock.look(False, at) for at in (100.0, 100.0 + UNSYNCED_S, 1000.0)]
    assert told == [[], [UNSYNCED], []]
    assert clock.look(True, 1001.0) == [AlertCleared("clock_unsynced"), Event("clock_synced")]
    assert clock.look(False, 1002.0) == []
    assert clock.look(False, 1002.0 + UNSYNCED_S) == [UNSYNCED]
    assert clock.look(None, 2000.0) == [AlertCleared("clock_unsynced")]


def test_of_a_clock_of_which_nothing_is_known_nothing_is_told() -> None:
    clock = WallClock()
    assert [clock.look(None, 1.0), clock.look(None, 1000.0), clock.look(True, 1001.0)] == [[]] * 3
