"""When the broker is tried again, and with which version of MQTT."""

from __future__ import annotations

import random

import pytest

from scribed.backoff import Backoff
from scribed.delivery.attempts import (
    DEADLY_MAX_S,
    DEADLY_S,
    MAX_S,
    STABLE_S,
    TAKEN_OVER_S,
    Attempts,
    Loss,
    Pauses,
)


def attempts(protocol: str = "auto", backoff: Backoff | None = None) -> Attempts:
    backoff = backoff or Backoff(1.0, MAX_S, random.Random(1))
    return Attempts(protocol, backoff)  # type: ignore[arg-type]


def test_the_pauses_grow_to_their_bound_and_are_never_longer() -> None:
    tries, pauses = attempts(), []
    for _ in range(200):
        tries.failed(Loss.UNREACHABLE, 100.0)
        pauses.append(tries.due_at - 100.0)
    assert max(pauses[:2]) <= 2.0
    assert max(pauses) <= MAX_S
    assert sum(pauses[10:]) / len(pauses[10:]) > MAX_S / 3


def version_after(tries: Attempts, *losses: Loss) -> str:
    """The version that is tried next, after `losses`."""
    for loss in losses:
        tries.failed(loss, 0.0)
    return tries.version


def test_a_handshake_proves_nothing() -> None:
    backoff = Backoff(1.0, MAX_S)
    tries = attempts(backoff=backoff)
    for _ in range(5):
        tries.connected(0.0)
        tries.failed(Loss.LOST, 1.0)
    assert backoff.failures == 5


@pytest.mark.parametrize("how", ["a final", "time"])
def test_a_final_or_a_long_connection_proves_the_broker(how: str) -> None:
    backoff = Backoff(1.0, MAX_S)
    tries = attempts(backoff=backoff)
    for _ in range(5):
        tries.failed(Loss.UNREACHABLE, 0.0)
    tries.connected(0.0)
    if how == "a final":
        tries.proven()
    tries.failed(Loss.LOST, 1.0 if how == "a final" else STABLE_S)
    assert backoff.failures == 1


def test_a_version_that_is_refused_is_not_tried_again() -> None:
    tries = attempts()
    assert version_after(tries) == "5"
    assert version_after(tries, Loss.WRONG_VERSION) == "3.1.1"
    tries.connected(1.0)
    assert version_after(tries, Loss.LOST) == "3.1.1"


def test_a_broker_that_hangs_up_twice_without_a_word_is_asked_in_the_other_version() -> None:
    tries = attempts()
    assert version_after(tries, Loss.SILENT) == "5"
    assert version_after(tries, Loss.SILENT) == "3.1.1"
    assert version_after(tries, Loss.SILENT, Loss.SILENT) == "5"


def test_a_broker_that_is_not_there_says_nothing_about_versions() -> None:
    absent = (Loss.UNREACHABLE, Loss.SILENT, Loss.UNREACHABLE, Loss.SILENT, Loss.REFUSED)
    assert version_after(attempts(), *absent) == "5"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_version_that_was_asked_for_is_kept(protocol: str) -> None:
    tries = attempts(protocol)
    assert version_after(tries, Loss.WRONG_VERSION, *[Loss.SILENT] * 3) == protocol


def test_whoever_took_our_id_is_given_time() -> None:
    tries = attempts()
    tries.connected(0.0)
    tries.failed(Loss.TAKEN_OVER, 10.0)
    assert tries.due_at == 10.0 + TAKEN_OVER_S


def test_what_ends_the_connection_waits_for_minutes_until_it_came_through() -> None:
    pauses = Pauses()
    waits = [pauses.deadly() for _ in range(50)]
    assert min(waits) >= DEADLY_S
    assert 2 * DEADLY_S < max(waits) <= DEADLY_S + DEADLY_MAX_S
    pauses.came_through(aside=1)  # another one did
    assert max(pauses.deadly() for _ in range(50)) > 3 * DEADLY_S
    pauses.came_through(aside=0)
    assert DEADLY_S <= pauses.deadly() <= 2 * DEADLY_S
