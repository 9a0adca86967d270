"""Who delivery meets in the tests: a robot that listens, a bad network, brokers of other kinds."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from scribed import clock
from scribed.config import Config, Mqtt, Spool, TranscriptSection
from scribed.delivery.posts import Finish
from scribed.delivery.worker import Delivery
from scribed.model import (
    Answer,
    Command,
    Delivered,
    EarlierBoot,
    EndReason,
    Event,
    Final,
    Identity,
    Moments,
    Provider,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    Word,
)
from scribed.worker import Mailbox

BASE = "scribed/r7/mic"
WAIT_S = 10.0

IDENTITY = Identity("r7", "mic", BASE, "scribed-r7-mic-abcdef", "run-1", "boot-1")
PROVIDER = Provider("elevenlabs", "scribe_v2_realtime", "session-1")


def uid(seq: int) -> UtteranceId:
    return UtteranceId(f"01UTTERANCE{seq:015d}")


def started(seq: int, at: float, boot: EarlierBoot | None = None) -> UtteranceStarted:
    return UtteranceStarted(uid(seq), seq, at, boot=boot)


def ended(
    seq: int, at: float, *, lost_ms: int = 0, reason: EndReason = EndReason.COMMIT
) -> UtteranceEnded:
    return UtteranceEnded(uid(seq), at, reason, 1200, lost_ms, -31.23, 22.0)


def final(
    seq: int,
    at: float,
    text: str = "Turn left, please.",
    *,
    reason: str = "commit",
    end: EndReason = EndReason.COMMIT,
    lost_ms: int = 0,
    words: tuple[Word, ...] | None = (Word("Turn", 40, 210, 0.95),),
    boot: EarlierBoot | None = None,
    answer: Answer | None = None,
) -> Final:
    """The final of an utterance whose last voiced frame was at `at`."""
    return Final(
        started=started(seq, at - 1.5, boot),
        ended=ended(seq, at, lost_ms=lost_ms, reason=end),
        rev=3,
        answer=answer or Answer(text, words, "en", "detected", 0.93),
        final_reason=reason,
        attempt=1,
        provider=PROVIDER,
        provider_s=0.31,
        first_partial_s=0.24,
        committed_at=at + 0.15,
        moments=Moments(at - 1.2, at - 1.14, at - 1.1, at + 0.01, at + 0.15),
    )


def wait_for(condition: Callable[[], Any], what: str = "", timeout: float = WAIT_S) -> Any:
    """Wait until `condition()` is true and return what it said."""
    deadline = time.monotonic() + timeout
    while not (said := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.005)
    return said


class Clock:
    """A boot clock that can be moved on, as a suspend would."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def skip(self, seconds: float, rig: Rig) -> None:
        """Let `seconds` pass, and wake whoever waits for less."""
        self.ahead_s += seconds
        rig.post(Event("time_passed"))

    def __call__(self) -> float:
        return clock.now() + self.ahead_s


@dataclass(frozen=True)
class Received:
    topic: str  #: below the base
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    content_type: str | None
    utf8: bool
    correlation: bytes | None
    at: float  #: by the boot clock
    about: dict[str, str]  #: its user properties

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = msgspec.json.decode(self.payload)
        return value


class Robot:
    """An independent subscriber to everything under the base topic."""

    def __init__(self, port: int, *, base: str = BASE, user: str = "", password: str = "") -> None:
        self.heard: list[Received] = []
        self.connections = 0  #: subscribed so many times
        self._base = base
        self._ready = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv5,
            client_id=f"robot-{id(self)}",
        )
        if user:
            self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=session)
        self._client.loop_start()
        assert self._ready.wait(WAIT_S)

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def says(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        retain: bool = False,
        answer_on: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish on `topic` below the base, and wait until the broker has it."""
        request = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if answer_on is not None:
            request.ResponseTopic = answer_on
        if correlation is not None:
            request.CorrelationData = correlation
        self.publish(f"{self._base}/{topic}", payload, retain=retain, properties=request)

    def publish(self, topic: str, payload: bytes | str, **options: Any) -> None:
        """Publish on `topic`, wherever that is, and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, **options).wait_for_publish(WAIT_S)

    def on(self, topic: str) -> list[Received]:
        """What came on `topic` so far; "" is everything."""
        return [message for message in self.heard if not topic or message.topic == topic]

    def hears(self, topic: str, count: int = 1, timeout: float = WAIT_S) -> list[Received]:
        """Wait for at least `count` messages on `topic`."""
        wait_for(lambda: len(self.on(topic)) >= count, f"{count} on {topic}: {self.heard}", timeout)
        return self.on(topic)

    def returns(self, connections: int) -> None:
        """Wait until it has subscribed so many times."""
        wait_for(lambda: self.connections >= connections, "the robot's return", 20)

    def seqs(self, *topics: str) -> list[int]:
        return [message.json["seq"] for message in self.heard if message.topic in topics]

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason: Any, granted: Any
    ) -> None:
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        client.subscribe([(topic, options) for topic in (f"{self._base}/#", "answers/#")])

    def _on_subscribe(self, *_: Any) -> None:
        self.connections += 1
        self._ready.set()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        said = message.properties
        self.heard.append(
            Received(
                message.topic.removeprefix(f"{self._base}/"),
                bytes(message.payload),
                message.qos,
                message.retain,
                getattr(said, "MessageExpiryInterval", None),
                getattr(said, "ContentType", None),
                getattr(said, "PayloadFormatIndicator", 0) == 1,
                getattr(said, "CorrelationData", None),
                clock.now(),
                dict(getattr(said, "UserProperty", ())),
            )
        )


