"""The wire: one MQTT connection by paho, driven by whoever owns the selector.

This and its `door` are the only modules that import paho, which does nothing here by itself: no
thread, no reconnect, no queue (never more than a window's worth is handed to it), no memory: each
connection has a new client, which is thrown away with it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt.client import (
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    WebsocketConnectionError,
)
from paho.mqtt.enums import LogLevel
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from scribed.config import Mqtt
from scribed.delivery import client, knock, reasons, tls
from scribed.delivery.attempts import Loss, Version
from scribed.delivery.commands import MAX_BYTES
from scribed.delivery.door import beneath
from scribed.delivery.events import Acknowledged, Asked, Connected, Heard, Subscribed, WireEvent
from scribed.delivery.fits import subscriptions
from scribed.delivery.properties import about, properties
from scribed.delivery.topics import COMMANDS, Message, whole
from scribed.errors import BrokerError
from scribed.model import Identity

CONNECT_S = 5.0
"""How long each of TCP's connect, TLS's handshake and the broker's CONNACK may take."""
LOOKUP_S = 60.0
"""What getaddrinfo may take: it has no timeout of its own."""
OVERHEAD_BYTES = 192
"""Header, topic below the base, packet identifier and properties of a PUBLISH, generously."""
KEPT_BYTES = 256 << 10
"""What is kept of a packet that is being read: more than of a command is looked at."""
LAST_WORDS_BYTES = 4096


