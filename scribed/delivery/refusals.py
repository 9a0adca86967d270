"""What the broker refuses, and the alerts that say so. Pure."""

from __future__ import annotations

from scribed.model import Alert, AlertCleared

DENIED_REMEDY = "correct mqtt.username and mqtt.password_file, or what the broker allows this user"
DUPLICATE_REMEDY = "give each daemon a mqtt.client_id of its own"
ALONE_S = 60.0
"""A client id is ours alone if nobody took it for so long: the other waits half of it at most."""

News = Alert | AlertCleared | None


class Refusals:
    """Raises `mqtt_denied` while anything is denied, and `duplicate_id` while our id is contested.

    Each method returns the alert where it is news, else None.
    """

    def __init__(self) -> None:
        self._denied: dict[str, str] = {}  # the complaint by topic; "" is us altogether
        self._taken_over_at: float | None = None

    def deny(self, topic: str, text: str) -> News:
        """The broker refuses `topic`, or ("") to have us as a client."""
        if self._denied.get(topic) == text:
            return None
        self._denied[topic] = text
        return Alert("mqtt_denied", text, DENIED_REMEDY)

    def allow(self, topic: str) -> News:
        """The broker takes `topic`, or ("") accepts us."""
        if self._denied.pop(topic, None) is None or self._denied:
            return None
        return AlertCleared("mqtt_denied")

    def taken_over(self, text: str, now: float) -> News:
        """Another client has connected with our id."""
        self._taken_over_at = now
        return Alert("duplicate_id", text, DUPLICATE_REMEDY)

    def connected_since(self, since: float, now: float) -> News:
        """The connection is up since `since`."""
        if self._taken_over_at is None or now - max(since, self._taken_over_at) < ALONE_S:
            return None
        self._taken_over_at = None
        return AlertCleared("duplicate_id")
