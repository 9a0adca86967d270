"""When the link is tried again after each kind of failure."""

from __future__ import annotations

import pytest

from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import LinkState, UtteranceId
from scribed.uplink.retries import QUICK_LIMIT, QUICK_S, TRY_AT_ONCE_S, Retries

SETTINGS = Retry(initial_s=0.5, max_s=30.0, refused_s=300.0)


def failed(remedy: Remedy, **more: float) -> Failed:
    return Failed(remedy, "why", **more)  # type: ignore[arg-type]


def test_a_lost_connection_is_made_again_at_once_but_only_the_first_time() -> None:
    retries = Retries(SETTINGS)
    assert retries.failed(failed(Remedy.RECONNECT), 10.0, busy=True) is LinkState.BACKOFF
    assert retries.not_before == 10.0
    later = []
    for _ in range(50):
        retries.failed(failed(Remedy.RECONNECT), 10.0, busy=True)
        later.append(retries.not_before)
    assert max(later) > 20.0
    assert max(later) <= 40.0


def test_a_committed_text_makes_it_a_new_story() -> None:
    retries = Retries(SETTINGS)
    for _ in range(10):
        retries.failed(failed(Remedy.BACK_OFF), 10.0, busy=True)
    retries.succeeded()
    assert retries.failures == 0
    retries.failed(failed(Remedy.BACK_OFF), 10.0, busy=True)
    assert retries.not_before <= 10.5


def test_the_end_of_an_idle_link_is_no_failure() -> None:
    retries = Retries(SETTINGS)
    assert retries.failed(failed(Remedy.RECONNECT), 10.0, busy=False) is LinkState.IDLE
    assert (retries.not_before, retries.failures) == (10.5, 0)


def test_a_refused_account_is_tried_again_slowly() -> None:
    retries = Retries(SETTINGS)
    assert retries.failed(failed(Remedy.REFUSED), 10.0, busy=True) is LinkState.REFUSED
    assert retries.not_before == 310.0


@pytest.mark.parametrize("remedy", [Remedy.COOL_DOWN, Remedy.BACK_OFF])
def test_what_the_service_asks_to_wait_is_waited_even_if_somebody_speaks(remedy: Remedy) -> None:
    retries = Retries(SETTINGS)
    retries.tried(0.0)
    retries.failed(failed(remedy, retry_after_s=120.0), 10.0, busy=True)
    retries.hurry(100.0)
    assert retries.not_before == 130.0


def test_speech_cuts_a_delay_short_if_the_last_attempt_is_five_seconds_old() -> None:
    retries = Retries(Retry(initial_s=1e6, max_s=1e6))
    retries.tried(10.0)
    retries.failed(failed(Remedy.BACK_OFF), 10.0, busy=True)
    retries.hurry(10.0 + TRY_AT_ONCE_S - 0.1)
    assert retries.not_before > 20.0
    retries.hurry(10.0 + TRY_AT_ONCE_S)
    assert retries.not_before == 15.0


def test_a_refused_account_is_not_hurried_by_speech() -> None:
    retries = Retries(SETTINGS)
    retries.tried(0.0)
    retries.failed(failed(Remedy.REFUSED), 10.0, busy=True)
    retries.hurry(100.0)
    assert retries.not_before == 310.0


# Connections that end at once


def die(
    retries: Retries,
    now: float,
    *,
    after: float = 0.1,
    ready: bool = True,
    why: Failed | None = None,
) -> LinkState:
    """A connection that ends `after` so many seconds."""
    retries.tried(now)
    retries.opened(now)
    if ready:
        retries.ready()
    return retries.failed(why or failed(Remedy.BACK_OFF), now + after, busy=True)


@pytest.mark.parametrize(("after", "ready"), [(0.1, True), (9.0, False)])
def test_five_connections_in_a_row_that_end_at_once_are_enough_for_a_while(
    after: float, ready: bool
) -> None:
    retries = Retries(SETTINGS)
    for n in range(QUICK_LIMIT - 1):
        die(retries, 10.0 * n, after=after, ready=ready)
        assert retries.not_before < 10.0 * n + after + 30.0
        assert retries.quick == 0
    assert die(retries, 100.0, after=after, ready=ready) is LinkState.BACKOFF
    assert retries.not_before == pytest.approx(100.0 + 30.0)
    assert retries.quick == QUICK_LIMIT
    retries.hurry(110.0)
    assert retries.not_before == 110.0, "somebody speaks"


def test_an_idle_link_that_is_closed_again_and_again_at_once_is_one_of_them() -> None:
    retries = Retries(SETTINGS)
    for _ in range(QUICK_LIMIT):
        retries.tried(0.0)
        retries.opened(0.0)
        state = retries.failed(failed(Remedy.RECONNECT), 0.1, busy=False)
    assert state is LinkState.BACKOFF
    assert retries.not_before == pytest.approx(30.0)


def test_what_one_utterance_did_is_no_reason_to_let_the_others_wait() -> None:
    retries = Retries(SETTINGS)
    for n in range(QUICK_LIMIT):
        retries.tried(float(n))
        retries.opened(float(n))
        excused = n == QUICK_LIMIT - 1
        retries.failed(failed(Remedy.BACK_OFF), n + 0.1, busy=True, excused=excused)
    assert retries.quick == 0


def test_a_text_or_a_connection_that_lasts_begins_a_new_count() -> None:
    retries = Retries(SETTINGS)
    for _ in range(3):
        for _ in range(QUICK_LIMIT - 1):
            die(retries, 0.0)
        retries.succeeded()
        for _ in range(QUICK_LIMIT - 1):
            die(retries, 0.0)
        die(retries, 0.0, after=QUICK_S + 0.1)
    assert retries.quick == 0


def test_a_network_that_is_away_is_not_meant() -> None:
    retries = Retries(SETTINGS)
    for _ in range(50):
        retries.tried(0.0)
        retries.failed(failed(Remedy.BACK_OFF), 0.1, busy=True)
    assert retries.quick == 0


def test_an_utterance_that_is_refused_is_not_meant_either() -> None:
    retries = Retries(SETTINGS)
    for _ in range(50):
        why = Failed(Remedy.BACK_OFF, "bad audio", blamed=UtteranceId("u1"))
        die(retries, 0.0, why=why)
    assert retries.quick == 0


# Tokens


AUTH = Failed(Remedy.REFUSED, "auth_error", alert="auth_failed")


def test_the_first_refusal_of_a_token_asks_for_another_and_the_second_is_one() -> None:
    retries = Retries(SETTINGS, mints=True)
    first = retries.judged(AUTH)
    assert (first.remedy, first.alert, first.reason) == (Remedy.BACK_OFF, None, "auth_error")
    assert retries.judged(AUTH) is AUTH
    retries.succeeded()
    assert retries.judged(AUTH).remedy is Remedy.BACK_OFF


def test_a_key_that_is_refused_is_refused() -> None:
    assert Retries(SETTINGS).judged(AUTH) is AUTH


def test_only_the_credential_is_given_a_second_chance() -> None:
    quota = Failed(Remedy.REFUSED, "quota_exceeded", alert="quota")
    assert Retries(SETTINGS, mints=True).judged(quota) is quota
