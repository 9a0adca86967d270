"""The wire: one MQTT connection by paho, driven by whoever owns the selector.

This and its `door` are the only modules that import paho, which does nothing here by itself: no
thread, no reconnect, no queue (never more than a window's worth is handed to it), no memory: each
connection has a new client, which is thrown away with it.
"""

from __future__ import annotations

import contextlib
import socket
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
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from scribed import __version__
from scribed.config import Mqtt
from scribed.delivery import knock, reasons, tls
from scribed.delivery.attempts import Loss, Version
from scribed.delivery.commands import MAX_BYTES
from scribed.delivery.door import PATH, Door, beneath
from scribed.delivery.events import Acknowledged, Asked, Connected, Heard, Subscribed, WireEvent
from scribed.delivery.fits import subscriptions
from scribed.delivery.topics import COMMANDS, OFFLINE, RULES, Message, others, whole
from scribed.errors import BrokerError
from scribed.model import Identity

CONNECT_S = 5.0
"""How long each of TCP's connect, TLS's handshake and the broker's CONNACK may take."""
LOOKUP_S = 60.0
"""What getaddrinfo may take: it has no timeout of its own."""
OVERHEAD_BYTES = 192
"""Header, topic below the base, packet identifier and properties of a PUBLISH, generously."""
MAX_PACKET_BYTES, MAX_WEBSOCKET_BYTES = 16 << 20, 256 << 10
"""What the broker may send us in one packet (MQTT 5); more it keeps to itself. Commands are refused
long before, and whoever asks is told so. mosquitto 2.0 sends 40 kB a second to a WebSocket, and all
else waits behind."""
RECEIVE_MAXIMUM = 32
"""Commands that the broker may send before we have acknowledged the first of them (MQTT 5)."""
KEPT_BYTES = 256 << 10
"""What is kept of a packet that is being read: more than of a command is looked at."""
RECEIVE_BUFFER_BYTES = 16 << 10
"""paho reads a packet in up to 100 pieces before it returns, each at most as large as this."""
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
        self._five, self._give_up_s, self._has_will = version == "5", give_up_s, has_will
        self._retain_available, self._leaving = True, False
        self._events: list[WireEvent] = []
        self._said = ""
        self._client = self._new_client(password)
        self._client.connect_timeout = timeout_s
        try:
            self._connect()
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

    @property
    def _most_bytes(self) -> int:
        slow = self._mqtt.transport == "websockets"
        return MAX_WEBSOCKET_BYTES if slow else MAX_PACKET_BYTES

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
        rule, properties = message.rule, None
        if self._five and message.payload:
            properties = _properties(
                PacketTypes.PUBLISH,
                PayloadFormatIndicator=1,  # UTF-8
                ContentType=rule.content_type,
                MessageExpiryInterval=message.expiry_s,
                CorrelationData=message.correlation,
                UserProperty=_about(message),
            )
        info = self._client.publish(
            message.address or whole(message.topic, self._identity.base),
            message.payload,
            qos=rule.qos,
            retain=rule.retain and self._retain_available,
            properties=properties,
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
        properties = _properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0)
        self._client.disconnect(properties=properties if self._five else None)

    def close(self) -> None:
        """Free the socket, without goodbye. May be called twice."""
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_subscribe = client.on_message = None
        client.on_log = client.on_socket_open = client.on_socket_close = None
        connection = self._socket()
        if connection is not None:
            connection.close()
        self.closed = True

    # Setting up

    def _new_client(self, password: str | None) -> Client:
        mqtt, identity = self._mqtt, self._identity
        client = Door(
            CallbackAPIVersion.VERSION2,
            client_id=identity.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            # A session of version 3.1.1 has no expiry: it would stay at the broker for ever.
            clean_session=None if self._five else True,
            reconnect_on_failure=False,
            transport=mqtt.transport,
        )
        if mqtt.transport == "websockets":
            client.ws_set_options(path=mqtt.path or PATH)
        if mqtt.username:
            client.username_pw_set(mqtt.username, password)
        if mqtt.tls:
            try:
                client.tls_set_context(tls.context(mqtt))
            except OSError as exc:
                raise reasons.bad_pem_file(exc, mqtt) from exc
        if self._has_will:
            self._make_will(client)
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_log = self._on_log
        return client

    def _make_will(self, client: Client) -> None:
        """What the broker says for us where we end without goodbye."""
        rule = RULES["status"]
        will = _properties(
            PacketTypes.WILLMESSAGE,
            WillDelayInterval=self._mqtt.will_delay_s,
            PayloadFormatIndicator=1,
            ContentType=rule.content_type,
        )
        client.will_set(
            f"{self._identity.base}/status",
            OFFLINE,
            qos=rule.qos,
            retain=rule.retain,
            properties=will if self._five else None,
        )

    def _connect(self) -> None:
        mqtt = self._mqtt
        host = mqtt.path if mqtt.transport == "unix" else mqtt.host
        if not self._five:
            self._client.connect(host, mqtt.port, mqtt.keepalive_s)
            return
        # A clean start would end the session that a lost connection left behind, and so publish
        # the will that its delay is meant to hold back.
        self._client.connect(
            host,
            mqtt.port,
            mqtt.keepalive_s,
            clean_start=False,
            properties=_properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=mqtt.will_delay_s,
                ReceiveMaximum=RECEIVE_MAXIMUM,
                MaximumPacketSize=self._most_bytes,
                UserProperty=[("client", f"scribed {__version__}")],
            ),
        )

    def _on_socket_open(self, client: Client, userdata: Any, connection: Any) -> None:
        connection = beneath(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if connection.family == socket.AF_UNIX:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        give_up_ms = int(self._give_up_s * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, give_up_ms)

    def _on_socket_close(self, client: Client, userdata: Any, connection: Any) -> None:
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

    # What paho tells

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, granted: Any
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
        topics = [f"{self._identity.base}/{COMMANDS}/+", *map(others, subscriptions(self._mqtt))]
        if not self._five:
            self._client.subscribe([(topic, 1) for topic in topics])
            return
        keep_away = SubscribeOptions.RETAIN_DO_NOT_SEND
        options = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=keep_away)
        self._client.subscribe([(topic, options) for topic in topics])

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, said: list[ReasonCode], _: Any
    ) -> None:
        if self._watched:
            refusals = [reason.getName().lower() for reason in said if reason.is_failure]
            self._events.append(Subscribed(refusals[0] if refusals else None))
            return
        topics = (COMMANDS, *subscriptions(self._mqtt))
        for topic, reason in zip(topics, said, strict=False):
            refusal = reason.getName().lower() if reason.is_failure else None
            self._events.append(Subscribed(refusal, topic))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
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
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, _: Any
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
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, _: Any
    ) -> None:
        refusal = reason.getName().lower() if reason.is_failure else None
        too_large = reason.value == reasons.PACKET_TOO_LARGE
        self._events.append(Acknowledged(mid, refusal, too_large))

    def _on_log(self, client: Client, userdata: Any, level: int, text: str) -> None:
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


def _about(message: Message) -> list[tuple[str, str]] | None:
    """What a broker's rule or a bridge may go by without reading the payload."""
    found = [("schema", message.rule.schema)] if message.rule.schema else []
    if message.utterance is not None:
        utterance_id, seq = message.utterance
        found += [("utterance_id", utterance_id), ("seq", str(seq))]
    return found or None


def _know_all_refusals() -> None:
    """Let paho read every reason for which a broker may not take a message.

    mosquitto 2.0 answers what exceeds its `message_size_limit` with 149, which MQTT 5 has for other
    packets only, and paho ends the connection where a PUBACK's reason is not in its table.
    """
    names = dict(ReasonCode.names)
    for code in range(reasons.UNSPECIFIED, 256):
        known = names.get(code, {})
        if not any(PacketTypes.PUBACK in packets for packets in known.values()):
            name = next(iter(known), f"reason {code}")
            names[code] = {**known, name: [*known.get(name, ()), PacketTypes.PUBACK]}
    ReasonCode.names = names


_know_all_refusals()


def _properties(packet_type: int, **values: Any) -> Properties:
    """The MQTT 5 properties `values` for a packet, without those that are None."""
    properties = Properties(packet_type)  # type: ignore[no-untyped-call] # the only one
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties
