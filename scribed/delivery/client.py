"""paho's client, set up for one connection: who we are, what we leave, what we take."""

from __future__ import annotations

import socket

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from scribed import __version__
from scribed.config import Mqtt
from scribed.delivery import reasons, tls
from scribed.delivery.door import PATH, Door
from scribed.delivery.fits import subscriptions
from scribed.delivery.properties import properties
from scribed.delivery.topics import COMMANDS, OFFLINE, RULES, others
from scribed.model import Identity

MAX_PACKET_BYTES, MAX_WEBSOCKET_BYTES = 16 << 20, 256 << 10
"""What the broker may send us in one packet (MQTT 5); more it keeps to itself. Commands are refused
long before, and whoever asks is told so. mosquitto 2.0 sends 40 kB a second to a WebSocket, and all
else waits behind."""
RECEIVE_MAXIMUM = 32
"""Commands that the broker may send before we have acknowledged the first of them (MQTT 5)."""
RECEIVE_BUFFER_BYTES = 16 << 10
"""paho reads a packet in up to 100 pieces before it returns, each at most as large as this."""


def new(
    mqtt: Mqtt, identity: Identity, password: str | None, *, five: bool, has_will: bool
) -> Client:
    """A client for one connection; raises `BrokerError` where a certificate cannot be used."""
    client = Door(
        CallbackAPIVersion.VERSION2,
        client_id=identity.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        # A session of version 3.1.1 has no expiry: it would stay at the broker for ever.
        clean_session=None if five else True,
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
    if has_will:
        _make_will(client, mqtt, identity, five=five)
    return client


def _make_will(client: Client, mqtt: Mqtt, identity: Identity, *, five: bool) -> None:
    """What the broker says for us where we end without goodbye."""
    rule = RULES["status"]
    will = properties(
        PacketTypes.WILLMESSAGE,
        WillDelayInterval=mqtt.will_delay_s,
        PayloadFormatIndicator=1,
        ContentType=rule.content_type,
    )
    client.will_set(
        f"{identity.base}/status",
        OFFLINE,
        qos=rule.qos,
        retain=rule.retain,
        properties=will if five else None,
    )


def connect(client: Client, mqtt: Mqtt, *, five: bool) -> None:
    """Look up, connect, shake hands and write CONNECT; raises whatever sockets and paho raise."""
    host = mqtt.path if mqtt.transport == "unix" else mqtt.host
    if not five:
        client.connect(host, mqtt.port, mqtt.keepalive_s)
        return
    most_bytes = MAX_WEBSOCKET_BYTES if mqtt.transport == "websockets" else MAX_PACKET_BYTES
    # A clean start would end the session that a lost connection left behind, and so publish the
    # will that its delay is meant to hold back.
    client.connect(
        host,
        mqtt.port,
        mqtt.keepalive_s,
        clean_start=False,
        properties=properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=mqtt.will_delay_s,
            ReceiveMaximum=RECEIVE_MAXIMUM,
            MaximumPacketSize=most_bytes,
            UserProperty=[("client", f"scribed {__version__}")],
        ),
    )


def prepare(connection: socket.socket, give_up_s: float) -> None:
    """Set the options of a socket that was opened; TCP is to give up on a peer after so long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(give_up_s * 1000))


def subscribe(client: Client, base: str, mqtt: Mqtt, *, five: bool) -> None:
    """Ask for the commands below `base`, and for what other stacks say."""
    topics = [f"{base}/{COMMANDS}/+", *map(others, subscriptions(mqtt))]
    if not five:
        client.subscribe([(topic, 1) for topic in topics])
        return
    keep_away = SubscribeOptions.RETAIN_DO_NOT_SEND
    options = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=keep_away)
    client.subscribe([(topic, options) for topic in topics])
