"""A robot's side of MQTT: everything below a topic, as it arrives."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from scribed.errors import ScribedError

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message; `at` is Unix time, `topic` without the base."""

    topic: str
    payload: Any  #: the JSON object, or the text where it is none
    at: float
    retained: bool
    qos: int
    expiry_s: int | None


class Subscriber:
    """Subscribes to `{base}/#` and keeps all messages; a context manager.

    `received` may be read from any thread; `wait_for()` waits for what is to come.
    """

    def __init__(self, port: int, base: str, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self._base, self._host, self._port = base, host, port
        self._changed = threading.Condition()
        self._subscribed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{base}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.on_message = self._take
        self._client.on_disconnect = self._notice

    def __enter__(self) -> Subscriber:
        try:
            self._client.connect(self._host, self._port)
        except OSError as exc:
            raise ScribedError(f"the broker cannot be reached: {exc.strerror}") from exc
        self._client.loop_start()
        try:
            self._subscribed.get(timeout=CONNECT_S)
        except queue.Empty as exc:
            raise ScribedError("the broker did not answer") from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def on(self, *topics: str) -> list[Received]:
        """What was received on these topics so far, in order."""
        return [message for message in list(self.received) if message.topic in topics]

    def wait_for(self, condition: Callable[[], object], timeout: float) -> bool:
        """Wait until `condition` holds, looking again at each message; whether it came to hold."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(condition()), timeout)

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there: what came before it went has been received."""
        return self._client.is_connected()

    def _notice(self, *_: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        text = message.payload.decode(errors="replace")
        try:
            payload = json.loads(text)
        except ValueError:
            payload = text
        received = Received(
            message.topic.removeprefix(f"{self._base}/"),
            payload,
            time.time(),
            message.retain,
            message.qos,
            getattr(message.properties, "MessageExpiryInterval", None),
        )
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
