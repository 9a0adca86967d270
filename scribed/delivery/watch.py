"""A connection to the broker for those who look on: it hears topics and may clear retained ones."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from msgspec.structs import replace

from scribed.config import Mqtt
from scribed.delivery.attempts import Loss, Version
from scribed.delivery.events import Acknowledged, Heard, Subscribed
from scribed.delivery.mqtt import Wire
from scribed.delivery.reasons import where
from scribed.delivery.topics import Message
from scribed.errors import BrokerError
from scribed.model import Identity

ANSWER_S = 5.0
"""How long the broker may take for CONNACK and SUBACK, or for an acknowledgement."""
WINDOW = 20
"""How many messages are on their way at once: what every broker takes (mosquitto's own limit)."""
LOOK_S = 0.5
"""How often paho's keepalive is looked after while nothing comes."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which broker, and as whom."""

    mqtt: Mqtt
    password: str | None = field(default=None, repr=False)


class Watch:
    """One connection that hears the topics of `filters`; a context manager, for one thread.

    The constructor blocks until the broker has taken the subscription. It raises `BrokerError`, as
    the methods do where the connection has ended: to go on, make another one. `name` is what it
    calls itself, as "monitor". It has no will, and the broker keeps nothing for it.

    `beside` is one more filter, for what this user need not be allowed to read: where the broker
    refuses it, `unheard` says so. Some end the connection for asking: then it is made again.
    """

    def __init__(
        self, access: Access, filters: Iterable[str], *, name: str, beside: str = ""
    ) -> None:
        self.unheard = ""  #: why `beside` is not heard
        self._where = where(access.mqtt)
        self._acknowledged: dict[int, str | None] = {}
        self._subscribed, self._refusal = False, ""
        client_id = f"scribed-{name}-{os.urandom(4).hex()}"
        who = Identity(robot="", source="", base="", client_id=client_id, run_id="", boot_id="")
        asked = tuple(filters)
        self._wire = self._connected(access, who, asked)
        if beside:
            try:
                self._hear_beside(beside)
            except BrokerError as exc:
                self.unheard = str(exc)
                self._wire.close()
                self._subscribed = False
                self._wire = self._connected(access, who, asked)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """For a selector: something may have come."""
        return self._wire.fileno()

    def heard(self, within_s: float) -> list[Heard]:
        """What has come, in order; waits for the first of it for at most `within_s`."""
        deadline = time.monotonic() + within_s
        while not self._wire.heard and (left_s := deadline - time.monotonic()) > 0:
            self._service(left_s)
        self._service(0)
        heard, self._wire.heard = self._wire.heard, []
        return heard

    def clear(self, topics: Iterable[str]) -> dict[str, str]:
        """Empty retained topics; return the broker's reason for each that it refuses.

        A broker of version 3.1.1 says nothing of what it does not do.
        """
        sent: dict[int, str] = {}
        for topic in topics:
            sent[self._wire.publish(Message("state", b"", address=topic))] = topic
            self._await(lambda: len(sent) - len(self._acknowledged) < WINDOW)
        self._await(lambda: len(self._acknowledged) == len(sent))
        said, self._acknowledged = self._acknowledged, {}
        return {sent[mid]: refusal for mid, refusal in said.items() if refusal is not None}

    def close(self) -> None:
        """Say goodbye and free the socket. May be called twice."""
        if not self._wire.closed:
            self._wire.disconnect()
            self._wire.service()
        self._wire.close()

    def _connected(self, access: Access, who: Identity, filters: tuple[str, ...]) -> Wire:
        protocol = access.mqtt.protocol
        versions: list[Version] = ["5", "3.1.1"] if protocol == "auto" else [protocol]
        while True:
            self._wire = Wire(
                replace(access.mqtt, will_delay_s=0),  # with no session there is nothing to leave
                who,
                access.password,
                version=versions.pop(0),
                give_up_s=ANSWER_S,
                has_will=False,
                watched=filters,
            )
            try:
                self._subscribe(filters)
            except BrokerError:
                self._wire.close()
                other = self._wire.loss in (Loss.WRONG_VERSION, Loss.SILENT)
                if not (other and versions):
                    raise
            except BaseException:
                self._wire.close()
                raise
            else:
                return self._wire

    def _hear_beside(self, topic: str) -> None:
        """Returns, too, where the broker says no; raises `BrokerError` where it ends for that."""
        self._wire.watch(topic)
        self._subscribed = False
        self._await(lambda: self._subscribed)
        self.unheard = _refused(topic, self._refusal) if self._refusal else ""

    def _subscribe(self, filters: tuple[str, ...]) -> None:
        self._await(lambda: self._subscribed)
        if self._refusal:
            raise BrokerError(_refused(" and ".join(filters), self._refusal), denied=True)

    def _await(self, condition: Callable[[], bool]) -> None:
        """Read and write until `condition` holds. Raises `BrokerError` where it comes to no end."""
        deadline = time.monotonic() + ANSWER_S
        while not condition():
            if (left_s := deadline - time.monotonic()) <= 0:
                raise BrokerError(
                    f"{self._where} did not answer within {ANSWER_S:g} s; does an MQTT broker "
                    "listen there, and does that port want TLS (mqtt.tls)?"
                )
            if self._service(left_s):
                deadline = time.monotonic() + ANSWER_S

    def _service(self, wait_s: float) -> bool:
        """Wait for a moment, then read and write; whether the broker answered something."""
        wire = self._wire
        writes = (wire.fileno(),) if wire.want_write else ()
        select.select((wire.fileno(),), writes, (), min(wait_s, LOOK_S))
        events = wire.service()
        for event in events:
            match event:
                case Subscribed(refusal):
                    self._subscribed, self._refusal = True, refusal or ""
                case Acknowledged(mid, refusal):
                    self._acknowledged[mid] = refusal
                case _:
                    pass  # connected; a command cannot come, as they are not subscribed to
        if wire.error is not None:
            raise wire.error
        return bool(events)


def _refused(topics: str, why: str) -> str:
    return f"the broker does not let this user read {topics} ({why}); see its ACL"
