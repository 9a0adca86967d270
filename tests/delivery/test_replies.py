"""Every command gets one reply, and a flood of them costs nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scribed.delivery.commands import COMMANDS
from scribed.delivery.events import Asked
from scribed.delivery.finals import LIMIT
from scribed.delivery.moment import Moment
from scribed.delivery.outbox import Outbox
from scribed.delivery.parcels import Again, Answer
from scribed.delivery.replies import ANSWER_S, AT_ONCE, PENDING, Replies, Ticket, Token
from scribed.model import Closed, CommandError, Outcome, Reply, Restated
from tests.delivery.peers import IDENTITY, final, started

WALL = 1_780_306_202.0


class Desk:
    """The replies, and a broker that takes everything at once."""

    def __init__(self, allowed: tuple[str, ...] = COMMANDS) -> None:
        self.outbox = Outbox(5.0)
        self.replies = Replies(IDENTITY, allowed, self.outbox, template="scribed/{robot}/{source}")
        self.outbox.connected(20)
        self.now, self._mid = 100.0, 0

    @property
    def moment(self) -> Moment:
        return Moment(self.now, WALL)

    def ask(self, name: str, payload: bytes = b"", **asked: Any) -> Ticket | None:
        return self.replies.ask(Asked(name, payload, **asked), self.moment)

    def asked(self, name: str, payload: bytes = b"", **asked: Any) -> Ticket:
        ticket = self.ask(name, payload, **asked)
        assert ticket is not None
        return ticket

    def written(self, *, refuse: bool = False) -> list[Any]:
        """What is written now: replies decoded, restated items as they are."""
        said: list[Any] = []
        while (parcel := self.outbox.offer(self.now)) is not None:
            self._mid += 1
            self.outbox.sent(self._mid, parcel, self.now)
            if isinstance(parcel, Again) and refuse:
                self.outbox.refused(self._mid, 0.0)
                self.replies.refused()
            else:
                self.outbox.acknowledged(self._mid)
            if isinstance(parcel, Answer):
                said.append(msgspec.json.decode(parcel.payload))
            elif isinstance(parcel, Again):
                said.append(parcel.item)
            self.replies.progress(self.moment)
        return said

    def told(self) -> dict[str, Any]:
        (reply,) = self.written()
        assert isinstance(reply, dict)
        return reply


def test_what_is_done_is_told_to_who_asked() -> None:
    desk = Desk()
    ticket = desk.asked("flush", b'{"req": "r-1"}', response_topic="answers/1", correlation=b"7")
    assert (ticket.cmd, ticket.args) == ("flush", {})
    desk.replies.reply(Reply(ticket.token, {"sealed": 3}), desk.moment)
    parcel = desk.outbox.offer(desk.now)
    assert isinstance(parcel, Answer)
    assert (parcel.address.topic, parcel.address.correlation) == ("answers/1", b"7")
    assert desk.told() == {
        "schema": "stt.reply/1",
        "robot": "r7",
        "source": "mic",
        "run_id": "run-1",
        "t": "2026-06-01T09:30:02.000Z",
        "ok": True,
        "cmd": "flush",
        "req": "r-1",
        "result": {"sealed": 3},
    }


def test_what_failed_says_why() -> None:
    desk = Desk()
    ticket = desk.asked("flush")
    desk.replies.reply(Reply(ticket.token, error=CommandError("failed", "no")), desk.moment)
    reply = desk.told()
    assert (reply["ok"], reply["req"]) == (False, None)
    assert reply["error"] == {"code": "failed", "message": "no"}
    assert "result" not in reply


def test_what_is_refused_is_not_handed_on() -> None:
    desk = Desk(allowed=("mute",))
    assert desk.ask("flush") is None
    assert desk.told()["error"]["code"] == "not_allowed"


@pytest.mark.parametrize("token", [1, None, "one", Token(99)])
def test_a_second_reply_or_one_to_nobody_is_not_sent(token: object) -> None:
    desk = Desk()
    ticket = desk.asked("state")
    desk.replies.reply(Reply(ticket.token), desk.moment)
    desk.replies.reply(Reply(ticket.token), desk.moment)
    desk.replies.reply(Reply(token), desk.moment)
    assert len(desk.written()) == 1


def test_a_flood_costs_replies_and_never_reaches_the_daemon() -> None:
    desk = Desk()
    tickets = [desk.ask("state") for _ in range(PENDING + 10)]
    assert None not in tickets[:PENDING]
    assert set(tickets[PENDING:]) == {None}
    replies = desk.written()
    assert [reply["error"]["code"] for reply in replies] == ["busy"] * 10
    first = tickets[0]
    assert first is not None
    desk.replies.reply(Reply(first.token), desk.moment)
    assert desk.ask("state") is not None


def test_a_command_that_nobody_answers_is_told_so_and_makes_room() -> None:
    desk = Desk()
    desk.asked("state")
    assert desk.replies.wake_at() == desk.now + ANSWER_S
    desk.now += ANSWER_S
    desk.replies.progress(desk.moment)
    assert desk.told()["error"]["code"] == "failed"
    assert desk.replies.wake_at() is None


def test_who_named_a_topic_gets_finals_and_ends_again_and_then_the_reply() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 1}', response_topic="answers/1")
    items = (final(1, 10.0), Closed(started(2, 11.0), None, Outcome.FAILED), final(3, 12.0))
    assert desk.replies.restate(Restated(ticket.token, items), desk.moment) is None
    *again, reply = desk.written()
    assert again == list(items)
    assert (reply["ok"], reply["result"]) == (True, {"count": 3})


def test_who_named_none_gets_finals_only() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 1}')
    items = (final(1, 10.0), Closed(started(2, 11.0), None, Outcome.FAILED))
    desk.replies.restate(Restated(ticket.token, items), desk.moment)
    *again, reply = desk.written()
    assert again == [final(1, 10.0)]
    assert reply["result"] == {"count": 1}


def test_nothing_to_say_again_is_a_count_of_none() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 1}')
    desk.replies.restate(Restated(ticket.token, ()), desk.moment)
    assert desk.told()["result"] == {"count": 0}


def test_many_are_taken_in_pieces_and_no_more_than_the_bound() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    item = final(1, 10.0)
    rest: Restated | None = Restated(ticket.token, (item,) * (LIMIT + 5))
    pieces = 0
    while rest is not None:
        rest = desk.replies.restate(rest, desk.moment)
        pieces += 1
        assert desk.outbox.restated == min(pieces * AT_ONCE, LIMIT)
    *again, reply = desk.written()
    assert len(again) == LIMIT
    assert reply["result"] == {"count": LIMIT}


def test_a_restate_is_not_over_by_a_mere_yes_but_by_a_no() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    desk.replies.reply(Reply(ticket.token, {"items": 1}), desk.moment)
    desk.replies.restate(Restated(ticket.token, (final(1, 10.0),)), desk.moment)
    *again, reply = desk.written()
    assert again == [final(1, 10.0)]
    assert reply["result"] == {"count": 1}
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    desk.replies.reply(Reply(ticket.token, error=CommandError("failed", "no")), desk.moment)
    assert desk.told()["error"]["code"] == "failed"


def test_one_restate_at_a_time() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    assert desk.ask("restate", b'{"since_seq": 0}') is None
    desk.replies.restate(Restated(ticket.token, (final(1, 10.0),)), desk.moment)
    assert desk.ask("restate", b'{"since_seq": 0}') is None
    said = desk.written()
    assert [item["ok"] for item in said if isinstance(item, dict)] == [False, False, True]
    assert desk.ask("restate", b'{"since_seq": 0}') is not None


def test_what_nobody_asked_for_is_not_said_again() -> None:
    desk = Desk()
    assert desk.replies.restate(Restated(Token(7), (final(1, 10.0),)), desk.moment) is None
    assert desk.written() == []


def test_a_broker_that_refuses_them_is_named() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    desk.replies.restate(Restated(ticket.token, (final(1, 1.0), final(2, 2.0))), desk.moment)
    reply = desk.written(refuse=True)[-1]
    assert reply["error"]["code"] == "failed"
    assert "refuses 2 of 2" in reply["error"]["message"]


def test_one_who_is_leaving_says_so() -> None:
    desk = Desk()
    ticket = desk.asked("restate", b'{"since_seq": 0}')
    desk.replies.restate(Restated(ticket.token, (final(1, 1.0),)), desk.moment)
    desk.replies.close()
    assert desk.ask("flush") is None
    assert "stopping" in desk.told()["error"]["message"]
