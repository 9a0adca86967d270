"""What happens on the wire: a connection, an acknowledgement, a command. Pure."""

from __future__ import annotations

from msgspec import Struct

from scribed.delivery.topics import COMMANDS
from scribed.items import without


class Connected(Struct, frozen=True):
    """The broker accepted the connection."""

    window: int  #: unacknowledged messages that it takes
    max_payload: int | None  #: bytes that it takes in one message


class Subscribed(Struct, frozen=True):
    """The broker answered a subscription; `refusal` says why it does not take it."""

    refusal: str | None
    topic: str = COMMANDS  #: that, or one of `topics.FITS` and another stack's topic


class Acknowledged(Struct, frozen=True):
    """The broker answered a message of QoS 1; `refusal` says why it does not take it."""

    mid: int
    refusal: str | None
    too_large: bool = False  #: why it is refused


class Asked(Struct, frozen=True):
    """Somebody published on `{base}/cmd/<name>`."""

    name: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None  #: MQTT 5 only, as the correlation data
    correlation: bytes | None = None

    __repr__ = without("payload")


class Heard(Struct, frozen=True):
    """A message on a topic of another stack, or one that is watched; `retained`: it was kept."""

    topic: str
    payload: bytes
    retained: bool = False

    __repr__ = without("payload")


WireEvent = Connected | Subscribed | Acknowledged | Asked | Heard
