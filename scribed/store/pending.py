"""What the ledger is to take next, and by when. Pure.

A transaction wears the flash, so that all of it goes into one: at once where it is about text, a
fact or many acknowledgements, else with the next one or after `LAZY_S`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from scribed.model import Closed, Command, Final, UtteranceId
from scribed.store.records import Packed, Waiting, pack

LIMIT = 10_000
"""Finals and ends that a ledger which does not take them may leave in memory, and as many
acknowledgements: it knows no more that are undelivered."""
SPARE = 256
"""Of them, those that the broker has: they are kept for nothing but a restate."""
GROUP = 64
"""Acknowledgements that are worth a transaction of their own."""
LAZY_S = 5.0
"""How long fewer of them, and notes about files, wait for company."""


class Remember(Struct, frozen=True):
    """A fact that must survive: `command` is answered with `result` once it is durable."""

    key: str
    value: str | None  #: None: forget it
    command: Command | None = None
    result: dict[str, Any] = field(default_factory=dict)


class Pending:
    """See the module."""

    def __init__(self) -> None:
        self.items: dict[UtteranceId, Packed] = {}
        self.unrestatable = 0  #: of those that the broker has, how many the ledger will never have
        self.questions: list[Remember] = []  #: those to answer when all this is durable
        self._acks: dict[UtteranceId, int] = {}
        self._instead: dict[UtteranceId, Packed] = {}
        self._spare: dict[UtteranceId, None] = {}  # of the items, those that were acknowledged
        self._waiting: dict[UtteranceId, Waiting] = {}
        self._facts: dict[str, str | None] = {}
        self._lazy_since: float | None = None

    def add(self, item: Final | Closed) -> bool:
        """A final or an end; False: there are too many, and the oldest is lost."""
        id_ = item.started.id
        self._waiting.pop(id_, None)
        if id_ not in self.items:
            self.items[id_] = pack(item)
        if len(self.items) <= LIMIT:
            return True
        if self._spare:
            self._lighten(len(self._spare) - 1)
            return True
        del self.items[next(iter(self.items))]
        return False

    def acknowledge(self, id: UtteranceId, seq: int, now: float) -> None:
        """The broker has that final or end."""
        if len(self._acks) >= LIMIT:
            self._give_up(id)  # else it would count as not delivered
            return
        self._acks[id] = seq
        if id in self.items:
            self._spare[id] = None
        self._be_lazy(now)

    def replace(self, end: Closed) -> None:
        """The broker was given this end: a `restate` may not find a text any more."""
        id_ = end.started.id
        if id_ in self.items:
            self.items[id_] = pack(end)
        elif len(self._instead) < LIMIT:
            self._instead[id_] = pack(end)

    def lighten(self) -> None:
        """The ledger takes nothing: hold no more than `SPARE` of those that the broker has."""
        self._lighten(SPARE)

    def holds(self, id: UtteranceId) -> bool:
        """Whether there is something that settles an utterance, or says that it is settled."""
        return id in self.items or id in self._acks

    def wait(self, record: Waiting, now: float) -> None:
        """An utterance is in a file that outlives the machine's end."""
        if record.started.id not in self.items:
            self._waiting[record.started.id] = record
            self._be_lazy(now)

    def remember(self, fact: Remember) -> None:
        self._facts[fact.key] = fact.value
        if fact.command is not None:
            self.questions.append(fact)

    def due_at(self) -> float | None:
        """When a transaction is due; None: there is nothing to write."""
        if self.items or self._facts or len(self._acks) >= GROUP:
            return 0.0
        return None if self._lazy_since is None else self._lazy_since + LAZY_S

    def changes(self) -> dict[str, Any]:
        """All of it, as arguments of `Ledger.commit()`."""
        return {
            "waiting": tuple(self._waiting.values()),
            "items": tuple(self.items.values()),
            "instead": tuple(self._instead.values()),
            "delivered": tuple(self._acks.values()),
            "facts": dict(self._facts),
        }

    def taken(self) -> list[UtteranceId]:
        """The ledger has all of it; of which utterances it needs no more than that."""
        delivered = list(self._acks)
        for part in (
            self.items,
            self._acks,
            self._instead,
            self._spare,
            self._waiting,
            self._facts,
            self.questions,
        ):
            part.clear()
        self._lazy_since = None
        return delivered

    def _lighten(self, spare: int) -> None:
        for id_ in list(self._spare)[: max(0, len(self._spare) - spare)]:
            self._give_up(id_)

    def _give_up(self, id: UtteranceId) -> None:
        """Of one that the broker has."""
        self._spare.pop(id, None)
        if self.items.pop(id, None) is not None:
            self.unrestatable += 1

    def _be_lazy(self, now: float) -> None:
        if self._lazy_since is None:
            self._lazy_since = now
