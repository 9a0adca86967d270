"""What is offered to the wire, and what the broker said to it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from scribed.delivery.finals import Durable
from scribed.delivery.parcels import Parcel
from scribed.delivery.topics import Message
from scribed.latency import Parts
from scribed.model import Closed, Final, Outcome


class Offer(NamedTuple):
    """A message to write now, and where it came from."""

    parcel: Parcel
    message: Message
    text: Message | None = None  #: to be written right after it, once
    too_large: bool = False  #: for this broker


class Published(NamedTuple):
    """What the broker acknowledged."""

    topic: str
    item: Durable | None = None  #: the final or end, where it was one
    spent: Parts | None = None  #: of a final: where its time went until it was written
    outcome: Outcome | None = None  #: of an utterance that ended without text
    size: int = 0  #: of its payload, in bytes

    @property
    def instead(self) -> Closed | None:
        """The end that was published of an utterance which had a text."""
        item, outcome = self.item, self.outcome
        if item is None or outcome is None:
            return None
        had_text = isinstance(item, Final) or outcome is Outcome.EVICTED
        return Closed(item.started, item.ended, outcome) if had_text else None
