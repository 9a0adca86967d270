"""What the broker refuses, and the alerts that say so. Pure."""

from __future__ import annotations

from collections import deque

from scribed.delivery.attempts import Loss
from scribed.model import Alert, AlertCleared

DENIED_REMEDY = "correct mqtt.username and mqtt.password_file, or what the broker allows this user"
SIZE_REMEDY = "allow larger messages at the broker (mosquitto: max_packet_size, message_size_limit)"
QUOTA_REMEDY = "raise the broker's quota for this client, or find out who uses it up"
CERTIFICATE_REMEDY = (
    "renew the certificate or correct mqtt.ca_file, mqtt.cert_file, mqtt.key_file, mqtt.host; "
    "`scribed doctor` says more"
)
EXPIRY_REMEDY = "renew it; it is read anew with each connection to the broker"
DUPLICATE_REMEDY = "give each daemon a mqtt.client_id of its own"
OWNER = "mqtt"
"""Of `cert_expiring`."""
ALONE_S = 60.0
"""A client id is ours alone if nobody took it for so long: the other waits half of it at most."""
CLOSES, CLOSES_S = 3, 60.0
"""A broker that ends our connection without a word so often in such a time, and is there each time,
has another client with our id: mosquitto 2.0 says it like that, and version 3.1.1 of MQTT knows no
other way."""
ASIDE = "aside"
"""The subject of what is put aside, whatever its topic: others pass on the same one."""

News = Alert | AlertCleared | None

_US_REMEDIES = {Loss.UNTRUSTED: CERTIFICATE_REMEDY}
_REMEDIES = {Loss.TOO_LARGE: SIZE_REMEDY, Loss.QUOTA: QUOTA_REMEDY}
_SESSION, _US = "the session", ""


class Refusals:
    """Raises `mqtt_denied` while anything is denied, and `duplicate_id` while our id is contested.

    Each method returns the alert where it is news, else None.
    """

    def __init__(self) -> None:
        self._denied: dict[str, str] = {}  # the complaint by its subject
        self._denied_at = 0.0  # when the session was ended last
        self._taken_over_at: float | None = None
        self._expiring = ""
        self._closed_at: deque[float] = deque(maxlen=CLOSES)

    def deny(self, topic: str, text: str, remedy: str = DENIED_REMEDY) -> News:
        """The broker does not take what we publish on `topic`."""
        if self._denied.get(topic) == text:
            return None
        self._denied[topic] = text
        return Alert("mqtt_denied", text, remedy)

    def allow(self, topic: str) -> News:
        """The broker takes `topic`."""
        if self._denied.pop(topic, None) is None or self._denied:
            return None
        return AlertCleared("mqtt_denied")

    def ended(self, loss: Loss, text: str, now: float) -> News:
        """The broker does not have us as a client, or no longer, and a human must act."""
        if loss is Loss.TAKEN_OVER:
            self._taken_over_at = now
            return Alert("duplicate_id", text, DUPLICATE_REMEDY)
        if loss in _REMEDIES:
            self._denied_at = now
            return self.deny(_SESSION, text, _REMEDIES[loss])
        return self.deny(_US, text, _US_REMEDIES.get(loss, DENIED_REMEDY))

    def expiring(self, words: list[str]) -> News:
        """What the connection stands on and that ends soon, in words; empty: nothing does."""
        text = "; ".join(words)
        if text == self._expiring:
            return None
        self._expiring = text
        if not text:
            return AlertCleared("cert_expiring", owner=OWNER)
        return Alert("cert_expiring", text, EXPIRY_REMEDY, "warning", owner=OWNER)

    def contested(self, loss: Loss, now: float) -> bool:
        """Whether this `loss`, no fault of ours, says that another client has our id."""
        if loss is not Loss.CLOSED:
            if loss is not Loss.LOST:  # it is the broker that comes and goes
                self._closed_at.clear()
            return loss is Loss.TAKEN_OVER
        self._closed_at.append(now)
        many = len(self._closed_at) == CLOSES and now - self._closed_at[0] <= CLOSES_S
        return many or self._taken_over_at is not None

    def accepted(self) -> News:
        """The broker has us as a client."""
        return self.allow(_US)

    def connected_since(self, since: float, now: float) -> list[Alert | AlertCleared]:
        """The connection is up since `since`: what no longer holds."""
        news: list[News] = []
        if now - max(since, self._denied_at) >= ALONE_S:
            news.append(self.allow(_SESSION))
        if self._taken_over_at is not None and now - max(since, self._taken_over_at) >= ALONE_S:
            self._taken_over_at = None
            self._closed_at.clear()
            news.append(AlertCleared("duplicate_id"))
        return [item for item in news if item is not None]
