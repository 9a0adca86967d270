"""What delivery is told by others, and how it is to end. Pure."""

from __future__ import annotations

from msgspec import Struct

from scribed.config import Config
from scribed.delivery.schemas import Metrics, Muted, State
from scribed.items import without
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Event,
    Final,
    Identity,
    Partial,
    Recovered,
    Reply,
    Restated,
    RobotDoes,
    UtteranceEnded,
    UtteranceStarted,
)
from scribed.worker import Stop

Item = (
    UtteranceStarted
    | UtteranceEnded
    | Recovered
    | Final
    | Closed
    | Event
    | Alert
    | AlertCleared
    | State
    | Muted
)
"""What has something to say, sooner or later."""


class Finish(Struct, frozen=True):
    """Nothing more comes: publish what is owed until `deadline`, and say goodbye.

    With `keep` the store has what is left for the next run; else what has no end ends as failed.
    """

    deadline: float
    keep: bool = True


class Retune(Struct, frozen=True):
    """Go by another configuration; with `reconnect` on a new connection to the broker, which is
    made when what was written on the old one is acknowledged."""

    number: int
    config: Config
    identity: Identity
    password: str | None
    reconnect: bool

    __repr__ = without("password")


Post = Item | Partial | Metrics | Reply | Restated | RobotDoes | Finish | Retune | Stop
