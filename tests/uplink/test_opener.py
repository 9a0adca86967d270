"""How a session comes to be: what it is told of, and what is made of what goes wrong."""

from __future__ import annotations

from typing import NoReturn

import pytest

from scribed import clock
from scribed.errors import Refused, Remedy, ScribedError, TransportError
from scribed.interfaces import Request, Session
from scribed.uplink.connection import Connection
from scribed.uplink.opener import CONTEXT_S, NotOpened, Opener


class Mint:
    """Where tokens come from, and cannot be had."""

    def __init__(self, problem: Exception) -> None:
        self.problem, self.contexts = problem, list[str]()

    def new_session(self, context: str) -> Session:
        self.contexts.append(context)
        raise self.problem

    def connect(self, request: Request) -> Connection:
        raise AssertionError("there is no session")


def failure(problem: Exception) -> NotOpened:
    mint = Mint(problem)
    opened = Opener(mint.new_session, mint.connect).open()
    assert isinstance(opened, NotOpened)
    assert not opened.asked
    return opened


@pytest.mark.parametrize(
    ("problem", "remedy", "alert"),
    [
        (Refused(401, "bad"), Remedy.REFUSED, "auth_failed"),
        (Refused(403, "bad"), Remedy.REFUSED, "auth_failed"),
        (Refused(402, "pay"), Remedy.REFUSED, "quota"),
        (Refused(429, "slow", 7.0), Remedy.COOL_DOWN, None),
        (TransportError("timed out"), Remedy.BACK_OFF, None),
        (ScribedError("no API key"), Remedy.REFUSED, "auth_failed"),
    ],
)
def test_a_token_that_cannot_be_had_is_a_failure_with_its_remedy(
    problem: Exception, remedy: Remedy, alert: str | None
) -> None:
    failed = failure(problem).failed
    assert (failed.remedy, failed.alert) == (remedy, alert)


def test_what_the_mint_asks_to_wait_is_waited() -> None:
    assert failure(Refused(429, "", 7.0)).failed.retry_after_s == 7.0


def test_what_the_mint_said_is_not_repeated() -> None:
    assert "s3cret" not in failure(Refused(401, "s3cret")).failed.reason


def test_the_last_text_is_context_for_a_minute() -> None:
    mint = Mint(TransportError("away"))
    opener = Opener(mint.new_session, mint.connect)
    now = clock.now()
    opener.open()
    opener.committed("turn left", now)
    opener.open()
    opener.committed("  ", now)
    opener.open()
    opener.committed("said before that", now - 1.0)
    opener.open()
    assert mint.contexts == ["", "turn left", "turn left", "turn left"]


def test_what_was_said_long_ago_is_no_context_whenever_it_was_answered() -> None:
    mint = Mint(TransportError("away"))
    opener = Opener(mint.new_session, mint.connect)
    opener.committed("turn right", clock.now() - CONTEXT_S - 1.0)
    opener.open()
    assert mint.contexts == [""]


def test_an_error_that_nobody_expects_is_not_hidden() -> None:
    def broken(_context: str) -> NoReturn:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Opener(broken, Mint(TransportError("")).connect).open()
