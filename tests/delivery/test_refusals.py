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


def closes(refusals: Refusals, *at: float) -> list[bool]:
    return [refusals.contested(Loss.CLOSED, now) for now in at]


def test_three_connections_closed_without_a_word_within_a_minute_are_another_client() -> None:
    refusals = Refusals()
    assert closes(refusals, 0.0, 40.0, 80.0, 99.0) == [False, False, False, True]
    refusals.ended(Loss.TAKEN_OVER, "another client", 99.0)
    assert closes(refusals, 500.0) == [True]  # as long as the alert stands
    assert refusals.connected_since(530.0, 530.0 + ALONE_S) == [AlertCleared("duplicate_id")]
    assert closes(refusals, 591.0, 592.0) == [False, False]


@pytest.mark.parametrize("seen", [Loss.UNREACHABLE, Loss.GONE])
def test_a_broker_that_is_started_again_and_again_is_no_other_client(seen: Loss) -> None:
    refusals = Refusals()
    for now in (1.0, 2.0, 3.0, 4.0):
        assert closes(refusals, now) == [False]
        assert not refusals.contested(seen, now + 0.5)


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
