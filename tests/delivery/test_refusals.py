"""The alerts that say what the broker refuses."""

from __future__ import annotations

import pytest

from scribed.delivery.attempts import Loss
from scribed.delivery.refusals import ALONE_S, DENIED_REMEDY, QUOTA_REMEDY, SIZE_REMEDY, Refusals
from scribed.model import Alert, AlertCleared


def test_a_denial_is_told_once_and_cleared_when_nothing_is_denied_any_more() -> None:
    refusals = Refusals()
    news = refusals.deny("late", "no")
    assert isinstance(news, Alert)
    assert news.code == "mqtt_denied"
    assert refusals.deny("late", "no") is None
    assert isinstance(refusals.ended(Loss.REFUSED, "wrong password", 0.0), Alert)
    assert refusals.accepted() is None
    assert refusals.allow("transcript") is None
    assert refusals.allow("late") == AlertCleared("mqtt_denied")
    assert refusals.allow("late") is None


def test_an_id_is_ours_again_when_nobody_took_it_for_a_minute() -> None:
    refusals = Refusals()
    assert refusals.connected_since(0.0, 1000.0) == []
    assert isinstance(refusals.ended(Loss.TAKEN_OVER, "another client", 1000.0), Alert)
    assert refusals.connected_since(1030.0, 1030.0 + ALONE_S - 1) == []
    assert refusals.connected_since(1030.0, 1030.0 + ALONE_S) == [AlertCleared("duplicate_id")]
    assert refusals.connected_since(1030.0, 5000.0) == []


@pytest.mark.parametrize(
    ("loss", "remedy"),
    [
        (Loss.TOO_LARGE, SIZE_REMEDY),
        (Loss.QUOTA, QUOTA_REMEDY),
        (Loss.REFUSED, DENIED_REMEDY),
    ],
)
def test_each_refusal_has_the_remedy_that_helps(loss: Loss, remedy: str) -> None:
    news = Refusals().ended(loss, "it ends", 0.0)
    assert isinstance(news, Alert)
    assert (news.code, news.remedy) == ("mqtt_denied", remedy)


def test_a_session_that_the_broker_ends_is_not_well_by_a_mere_handshake() -> None:
    refusals = Refusals()
    assert refusals.ended(Loss.TOO_LARGE, "packet too large", 1000.0) is not None
    assert refusals.accepted() is None
    assert refusals.ended(Loss.TOO_LARGE, "packet too large", 1002.0) is None
    assert refusals.connected_since(1003.0, 1003.0 + ALONE_S - 1) == []
    assert refusals.connected_since(1003.0, 1003.0 + ALONE_S) == [AlertCleared("mqtt_denied")]
