"""What happens on the wire: a connection, an acknowledgement, a command. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from scribed.delivery.topics import COMMANDS


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection."""

    window: int  #: unacknowledged messages that it takes
    max_payload: int | None  #: bytes that it takes in one message


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered a subscription; `refusal` says why it does not take it."""

    refusal: str | None
    topic: str = COMMANDS  #: that, or one of `topics.FITS` and another stack's topic


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered a message of QoS 1; `refusal` says why it does not take it."""

    mid: int
    refusal: str | None
    too_large: bool = False  #: why it is refused


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody published on `{base}/cmd/<name>`."""

    name: str
    payload: bytes = field(repr=False)
    retained: bool = False
    response_topic: str | None = None  #: MQTT 5 only, as the correlation data
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A message on a topic of another stack, or one that is watched; `retained`: it was kept."""

    topic: str
    payload: bytes = field(repr=False)
    retained: bool = False


WireEvent = Connected | Subscribed | Acknowledged | Asked | Heard
