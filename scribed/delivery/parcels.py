"""What is handed to the broker: five kinds of parcels, each with a promise of its own. Pure.

The promises are the `outbox`'s.
"""

from __future__ import annotations

from msgspec import Struct

from scribed.delivery.finals import Durable
from scribed.items import without
from scribed.model import Alert, Closed, Final


class Transient(Struct, frozen=True):
    """A message that nobody wants after `until`."""

    topic: str
    payload: bytes
    until: float
    utterance: tuple[str, int] | None = None  #: its id and `seq`, where it is about one


class Raised(Struct, frozen=True):
    """An active alert; put into words when it is written: the clock may have been set by then."""

    alert: Alert
    since: float  #: when it was first raised


class Retained(Struct, frozen=True):
    """The value of a retained topic; an empty payload removes it."""

    topic: str
    payload: bytes | Raised


class Address(Struct, frozen=True):
    """Where the asker of a command wants its reply."""

    topic: str | None = None  #: as it is, not below the base; None: where such messages go
    correlation: bytes | None = None

    __repr__ = without("correlation")


class Answer(Struct, frozen=True):
    """A reply to a command, that nobody waits for after `until`."""

    payload: bytes
    until: float
    address: Address


class Again(Struct, frozen=True):
    """A final or an end that `restate` asked for."""

    item: Durable


Parcel = Final | Closed | Transient | Retained | Answer | Again
