"""The desk where commands are asked for: which are handed on, and what the asker is told. Pure.

Every command gets exactly one reply. A flood of them costs replies and nothing else: at most
`PENDING` are with the daemon at any time, and one `restate`.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from msgspec import Struct

from scribed.delivery import commands, payloads
from scribed.delivery.bases import Bases
from scribed.delivery.commands import Refusal, Request
from scribed.delivery.events import Asked
from scribed.delivery.finals import LIMIT, Durable
from scribed.delivery.moment import Moment
from scribed.delivery.outbox import Outbox
from scribed.delivery.parcels import Address, Answer
from scribed.delivery.payloads import encode
from scribed.delivery.topics import REPLY_EXPIRY_S
from scribed.model import CommandError, Final, Identity, Reply, Restated

PENDING = 64
ANSWER_S = 30.0
"""How long the daemon may take for a command; then its asker is told that nobody answered."""
AT_ONCE = 256
"""So many restated finals are packed at a time, so that a live one does not wait for all."""

_BUSY = CommandError("busy", f"{PENDING} commands wait for their answer; ask again later")
_BUSY_RESTATING = CommandError("busy", "another restate is being answered; ask again later")
_STOPPING = CommandError("failed", "scribed is stopping")
_SILENT = CommandError("failed", f"nobody answered within {ANSWER_S:g} s")


class Token(Struct, frozen=True):
    """The `token` of `Command`, `Reply` and `Restated`; equal to nobody else's."""

    number: int


class Ticket(Struct, frozen=True):
    """A command that is being carried out."""

    token: Token
    cmd: str
    args: dict[str, Any]
    req: str | None
    address: Address
    until: float


class _Restating(Struct):
    ticket: Ticket
    taken: int = 0  #: finals and ends that the store gave
    refused: int = 0  #: of them, those that the broker did not take
    whole: bool = False


class Replies:
    """See the module; replies are queued in the `outbox`.

    `allowed` is `mqtt.commands`, `template` is `mqtt.topic`.
    """

    def __init__(
        self, identity: Identity, allowed: Collection[str], outbox: Outbox, *, template: str
    ) -> None:
        self._outbox = outbox
        self.retune(identity, allowed, template=template)
        self._pending: dict[Token, Ticket] = {}
        self._numbers = count(1)
        self._restating: _Restating | None = None
        self._closed = False

    def retune(self, identity: Identity, allowed: Collection[str], *, template: str) -> None:
        """Go by these from now on."""
        self._identity, self._allowed = identity, frozenset(allowed)
        self._bases = Bases(template)

    @property
    def address(self) -> Address:
        """Where to say again what was asked for."""
        return Address() if self._restating is None else self._restating.ticket.address

    def ask(self, asked: Asked, moment: Moment) -> Ticket | None:
        """Read a command; None: it is refused, and its asker is told why."""
        address = commands.reply_address(asked, self._identity.base, self._bases)
        match commands.parse(asked, self._allowed, moment.wall):
            case Refusal(cmd, error, req):
                self._tell(cmd, req, address, error, moment)
            case Request(cmd, args, req):
                busy = self._busy(cmd)
                if busy is not None:
                    self._tell(cmd, req, address, busy, moment)
                    return None
                until = moment.now + ANSWER_S
                ticket = Ticket(Token(next(self._numbers)), cmd, args, req, address, until)
                self._pending[ticket.token] = ticket
                return ticket
        return None

    def reply(self, reply: Reply, moment: Moment) -> None:
        """The daemon has carried a command out, or not; of a `restate` what is `Restated` tells."""
        token = reply.token
        ticket = self._pending.get(token) if isinstance(token, Token) else None
        if ticket is not None and (reply.error is not None or ticket.cmd != "restate"):
            del self._pending[ticket.token]
            said = reply.result if reply.error is None else reply.error
            self._tell(ticket.cmd, ticket.req, ticket.address, said, moment)

    def restate(self, restated: Restated, moment: Moment) -> Restated | None:
        """Queue what was asked for again, `AT_ONCE` at a time; return what is left of it."""
        token = restated.token
        if isinstance(token, Token) and (ticket := self._pending.pop(token, None)) is not None:
            self._restating = _Restating(ticket)
        at_work = self._restating
        if at_work is None or at_work.ticket.token != token:
            return None
        items, rest = restated.items[:AT_ONCE], restated.items[AT_ONCE:LIMIT]
        wanted = [item for item in items if self._is_wanted(item, at_work.ticket.address)]
        at_work.taken += len(wanted)
        at_work.whole = restated.last and not rest
        self._outbox.restate(wanted)
        self.progress(moment)
        return Restated(token, rest, restated.last) if rest else None

    def refused(self) -> None:
        """The broker does not take something that was asked for again."""
        if self._restating is not None:
            self._restating.refused += 1

    def progress(self, moment: Moment) -> None:
        """Reply to the `restate` that the broker has, and to those whom the daemon forgot."""
        at_work = self._restating
        if at_work is not None and at_work.whole and not self._outbox.restated:
            self._restating = None
            said: dict[str, Any] | CommandError = {"count": at_work.taken}
            if at_work.refused:
                why = f"the broker refuses {at_work.refused} of {at_work.taken} messages"
                said = CommandError("failed", f"{why}; may this user publish there?")
            ticket = at_work.ticket
            self._tell(ticket.cmd, ticket.req, ticket.address, said, moment)
        for ticket in [t for t in self._pending.values() if t.until <= moment.now]:
            self.reply(Reply(ticket.token, error=_SILENT), moment)

    def wake_at(self) -> float | None:
        """When the first of the pending commands is forgotten."""
        return next(iter(self._pending.values())).until if self._pending else None

    def close(self) -> None:
        """Nothing more is handed on, and nothing said again."""
        self._closed = True
        self._outbox.forget_restated()
        self._restating = None

    def _busy(self, cmd: str) -> CommandError | None:
        if self._closed:
            return _STOPPING
        if len(self._pending) >= PENDING:
            return _BUSY
        restates = cmd == "restate" and any(t.cmd == cmd for t in self._pending.values())
        return _BUSY_RESTATING if restates or (cmd == "restate" and self._restating) else None

    @staticmethod
    def _is_wanted(item: Durable, address: Address) -> bool:
        """An end is said again only to who asked: on `ended` each stands once."""
        return isinstance(item, Final) or address.topic is not None

    def _tell(
        self,
        cmd: str,
        req: str | None,
        address: Address,
        said: dict[str, Any] | CommandError,
        moment: Moment,
    ) -> None:
        message = payloads.reply(cmd, req, said, self._identity, moment)
        until = moment.now + REPLY_EXPIRY_S
        self._outbox.answer(Answer(encode(message), until, address))
