"""What the ledger is to take next, and by when. Pure.

A transaction wears the flash, so that all of it goes into one: at once where it is about text, a
fact or many acknowledgements, else with the next one or after `LAZY_S`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scribed.model import Closed, Command, Final, UtteranceId
from scribed.store.records import Waiting

LIMIT = 10_000
"""Finals and ends that a ledger which does not take them may leave in memory."""
GROUP = 64
"""Acknowledgements that are worth a transaction of their own."""
LAZY_S = 5.0
"""How long fewer of them, and notes about files, wait for company."""


@dataclass(frozen=True, slots=True)
class Remember:
    """A fact that must survive: `command` is answered with `result` once it is durable."""

    key: str
    value: str | None  #: None: forget it
    command: Command | None = None
    result: dict[str, Any] = field(default_factory=dict)


class Pending:
    """See the module."""

    def __init__(self) -> None:
        self.items: dict[UtteranceId, Final | Closed] = {}
        self.questions: list[Remember] = []  #: those to answer when all this is durable
        self._acks: dict[int, None] = {}
        self._waiting: dict[UtteranceId, Waiting] = {}
        self._facts: dict[str, str | None] = {}
        self._lazy_since: float | None = None

    def add(self, item: Final | Closed) -> Final | Closed | None:
        """A final or an end; returns the oldest where there are too many."""
        self._waiting.pop(item.started.id, None)
        self.items.setdefault(item.started.id, item)
        if len(self.items) <= LIMIT:
            return None
        return self.items.pop(next(iter(self.items)))

    def acknowledge(self, seq: int, now: float) -> None:
        """The broker has that final or end."""
        self._acks[seq] = None
        self._be_lazy(now)

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
            "delivered": tuple(self._acks),
            "facts": dict(self._facts),
        }

    def taken(self) -> None:
        """The ledger has all of it."""
        for part in (self.items, self._acks, self._waiting, self._facts, self.questions):
            part.clear()
        self._lazy_since = None

    def _be_lazy(self, now: float) -> None:
        if self._lazy_since is None:
            self._lazy_since = now
