"""When the link is tried again after each kind of failure."""

from __future__ import annotations

import pytest

from scribed.config import Retry
from scribed.errors import Remedy
from scribed.interfaces import Failed
from scribed.model import LinkState
from scribed.uplink.retries import TRY_AT_ONCE_S, Retries

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
