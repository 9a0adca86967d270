"""The stories that both of the vendor's SDKs must bring to their end against the simulator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from tests.simulate.sockets import voice

ERRORS = {  # message_type of the service → the SDKs' name for its event, where it is another
    "unaccepted_terms": "unaccepted_terms_error",
}
WITHOUT_EVENT = ("error",)  # it has the generic event only
KEY = "a good key"
TURN = voice(1.0) + bytes(32_000)
"""One second of speech and one of silence."""

Event = dict[str, Any]


class Sdk(Protocol):
    """One SDK and at most one connection of it. `events` are what its callbacks got, by name."""

    events: dict[str, list[Event]]

    def mint(self) -> str:
        """Buy a single-use token."""

    def connect(self, **options: Any) -> None:
        """Open a session: options are the query's, by the service's names."""

    def send(self, pcm: bytes) -> None:
        """Send audio, 100 ms at a time."""

    def commit(self) -> None:
        """Ask for the text."""

    def until(self, event: str, count: int = 1) -> Event:
        """Wait for so many of these events and return the last of them."""

    def close(self) -> None:
        """Hang up, and wait for the event that says so."""


def texts(events: Iterable[Event]) -> list[str]:
    """What they say."""
    return [event["text"] for event in events]
