"""The link to the broker: at most one connection, made anew when due, watched while it is up."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from msgspec import Struct

from scribed.backoff import Backoff
from scribed.config import Config, Mqtt
from scribed.delivery import knock, reasons
from scribed.delivery.attempts import INITIAL_S, MAX_S, TAKEN_OVER_S, Attempts, Loss, Version
from scribed.delivery.events import Acknowledged, Connected, WireEvent
from scribed.delivery.mqtt import CONNECT_S, Wire
from scribed.delivery.tls import Held
from scribed.delivery.topics import Message
from scribed.errors import BrokerError
from scribed.model import Identity

ACKNOWLEDGE_S = 10.0
"""An unanswered message of QoS 1 is taken for a dead connection after so long; but its answer waits
behind what the broker is sending, as long as more of that comes."""


class Lost(Struct, frozen=True):
    """The connection ended, or an attempt failed."""

    error: BrokerError
    loss: Loss
    lasted_s: float  #: how long the broker had accepted us


LinkEvent = WireEvent | Lost


class BrokerLink:
    """Used by delivery's thread only; its socket is in the `selector` while there is one.

    `beat` is called with the seconds that the next call may block.
    """

    def __init__(
        self,
        config: Config,
        identity: Identity,
        password: str | None,
        *,
        selector: selectors.BaseSelector,
        now: Callable[[], float],
        beat: Callable[[float], None],
    ) -> None:
        self.online = False  #: the broker has accepted us
        self.since = now()  #: when it became so
        self._config, self._identity, self._password = config, identity, password
        self._selector, self._now, self._beat = selector, now, beat
        self._attempts = Attempts(config.mqtt.protocol, Backoff(INITIAL_S, MAX_S))
        self._wire: Wire | None = None
        self._place: knock.Place | None = None  # of the last connection
        self._connack_by = 0.0
        self._to_come, self._came_at = 0, self.since  # of a packet of the broker's

    @property
    def version(self) -> Version:
        """The version of MQTT that is spoken, or will be tried next."""
        return self._attempts.version

    @property
    def connecting(self) -> bool:
        """Whether the broker was reached and has not answered yet: its will for us may stand."""
        return self._wire is not None and not self.online

    @property
    def writable(self) -> bool:
        """Whether a message may be written now: the socket has taken all that came before."""
        wire = self._wire
        return self.online and wire is not None and wire.error is None and not wire.want_write

    @property
    def certificates(self) -> list[Held]:
        """What the connection stands on."""
        return [] if self._wire is None else self._wire.certificates

    def is_of(self, mqtt: Mqtt, identity: Identity) -> bool:
        """Whether that is the same broker, and we are the same there."""
        mine, me = self._config.mqtt, self._identity
        return (reasons.where(mine), me.client_id, me.base) == (
            reasons.where(mqtt),
            identity.client_id,
            identity.base,
        )

    def wake_at(self, oldest_sent: float | None) -> float:
        """When `service()` is due although nothing happens on the socket."""
        if self._wire is None:
            return self._attempts.due_at
        until = [self._now() + self._config.mqtt.keepalive_s / 4]  # paho names no time
        if not self.online:
            until.append(self._connack_by)
        if oldest_sent is not None:
            until.append(max(oldest_sent, self._came_at) + ACKNOWLEDGE_S)
        return min(until)

    def service(self, oldest_sent: float | None, *, within_s: float = CONNECT_S) -> list[LinkEvent]:
        """Connect where it is due (which may block), else read and write; say what happened.

        `oldest_sent` is when the longest unacknowledged message was written; a connection gets
        `within_s` to come about.
        """
        if self._wire is None:
            return self._connect(within_s) if self._now() >= self._attempts.due_at else []
        events: list[LinkEvent] = list(self._wire.service())
        if any(isinstance(event, Connected) for event in events):
            self.online, self.since = True, self._now()
            self._attempts.connected(self.since)
        if any(isinstance(event, Acknowledged) for event in events):
            oldest_sent = None  # it is being answered
        if self._wire.to_come != self._to_come:
            self._to_come, self._came_at = self._wire.to_come, self._now()
        self._overdue(self._wire, oldest_sent)
        return events + self.settle()

    def settle(self) -> list[LinkEvent]:
        """After writing: see to what could not be written, and say whether the connection broke."""
        wire = self._wire
        if wire is None:
            return []
        if wire.error is not None:
            self.close()
            return [self._failed(wire.error, wire.loss)]
        if not wire.closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.want_write else 0)
            self._selector.modify(wire.fileno(), wanted)
        return []

    def publish(self, message: Message) -> int:
        """Write `message`; return its packet identifier. Only where `writable`."""
        assert self._wire is not None
        return self._wire.publish(message)

    def explain(self, loss: Loss) -> Loss:
        """What the `loss` just now was: a broker that is there has closed the connection, where no
        word came with that, or one that was stopped. Blocks for a moment."""
        if loss is not Loss.CLOSED or self._place is None:
            return loss
        self._beat(knock.BUSY_S)
        return loss if knock.opens(self._place) else Loss.GONE

    def proven(self) -> None:
        """A final came through: the next loss is a new story."""
        self._attempts.proven()

    def stand_back(self) -> None:
        """Leave the broker to another client with our id for a while."""
        self._attempts.due_at = self._now() + TAKEN_OVER_S

    def hurry(self) -> None:
        """Do not wait for the next attempt."""
        self._attempts.due_at = self._now()

    def say_goodbye(self) -> bool:
        """Disconnect so that the will is not published; True once that has left."""
        if self._wire is None:
            return True
        if not self._wire.closed:
            self._wire.disconnect()
        return self._wire.closed

    def close(self) -> None:
        """Free the socket, without goodbye. May be called twice."""
        if self._wire is not None:
            self._selector.unregister(self._wire.fileno())
            self._wire.close()
            self._wire = None

    def _connect(self, within_s: float) -> list[LinkEvent]:
        self._beat(Wire.busy_s())
        try:
            wire = Wire(
                self._config.mqtt,
                self._identity,
                self._password,
                version=self._attempts.version,
                give_up_s=self._config.transcript.stale_after_s,
                timeout_s=within_s,
            )
        except BrokerError as exc:
            return [self._failed(exc, Loss.UNTRUSTED if exc.untrusted else Loss.UNREACHABLE)]
        self._wire, self._place = wire, wire.place
        self._connack_by = self._now() + within_s
        self._selector.register(wire.fileno(), selectors.EVENT_READ)
        return []

    def _overdue(self, wire: Wire, oldest_sent: float | None) -> None:
        """Give up on a broker that keeps us waiting for too long."""
        now = self._now()
        if not self.online and now >= self._connack_by:
            wire.fail(BrokerError("the broker does not answer CONNECT; is that port MQTT's?"))
        elif oldest_sent is not None and now >= max(oldest_sent, self._came_at) + ACKNOWLEDGE_S:
            wire.fail(BrokerError(f"the broker acknowledged nothing for {ACKNOWLEDGE_S:g} s"))

    def _failed(self, error: BrokerError, loss: Loss) -> Lost:
        now, lasted_s = self._now(), 0.0
        if self.online:
            lasted_s = now - self.since
            self.online, self.since = False, now
        self._attempts.failed(loss, now)
        return Lost(error, loss, lasted_s)
