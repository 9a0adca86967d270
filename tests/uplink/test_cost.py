"""What was billed on a day, what it costs, and what the day's limit does."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from scribed import clock
from scribed.config import Cost
from scribed.model import Alert, Closed, Final, Link, LinkState, Outcome
from scribed.uplink.cost import REMEMBER_S, Spending
from tests.parts.cloud import Cloud
from tests.uplink.rig import Rig

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc).timestamp()
DAY = 86400.0


def spending(
    seconds: float = 0.0, *, day: str = "", limit_s: int = 0, at_limit: str = "warn"
) -> Spending:
    settings = Cost(price_per_hour=0.4, daily_limit_s=limit_s, at_limit=at_limit)  # type: ignore[arg-type]
    spent = Spending(settings, (day, seconds))
    spent.pass_time(NOON, lambda: True)
    return spent


def test_what_is_sent_adds_up_and_has_its_price() -> None:
    spent = spending()
    for _ in range(90):
        spent.sent(20.0)
    assert (spent.day, spent.seconds) == ("2026-11-21", 1800.0)
    assert spent.cost() == pytest.approx(0.2)


def test_a_run_goes_on_where_the_one_before_it_ended() -> None:
    assert spending(100.0, day="2026-11-21").seconds == 100.0
    assert spending(100.0, day="2026-11-20").seconds == 0.0


def test_a_clock_that_starts_in_the_past_does_not_make_a_new_day() -> None:
    spent = spending(100.0)
    spent.sent(100.0)
    spent.pass_time(0.0, lambda: False)
    spent.pass_time(0.0, lambda: None)
    assert (spent.day, spent.seconds) == ("2026-11-21", 100.0)


def test_a_clock_that_was_ahead_once_counts_by_its_own_days_after_a_midnight() -> None:
    spent = Spending(Cost(), ("2027-05-01", 100.0))
    spent.pass_time(NOON, lambda: None)
    spent.sent(10.0)
    assert (spent.day, spent.seconds) == ("2027-05-01", 110.0)
    spent.pass_time(NOON + DAY, lambda: None)
    assert (spent.day, spent.seconds) == ("2026-11-22", 0.0)


def test_a_clock_that_is_set_back_rightly_does() -> None:
    spent = spending(100.0, day="2099-01-01")
    assert (spent.day, spent.seconds) == ("2026-11-21", 0.0)


def test_without_a_limit_there_is_none() -> None:
    assert not spending(1e9, day="2026-11-21", at_limit="stop").shut


@pytest.mark.parametrize(
    ("at_limit", "shut", "gives_up", "words"),
    [
        ("warn", False, False, "goes on"),
        ("spool", True, False, "waits"),
        ("stop", True, True, "is not transcribed"),
    ],
)
def test_at_the_limit_what_was_configured_is_done_until_the_next_day(
    at_limit: str, shut: bool, gives_up: bool, words: str
) -> None:
    spent = spending(limit_s=60, at_limit=at_limit)
    spent.sent(59.9)
    assert not spent.at_limit
    spent.sent(0.1)
    assert (spent.at_limit, spent.shut, spent.gives_up) == (True, shut, gives_up)
    assert "60 s" in spent.message()
    assert words in spent.message()
    spent.pass_time(NOON + DAY / 2, lambda: False)
    assert (spent.day, spent.at_limit, spent.seconds) == ("2026-11-22", False, 0.0)


def test_the_sum_is_written_down_once_a_minute_and_at_the_end() -> None:
    spent = spending()
    assert spent.to_remember(0.0) == ("2026-11-21", 0.0)
    assert spent.to_remember(1000.0) is None, "nothing was sent"
    spent.sent(5.0)
    assert spent.to_remember(REMEMBER_S - 1.0) is None
    assert spent.to_remember(REMEMBER_S) == ("2026-11-21", 5.0)
    spent.sent(1.0)
    assert spent.to_remember(REMEMBER_S + 1.0, last=True) == ("2026-11-21", 6.0)


# On the line


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    server = Cloud()
    yield server
    server.close()


def today() -> str:
    now = datetime.datetime.fromtimestamp(clock.wall(), datetime.timezone.utc)
    return now.date().isoformat()


def test_what_is_billed_is_counted_with_all_padding_and_remembered(cloud: Cloud) -> None:
    with Rig(cloud.url, cost=Cost(price_per_hour=3600.0), spent=(today(), 10.0)) as rig:
        rig.say(1, 1.0)
        rig.say(2, 0.1)  # the service takes no less than 0.3 s
        rig.answers(2)
        rig.drain(5.0)
        billed_s = 10.0 + sum(map(len, cloud.commits)) / 32000
        assert rig.uplink.report.billed_s == pytest.approx(billed_s)
        assert billed_s >= 11.3
        assert rig.uplink.report.cost == pytest.approx(billed_s)
        assert rig.uplink.report.audio_sent_s == pytest.approx(1.1)
        day, seconds = rig.remembered[-1]
        assert day == today()
        assert seconds == pytest.approx(billed_s)


def is_budget(item: object) -> bool:
    return isinstance(item, Alert) and item.code == "budget"


def test_at_the_limit_a_warning_is_an_alert_and_nothing_more(cloud: Cloud) -> None:
    with Rig(cloud.url, cost=Cost(daily_limit_s=1, at_limit="warn")) as rig:
        rig.say(1)
        rig.wait_for_news(is_budget)
        rig.say(2)
        assert all(isinstance(end, Final) for end in rig.answers(2))


def test_at_the_limit_speech_waits_and_the_connection_is_closed(cloud: Cloud) -> None:
    with Rig(cloud.url, cost=Cost(daily_limit_s=1, at_limit="spool")) as rig:
        rig.say(1)
        assert isinstance(rig.answers(1)[0], Final), "what was begun is answered"
        rig.wait_for_news(is_budget)
        rig.wait_for_news(lambda i: isinstance(i, Link) and i.state is LinkState.IDLE)
        rig.say(2)
        rig.drain(30.0)  # which does not wait for what cannot come
        assert rig.uplink.report.tally.utterances == 1
    assert (cloud.connections, len(cloud.commits)) == (1, 1)


def test_where_the_day_s_audio_is_used_up_nothing_is_connected_at_all(cloud: Cloud) -> None:
    limit = Cost(daily_limit_s=60, at_limit="spool")
    with Rig(cloud.url, cost=limit, spent=(today(), 60.0), connect="always") as rig:
        rig.say(1)
        rig.wait_for_news(is_budget)
    assert cloud.connections == 0


def test_at_the_limit_speech_may_be_given_up(cloud: Cloud) -> None:
    limit = Cost(daily_limit_s=1, at_limit="stop")
    with Rig(cloud.url, cost=limit) as rig:
        rig.say(1)
        assert isinstance(rig.answers(1)[0], Final)
        rig.wait_for_news(is_budget)
        rig.say(2)
        (end,) = rig.answers(1)
        assert isinstance(end, Closed)
        assert end.outcome is Outcome.EXPIRED
