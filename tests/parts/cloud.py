"""A real WebSocket server in the service's dialect that misbehaves on request.

Its "transcript" says what it heard: audio made by `spoken(n, …)` is answered with `utterance n` and
the number of its samples, so that a test knows what was sent, cut, doubled or lost.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import http
import itertools
import json
import socket
import ssl
import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from scribed.demo.broker import stable_port
from scribed.model import RATE, SAMPLE_BYTES


def spoken(n: int, duration_s: float = 1.0) -> bytes:
    """Audio of utterance `n`: every sample is its number."""
    return n.to_bytes(SAMPLE_BYTES, "little") * int(RATE * duration_s)


@dataclass
class Behaviour:
    """What one connection of the server does; all fields off is the service at its best."""

    http_status: int | None = None  #: answer the upgrade with this instead of 101
    headers: dict[str, str] = field(default_factory=dict)
    greeting: list[dict[str, Any]] | None = None  #: instead of session_started; then close 1000
    close_code: int = 1000
    mute_greeting: bool = False  #: never say session_started
    drop_after_bytes: int | None = None  #: RST in the middle of an utterance
    drop_at_commit: bool = False  #: RST instead of the answer
    close_at_commit: int | None = None  #: a close frame with this code instead of the answer
    ignore_commit: bool = False  #: no answer, and the connection stays
    error_at_commit: dict[str, Any] | None = None
    poison: int | None = None  #: the only utterance that gets this error
    say_at_commit: list[str] = field(default_factory=list)  #: raw messages before the answer
    deaf: threading.Event | None = None  #: read nothing until this is set
    answer: Callable[[bytes], str] | None = None


class Cloud:
    """The server. `behaviours` are used up one a connection; then it behaves."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.behaviours: collections.deque[Behaviour] = collections.deque()
        self.always = Behaviour()
        self.connections = 0
        self.requests: list[Request] = []
        self.commits: list[bytes] = []  #: the audio of each, in order
        self.messages = 0
        self.changed = threading.Condition()
        self._server = serve(
            self._serve,
            "127.0.0.1",
            port or stable_port(),
            ssl=tls,
            process_request=self._process,
            compression=None,
            close_timeout=0.1,
            max_size=None,
        )
        self.port: int = self._server.socket.getsockname()[1]
        self._open: set[ServerConnection] = set()
        self._thread = threading.Thread(target=self._server.serve_forever, name="cloud")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait until `condition` holds; fail after `timeout` seconds."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "it did not happen in time"

    def close(self) -> None:
        self._server.shutdown()
        for connection in list(self._open):
            _reset(connection)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        behaviour = self.behaviours[0] if self.behaviours else self.always
        if behaviour.http_status is None:
            return None
        if self.behaviours:
            self.behaviours.popleft()
        with self.changed:
            self.connections += 1
            self.changed.notify_all()
        response = connection.respond(http.HTTPStatus(behaviour.http_status), "go away\n")
        for name, value in behaviour.headers.items():
            response.headers[name] = value
        return response

    def _serve(self, connection: ServerConnection) -> None:
        behaviour = self.behaviours.popleft() if self.behaviours else self.always
        with self.changed:
            self.connections += 1
            self.changed.notify_all()
        self._open.add(connection)
        with contextlib.suppress(ConnectionClosed):
            self._talk(connection, behaviour)
        self._open.discard(connection)

    def _talk(self, connection: ServerConnection, behaviour: Behaviour) -> None:
        def say(**message: Any) -> None:
            connection.send(json.dumps(message))

        if behaviour.greeting is not None:
            for message in behaviour.greeting:
                say(**message)
            connection.close(behaviour.close_code)
            return
        if not behaviour.mute_greeting:
            say(message_type="session_started", session_id=f"s{self.connections}", config={})
        if behaviour.deaf is not None:
            behaviour.deaf.wait(30)
        audio = bytearray()
        for raw in connection:
            message = json.loads(raw)
            audio += base64.b64decode(message["audio_base_64"])
            with self.changed:
                self.messages += 1
                self.changed.notify_all()
            if behaviour.drop_after_bytes is not None and len(audio) >= behaviour.drop_after_bytes:
                _reset(connection)
                return
            if message["commit"] and not self._answer(connection, behaviour, bytes(audio)):
                return
            if message["commit"]:
                audio.clear()

    def _answer(self, connection: ServerConnection, behaviour: Behaviour, audio: bytes) -> bool:
        if behaviour.drop_at_commit:
            _reset(connection)
            return False
        if behaviour.close_at_commit is not None:
            connection.close(behaviour.close_at_commit)
            return False
        harmless = behaviour.poison is not None and spoken(behaviour.poison, 1 / RATE) not in audio
        if behaviour.error_at_commit is not None and not harmless:
            connection.send(json.dumps(behaviour.error_at_commit))
            connection.close(1000)
            return False
        if behaviour.ignore_commit:
            return True
        for raw in behaviour.say_at_commit:
            connection.send(raw)
        with self.changed:
            self.commits.append(audio)
            self.changed.notify_all()
        text = (behaviour.answer or heard)(audio)
        for kind in ("committed_transcript", "committed_transcript_with_timestamps"):
            connection.send(json.dumps({"message_type": kind, "text": text}))
        return True


def heard(audio: bytes) -> str:
    """What `spoken` audio says: which utterances it holds, and how many samples of each."""
    runs = [(n, len(list(run))) for n, run in itertools.groupby(array("H", audio))]
    return " ".join(f"utterance {n} {count}" for n, count in runs if n)


def _reset(connection: ServerConnection) -> None:
    """End the TCP connection with a RST, as a peer that lost its power and came back does."""
    with contextlib.suppress(OSError):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.socket.shutdown(socket.SHUT_RDWR)
        connection.socket.close()


@contextlib.contextmanager
def raw_server(serve_one: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that is no WebSocket: `serve_one` has each connection; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            with accepted, contextlib.suppress(OSError):
                accepted.settimeout(10)
                serve_one(accepted)

    thread = threading.Thread(target=run, name="raw server")
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join(15)
        listener.close()
