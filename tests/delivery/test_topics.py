"""Where a final goes, decided anew each time it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.topics import RULES, LateReason, Message, route
from scribed.model import EarlierBoot
from tests.delivery.peers import final


@pytest.mark.parametrize(("age_s", "left_s"), [(0.0, 5), (0.4, 4), (3.9, 1), (4.9, 1), (5.0, 1)])
def test_fresh_speech_may_be_obeyed_for_what_is_left_of_its_freshness(
    age_s: float, left_s: int
) -> None:
    assert route(final(7, at=100.0), 100.0 + age_s, 6, 5.0) == ("transcript", None, left_s)


def test_stale_speech_is_late() -> None:
    assert route(final(7, at=100.0), 105.1, 0, 5.0) == ("late", LateReason.STALE, None)


def test_speech_that_a_newer_utterance_overtook_is_late() -> None:
    assert route(final(7, at=100.0), 100.5, 8, 5.0) == ("late", LateReason.OVERTAKEN, None)


def test_speech_of_an_earlier_boot_is_late_however_young_it_seems() -> None:
    spoken = final(7, at=100.0, boot=EarlierBoot("boot-0", 1e9, clock_synced=True))
    assert route(spoken, 100.1, 0, 5.0) == ("late", LateReason.EARLIER_BOOT, None)


def test_a_lost_puback_is_no_reason_to_be_late() -> None:
    assert route(final(7, at=100.0), 101.0, 7, 5.0).topic == "transcript"


def test_a_clock_that_runs_a_little_behind_the_sound_does_no_harm() -> None:
    assert route(final(7, at=100.0), 99.9, 0, 5.0).expiry_s == 5


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 20)), max_size=40),
    st.floats(1, 10),
)
def test_seq_only_rises_on_transcript_and_nothing_stale_is_on_it(
    finals: list[tuple[int, float]], stale_after_s: float
) -> None:
    highest, now = 0, 1000.0
    for seq, age_s in finals:
        way = route(final(seq, now - age_s), now, highest, stale_after_s)
        if way.topic == "transcript":
            assert seq >= highest
            assert age_s <= stale_after_s + 1e-6
            assert way.expiry_s is not None
            assert 1 <= way.expiry_s <= max(stale_after_s, 1)
            highest = seq
        else:
            assert way.late_reason is not None


def test_speech_is_never_retained_and_what_describes_the_daemon_is() -> None:
    retained = {topic for topic, rule in RULES.items() if rule.retain}
    assert retained == {"status", "state", "alert", "muted"}
    assert {topic for topic, rule in RULES.items() if rule.qos == 0} == {
        "text",
        "partial",
        "metrics",
    }


def test_every_alert_follows_the_rule_of_alerts() -> None:
    assert Message("alert/quota", b"").rule is RULES["alert"]
