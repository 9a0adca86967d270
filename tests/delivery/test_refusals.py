"""The alerts that say what the broker refuses."""

from __future__ import annotations

from scribed.delivery.refusals import ALONE_S, Refusals
from scribed.delivery.report import REPEAT_S, Complaints
from scribed.model import Alert, AlertCleared


def test_a_denial_is_told_once_and_cleared_when_nothing_is_denied_any_more() -> None:
    refusals = Refusals()
    news = refusals.deny("late", "no")
    assert isinstance(news, Alert)
    assert news.code == "mqtt_denied"
    assert refusals.deny("late", "no") is None
    assert isinstance(refusals.deny("", "wrong password"), Alert)
    assert refusals.allow("") is None
    assert refusals.allow("transcript") is None
    assert refusals.allow("late") == AlertCleared("mqtt_denied")
    assert refusals.allow("late") is None


def test_an_id_is_ours_again_when_nobody_took_it_for_a_minute() -> None:
    refusals = Refusals()
    assert refusals.connected_since(0.0, 1000.0) is None
    assert isinstance(refusals.taken_over("another client", 1000.0), Alert)
    assert refusals.connected_since(1030.0, 1030.0 + ALONE_S - 1) is None
    assert refusals.connected_since(1030.0, 1030.0 + ALONE_S) == AlertCleared("duplicate_id")
    assert refusals.connected_since(1030.0, 5000.0) is None


def test_what_lasts_is_said_once_and_then_every_five_minutes() -> None:
    complaints = Complaints()
    assert complaints.is_news("broker", "gone", 1000.0)
    assert not complaints.is_news("broker", "gone", 1000.0 + REPEAT_S - 1)
    assert complaints.is_news("late", "gone", 1001.0)
    assert complaints.is_news("broker", "gone", 1000.0 + REPEAT_S)
    assert complaints.is_news("broker", "wrong password", 1301.0)
    complaints.forget("broker")
    assert complaints.is_news("broker", "wrong password", 1302.0)