class Rig:
    """A running `Delivery` and its mailboxes."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        password: str | None = None,
        now: Any = clock.now,
        wall: Any = clock.wall,
        partials: bool = True,
        fast_words: tuple[str, ...] = (),
        stale_after_s: float = 5.0,
        late: Literal["publish", "drop"] = "publish",
        log_text: bool = False,
        durability: Literal["process", "memory"] = "process",
        identity: Identity = IDENTITY,
        standing: tuple[str, ...] = (),
        **mqtt: Any,
    ) -> None:
        self.supervisor: Mailbox[Any] = Mailbox()
        self.store: Mailbox[Any] = Mailbox()
        self.told: list[Any] = []
        self.lines: list[str] = []
        self.standing: list[tuple[str, ...]] = []  #: what it announced, each time that changed
        self.now = now
        self.delivery = Delivery(
            config=Config(
                mqtt=Mqtt(host=host, port=port, **mqtt),
                transcript=TranscriptSection(
                    stale_after_s=stale_after_s,
                    late=late,
                    partials=partials,
                    fast_words=fast_words,
                    log_text=log_text,
                ),
                spool=Spool(durability=durability),
            ),
            identity=identity,
            password=password,
            store=self.store,
            supervisor=self.supervisor,
            clock_synced=lambda: True,
            standing=standing,
            announcing=self.standing.append,
            echo=self.lines.append,
            now=now,
            wall=wall,
        )

    def __enter__(self) -> Rig:
        self.delivery.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish(0.0)
        self.delivery.inbox.close()
        self.supervisor.close()
        self.store.close()

    def post(self, *items: Any) -> None:
        for item in items:
            assert self.delivery.inbox.put(item)

    def online(self) -> None:
        wait_for(lambda: self.delivery.report.connected, "the connection")

    def heeds(self) -> None:
        """Wait until it hears commands: what it wrote behind its SUBSCRIBE is acknowledged."""
        wait_for(lambda: self.delivery.report.published.get("status"), "the subscription")

    def hears_of(self, utterances: int) -> None:
        """Wait until delivery has heard of so many."""
        wait_for(lambda: self.delivery.report.detected == utterances)

    def delivers(self, count: int) -> list[Delivered]:
        """Wait until the store was told of `count` deliveries since the last call."""
        told: list[Delivered] = []

        def all_told() -> bool:
            told.extend(self.store.drain())
            return len(told) >= count

        wait_for(all_told, f"{count} deliveries")
        return told

    def asked(self) -> Command:
        """Wait until the supervisor is asked for something."""

        def command() -> Command | None:
            self.told += self.supervisor.drain()
            found = next((item for item in self.told if isinstance(item, Command)), None)
            if found is not None:
                self.told.remove(found)
            return found

        said: Command = wait_for(command, "a command")
        return said

    def finish(self, within_s: float = 3.0, *, keep: bool = True) -> float:
        """End it, `within_s` of grace; return how long that took."""
        began = time.monotonic()
        if self.delivery.is_alive():
            self.post(Finish(self.now() + within_s, keep))
            self.delivery.join(within_s + 8)
            assert not self.delivery.is_alive()
        return time.monotonic() - began

    def tells(self, kind: type, code: str) -> Any:
        """Wait until the supervisor was told of an alert of `kind` and `code`."""

        def told() -> Any:
            self.told += self.supervisor.drain()
            matches = [
                i for i in self.told if isinstance(i, kind) and getattr(i, "code", "") == code
            ]
            return matches and matches[-1]

        return wait_for(told, f"{kind.__name__} {code}")


@dataclass
class _Pair:
    client: socket.socket
    server: socket.socket
    reset: bool = False


class Relay:
    """A TCP relay in front of a broker, which can lose things on request."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.deaf = False  #: what the broker says is thrown away
        self.refusing = False  #: new connections are closed at once
        self.connections = 0
        self._pairs: list[_Pair] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(WAIT_S)

    def cut(self) -> None:
        """Reset every connection, towards both ends."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.reset = True
            for end in (pair.client, pair.server):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, who closes it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self.refusing:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                pair = _Pair(client, server)
                self._pairs.append(pair)
                thread = threading.Thread(target=self._carry, args=(pair,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, pair: _Pair) -> None:
        back = threading.Thread(target=self._answer, args=(pair,), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while data := pair.client.recv(65536):
                pair.server.sendall(data)
        self._hang_up(pair)
        back.join(WAIT_S)
        pair.client.close()
        pair.server.close()

    def _answer(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while data := pair.server.recv(65536):
                if not (self.deaf or pair.reset):  # in this order: hearing again comes after a cut
                    pair.client.sendall(data)
        self._hang_up(pair)

    def _hang_up(self, pair: _Pair) -> None:
        how = socket.SHUT_RD if pair.reset else socket.SHUT_RDWR
        for end in (pair.client, pair.server):
            with contextlib.suppress(OSError):
                end.shutdown(how)


@dataclass
class ScriptedBroker:
    """A broker of a few lines: speaks the versions in `speaks`, answers as told."""

    speaks: tuple[int, ...] = (4, 5)
    silent: bool = False  #: hangs up on a version it does not speak, instead of refusing it
    mute: bool = False  #: never answers CONNECT
    patience: threading.Event | None = None  #: answers CONNECT only once this is set
    puback_reasons: list[int] = field(default_factory=list)  #: for the next finals, else success
    suback_reason: int = 1
    private: bytes = b""  #: asked for a topic of that name it answers 135, or hangs up:
    hangs_up: bool = False
    greeting: bytes | None = None  #: what it says instead of CONNACK
    farewell: bytes | None = None  #: what it says to the first message, before it hangs up
    busy: bool = False  #: acknowledges nothing

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.levels: list[int] = []  #: protocol level of each CONNECT
        self.published: list[tuple[str, bytes]] = []
        self.clean: list[bool] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._open: list[socket.socket] = []

    def __enter__(self) -> ScriptedBroker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(WAIT_S)

    def hang_up(self) -> None:
        """End the connection there is."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def says(self, said: bytes) -> None:
        """Send this on the connection there is."""
        self._open[0].sendall(said)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with (
                    connection,
                    connection.makefile("rb") as stream,
                    contextlib.suppress(OSError, EOFError),
                ):
                    self._open = [connection]
                    self._converse(connection, stream)

    def _converse(self, connection: socket.socket, stream: Any) -> None:
        level = 4
        for kind, flags, body in _packets(stream):
            if kind == 1:
                level = body[6]
                if not self._greet(connection, level, body[7]):
                    return
            elif kind == 3 and self.farewell is not None:
                connection.sendall(self.farewell)
                return
            elif kind == 3:
                self._published(connection, flags, body, level)
            elif kind == 8:
                is_private = bool(self.private) and self.private in body
                if is_private and self.hangs_up:
                    return
                code = bytes([135 if is_private else self.suback_reason])
                said = body[:2] + (b"\x00" if level == 5 else b"") + code
                connection.sendall(b"\x90" + bytes([len(said)]) + said)
            elif kind == 12:
                connection.sendall(b"\xd0\x00")
            elif kind == 14:
                return

    def _greet(self, connection: socket.socket, level: int, flags: int) -> bool:
        """Answer CONNECT; return whether to go on."""
        self.levels.append(level)
        self.clean.append(bool(flags & 2))
        if self.patience is not None:
            self.patience.wait(WAIT_S)
        if self.greeting is not None:
            connection.sendall(self.greeting)
        elif level in self.speaks and not self.mute:
            connection.sendall(b"\x20\x03\x00\x00\x00" if level == 5 else b"\x20\x02\x00\x00")
        elif level not in self.speaks and not self.silent:
            connection.sendall(b"\x20\x02\x00\x01")
        return level in self.speaks

    def _published(self, connection: socket.socket, flags: int, body: bytes, level: int) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + size].decode().removeprefix(f"{BASE}/"), body[2 + size :]
        reason = 0
        if flags & 6:
            mid, rest = rest[:2], rest[2:]
        if level == 5:
            rest = rest[1 + rest[0] :]
        if flags & 6:
            if topic in ("transcript", "late", "ended") and self.puback_reasons:
                reason = self.puback_reasons.pop(0)
            self.published.append((topic, rest))
            if self.busy:
                return
            answer = b"\x40\x04" + mid + bytes([reason, 0]) if reason else b"\x40\x02" + mid
            connection.sendall(answer)
        else:
            self.published.append((topic, rest))


def _packets(stream: Any) -> Iterator[tuple[int, int, bytes]]:
    while head := stream.read(1):
        length, shift = 0, 0
        while True:
            byte = stream.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        yield head[0] >> 4, head[0] & 15, stream.read(length)