class Wire:
    """One connection. Not reusable; used by one thread only.

    The constructor blocks while it looks up, connects and shakes hands (`busy_s()`), and raises
    `BrokerError`. After that nothing blocks and nothing raises: `error` says that it is over and
    why, `loss` how.
    """

    def __init__(
        self,
        mqtt: Mqtt,
        identity: Identity,
        password: str | None,
        *,
        version: Version,
        give_up_s: float,
        timeout_s: float = CONNECT_S,
        has_will: bool = True,
        watched: tuple[str, ...] = (),
    ) -> None:
        """`give_up_s`: data that TCP could not deliver for so long ends the connection.

        Without a will its end tells nobody anything: for one that is not the daemon. With filters
        in `watched` it hears these topics instead of the commands, and puts them in `heard`.
        """
        self.heard: list[Heard] = []
        self._watched = watched
        self.error: BrokerError | None = None
        self.loss = Loss.SILENT
        self.closed = False  #: also by our own goodbye, which is no error
        self._mqtt, self._identity = mqtt, identity
        self._five, self._give_up_s = version == "5", give_up_s
        self._retain_available, self._leaving = True, False
        self._events: list[WireEvent] = []
        self._said = ""
        self._client = client.new(mqtt, identity, password, five=self._five, has_will=has_will)
        self._client.connect_timeout = timeout_s
        self._listen(self._client)
        try:
            client.connect(self._client, mqtt, five=self._five)
        except (WebsocketConnectionError, LookupError, UnicodeDecodeError) as exc:
            raise reasons.no_websocket(mqtt) from exc
        except (OSError, ValueError) as exc:
            raise reasons.unreachable(exc, mqtt, timeout_s) from exc
        if self.error is not None:
            raise self.error
        self._fd: int = self._socket().fileno()
        self.place = knock.place(beneath(self._socket()))  #: where the broker is, if still there
        #: what the connection stands on; empty where that is not TLS
        self.certificates = tls.certificates(beneath(self._socket()), mqtt.cert_file)

    @staticmethod
    def busy_s() -> float:
        """How long the constructor may block: TCP to each of two addresses, TLS, a WebSocket."""
        return LOOKUP_S + 5 * CONNECT_S

    def fileno(self) -> int:
        return self._fd

    @property
    def want_write(self) -> bool:
        """Whether something was published that the socket has not taken yet."""
        return self.error is None and self._client.want_write()

    @property
    def to_come(self) -> int:
        """Bytes that are still to come of the packet that the broker sends now."""
        left: int = self._client._in_packet["to_process"]  # noqa: SLF001 -- paho says it nowhere
        return left

    def service(self) -> list[WireEvent]:
        """Read, write and keep alive, without blocking; return what happened meanwhile."""
        with self._contained():
            self._read()
            while tls.holds_plaintext(self._socket()):
                self._read()
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
        events, self._events = self._events, []
        return events

    def _read(self) -> None:
        self._client.loop_read()
        # Without this a command of 256 MiB would be in memory before anybody could refuse it.
        del self._client._in_packet["packet"][KEPT_BYTES:]  # noqa: SLF001 -- no other way in

    def publish(self, message: Message) -> int:
        """Write `message`; return the packet identifier that its `Acknowledged` will carry."""
        rule, beside = message.rule, None
        if self._five and message.payload:
            beside = properties(
                PacketTypes.PUBLISH,
                PayloadFormatIndicator=1,  # UTF-8
                ContentType=rule.content_type,
                MessageExpiryInterval=message.expiry_s,
                CorrelationData=message.correlation,
                UserProperty=about(message),
            )
        info = self._client.publish(
            message.address or whole(message.topic, self._identity.base),
            message.payload,
            qos=rule.qos,
            retain=rule.retain and self._retain_available,
            properties=beside,
        )
        if info.rc != MQTT_ERR_SUCCESS:
            self.fail(self._lost(self._said))
        return info.mid

    def watch(self, *topics: str) -> None:
        """Hear these in `heard`; one `Subscribed` comes for all of them."""
        how: Any = SubscribeOptions(qos=1) if self._five else 1
        self._client.subscribe([(each, how) for each in topics])

    def disconnect(self) -> None:
        """Say goodbye, so that the will is not published; `closed` once it has left."""
        if self._leaving:
            return
        self._leaving = True
        # There is nothing to come back to: let the broker forget the session at once.
        forget = properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0)
        self._client.disconnect(properties=forget if self._five else None)

    def close(self) -> None:
        """Free the socket, without goodbye. May be called twice."""
        paho = self._client
        paho.on_connect = paho.on_disconnect = paho.on_publish = None
        paho.on_subscribe = paho.on_message = None
        paho.on_log = paho.on_socket_open = paho.on_socket_close = None
        connection = self._socket()
        if connection is not None:
            connection.close()
        self.closed = True

    # What paho tells

    def _listen(self, paho: Client) -> None:
        paho.on_socket_open = self._on_socket_open
        paho.on_socket_close = self._on_socket_close
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_publish = self._on_publish
        paho.on_subscribe = self._on_subscribe
        paho.on_message = self._on_message
        paho.on_log = self._on_log

    def _on_socket_open(self, paho: Client, userdata: Any, connection: Any) -> None:
        client.prepare(beneath(connection), self._give_up_s)

    def _on_socket_close(self, paho: Client, userdata: Any, connection: Any) -> None:
        """Hear the broker's last words: after a failed write paho closes without listening."""
        if self._leaving:
            return
        words = b""
        try:
            words = connection.recv(LAST_WORDS_BYTES)
        except (OSError, ValueError, LookupError) as exc:  # of TLS: why it refuses us
            if not self._greeted and reasons.is_of_our_certificate(str(exc)):
                self.fail(reasons.certificate_refused(str(exc), self._mqtt))
        with contextlib.suppress(LookupError, ValueError):
            code = reasons.farewell(words) if self._five else None
            if code is not None:
                name = ReasonCode(PacketTypes.DISCONNECT, identifier=code).getName()
                self._fail_as_told(code, name)

    def _on_connect(
        self, paho: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, granted: Any
    ) -> None:
        if reason.is_failure:
            client_id = self._identity.client_id
            self.fail(*reasons.refused(reason.value, reason.getName(), self._mqtt, client_id))
            return
        self.loss = Loss.LOST
        self._retain_available = bool(getattr(granted, "RetainAvailable", True))
        largest: int | None = getattr(granted, "MaximumPacketSize", None)
        if largest is not None:
            largest -= OVERHEAD_BYTES + len(self._identity.base.encode())
        self._events.append(Connected(getattr(granted, "ReceiveMaximum", 65_535), largest))
        self._subscribe()

    def _subscribe(self) -> None:
        if self._watched:
            self.watch(*self._watched)
            return
        client.subscribe(self._client, self._identity.base, self._mqtt, five=self._five)

    def _on_subscribe(
        self, paho: Client, userdata: Any, mid: int, said: list[ReasonCode], _: Any
    ) -> None:
        if self._watched:
            refusals = [reason.getName().lower() for reason in said if reason.is_failure]
            self._events.append(Subscribed(refusals[0] if refusals else None))
            return
        topics = (COMMANDS, *subscriptions(self._mqtt))
        for topic, reason in zip(topics, said, strict=False):
            refusal = reason.getName().lower() if reason.is_failure else None
            self._events.append(Subscribed(refusal, topic))

    def _on_message(self, paho: Client, userdata: Any, message: MQTTMessage) -> None:
        if self._watched:
            self.heard.append(Heard(message.topic, bytes(message.payload), message.retain))
            return
        prefix = f"{self._identity.base}/{COMMANDS}/"
        if message.topic.startswith(prefix):
            said = message.properties
            self._events.append(
                Asked(
                    message.topic.removeprefix(prefix),
                    bytes(message.payload[: MAX_BYTES + 1]),  # enough to refuse it
                    message.retain,
                    getattr(said, "ResponseTopic", None),
                    getattr(said, "CorrelationData", None),
                )
            )
        else:
            said_there = bytes(message.payload[: MAX_BYTES + 1])
            self._events.append(Heard(message.topic, said_there, message.retain))

    def _on_disconnect(
        self, paho: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, _: Any
    ) -> None:
        self.closed = True
        if flags.is_disconnect_packet_from_server:
            self._fail_as_told(reason.value, reason.getName())
        elif reason.is_failure:
            # "Unspecified error" is what paho makes of an end of file.
            unsaid = reason.value == reasons.UNSPECIFIED
            why = self._said or ("" if unsaid else reason.getName().lower())
            self.fail(self._lost(why), Loss.CLOSED if self._greeted and not why else None)

    def _on_publish(
        self, paho: Client, userdata: Any, mid: int, reason: ReasonCode, _: Any
    ) -> None:
        refusal = reason.getName().lower() if reason.is_failure else None
        too_large = reason.value == reasons.PACKET_TOO_LARGE
        self._events.append(Acknowledged(mid, refusal, too_large))

    def _on_log(self, paho: Client, userdata: Any, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:  # the only place where paho says why it lost the socket
            self._said = text.removeprefix("failed to receive on socket: ")

    def _fail_as_told(self, code: int, name: str) -> None:
        """The broker ended the session and said why."""
        self.fail(*reasons.ended(code, name, self._identity.client_id))

    @property
    def _greeted(self) -> bool:
        return self.loss is not Loss.SILENT

    def _lost(self, why: str) -> BrokerError:
        client_id = self._identity.client_id
        if not self._greeted and reasons.is_of_our_certificate(why):
            return reasons.certificate_refused(why, self._mqtt)
        return reasons.lost(why, greeted=self._greeted, mqtt=self._mqtt, client_id=client_id)

    def fail(self, error: BrokerError, loss: Loss | None = None) -> None:
        """Remember the first thing that went wrong: what follows is its consequence."""
        if self.error is None:
            untrusted = Loss.UNTRUSTED if error.untrusted else None
            self.error, self.loss = error, loss or untrusted or self.loss

    @contextlib.contextmanager
    def _contained(self) -> Iterator[None]:
        """Turn what paho raises on a peer that does not speak MQTT into `error`."""
        try:
            yield
        except (MQTTException, ValueError, LookupError, struct.error, OSError) as exc:
            self.fail(self._lost(f"it does not speak MQTT: {exc}"))

    def _socket(self) -> Any:
        return self._client.socket()
