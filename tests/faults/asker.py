"""A client of the robot's that asks for things over MQTT, and waits for the reply."""

from __future__ import annotations

import json
import queue
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scribed.demo.subscriber import Subscriber
from tests.parts.robot import BASE

REPLY_S = 10.0


class Asker(Subscriber):
    """A context manager; what comes to its own topic `base` is in `received`."""

    def __init__(self, port: int, base: str = "asker") -> None:
        super().__init__(port, base)
        self._reply_to = f"{base}/reply"

    def __enter__(self) -> Asker:
        super().__enter__()
        return self

    def ask(self, name: str, payload: Any) -> dict[str, Any]:
        """Publish a command; the reply."""
        before = len(self.on("reply"))
        told = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        told.ResponseTopic = self._reply_to
        self._client.publish(f"{BASE}/cmd/{name}", json.dumps(payload), qos=1, properties=told)
        replies: list[Any] = []

        def replied() -> bool:
            replies[:] = [m for m in self.on("reply")[before:] if "ok" in m.payload]
            return bool(replies)

        assert self.wait_for(replied, REPLY_S), f"no reply to {name}"
        return dict(replies[0].payload)

    def send(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish anything anywhere, and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(REPLY_S)


class Impostor:
    """Another client under the daemon's client id, that comes back whenever it is thrown out."""

    def __init__(self, port: int, client_id: str) -> None:
        self._port = port
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._connected: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client.on_connect = lambda *_: self._connected.put(True)

    def __enter__(self) -> Impostor:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._connected.get(timeout=REPLY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
