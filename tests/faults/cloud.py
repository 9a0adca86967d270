"""The service on the bench: it hears which frames it was sent, and fails when it is told to.

Real TLS and WebSocket, in the service's dialect. Its transcript is `watermark.words()`: the judge
reads on MQTT what was sent, missing, doubled or out of order.
"""

from __future__ import annotations

import base64
import contextlib
import http
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.faults.watermark import Span, decode, spans, stray, words

CONNECTING, IDLE = "connecting", "idle"
MID_UTTERANCE, AFTER_COMMIT, MID_ANSWER = "mid-utterance", "after the commit", "mid-answer"
PHASES = (CONNECTING, IDLE, MID_UTTERANCE, AFTER_COMMIT, MID_ANSWER)
MID_BYTES = 16_000
"""Audio without a commit that makes it the middle of an utterance: half a second."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that arrived, whatever became of it."""

    at: float  #: Unix time
    connection: int
    spans: list[Span]
    stray: int  #: samples between the frames that belong to none
    seconds: float  #: of audio

    @property
    def utterances(self) -> set[int]:
        return {span.utterance for span in self.spans} - {0}


class Cloud:
    """The service. Its switches may be set at any time; with all of them off it is at its best."""

    def __init__(self, *, run: int, tls: ssl.SSLContext | None = None) -> None:
        self.http_status: int | None = None  #: answers the upgrade with this
        self.close_code: int | None = None  #: greets, and closes with this
        self.silent = False  #: answers nothing
        self.answer_s = 0.05  #: how long it thinks
        self.shout_bytes = 0  #: a message of so many bytes before each answer
        self.partials = 0  #: partial transcripts before each answer
        self.poisoned: set[int] = set()  #: utterances it refuses with a transcriber_error
        self.unanswered: Counter[int] = Counter()  #: utterance to how many commits it swallows
        self.doubled: set[int] = set()  #: utterances it answers twice
        self.trap: tuple[str, Callable[[], object]] | None = None  #: once, in that phase
        self.commits: list[Commit] = []
        self.answered: list[Commit] = []
        self.refused: Counter[int] = Counter()
        self.upgrades: list[float] = []  #: monotonic times of requests for an upgrade
        self.greeted: list[float] = []  #: monotonic times of `session_started`
        self.heard_s = 0.0
        self.changed = threading.Condition()
        self._run = run
        self._open: dict[int, ServerConnection] = {}
        self._server = serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=tls,
            process_request=self._upgrade,
            compression=None,
            close_timeout=0.1,
            ping_interval=None,
            max_size=None,
        )
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="cloud")

    def __enter__(self) -> Cloud:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for connection in list(self._open.values()):
            connection.close_socket()
        self._thread.join(10)
        deadline = time.monotonic() + 10
        while self._open and time.monotonic() < deadline:
            time.sleep(0.01)

    def wait_for(self, condition: Callable[[], object], timeout: float = 15.0) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: bool(condition()), timeout), "it did not happen"

    def close_all(self, code: int) -> None:
        """A close frame to everybody."""
        for connection in list(self._open.values()):
            with contextlib.suppress(ConnectionClosed):
                connection.close(code)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def _upgrade(self, connection: ServerConnection, _request: Request) -> Response | None:
        self.upgrades.append(time.monotonic())
        self._phase(CONNECTING)
        if self.http_status is None:
            return None
        return connection.respond(http.HTTPStatus(self.http_status), "no\n")

    def _serve(self, connection: ServerConnection) -> None:
        number = len(self.greeted)
        self._open[number] = connection
        try:
            with contextlib.suppress(ConnectionClosed, OSError):
                self._talk(connection, number)
        finally:
            del self._open[number]

    def _talk(self, connection: ServerConnection, number: int) -> None:
        _say(connection, "session_started", session_id=f"s{number}", config={})
        with self.changed:
            self.greeted.append(time.monotonic())
            self.changed.notify_all()
        audio = bytearray()
        while True:
            if self.close_code is not None:
                connection.close(self.close_code)
                return
            message = json.loads(connection.recv())
            audio += base64.b64decode(message["audio_base_64"])
            if len(audio) >= MID_BYTES:
                self._phase(MID_UTTERANCE)
            if message["commit"]:
                commit = self._heard(bytes(audio), number)
                audio.clear()
                if not self._answer(connection, commit):
                    return

    def _heard(self, audio: bytes, number: int) -> Commit:
        frames = decode(audio)
        assert {frame.run for frame in frames} <= {self._run}, "somebody else's audio"
        seconds = len(audio) / 32_000
        commit = Commit(time.time(), number, spans(frames), stray(audio, frames), seconds)
        with self.changed:
            self.commits.append(commit)
            self.heard_s += seconds
            self.changed.notify_all()
        self._phase(AFTER_COMMIT)
        return commit

    def _answer(self, connection: ServerConnection, commit: Commit) -> bool:
        """Answer a commit as the switches say; whether the connection goes on."""
        if guilty := commit.utterances & self.poisoned:
            self.refused.update(guilty)
            _say(connection, "transcriber_error", error="this audio cannot be read")
            connection.close(1000)
            return False
        if self.silent:
            return True
        if swallowed := [n for n in commit.utterances if self.unanswered[n] > 0]:
            self.unanswered.subtract(swallowed)
            return True
        text = words(commit.spans, run=self._run)
        if self.shout_bytes:
            _say(connection, "announcement", text="x" * self.shout_bytes)
        for n in range(self.partials):
            _say(connection, "partial_transcript", text=f"{text} so far {n}")
        if self.answer_s:
            threading.Event().wait(self.answer_s)
        for _ in range(2 if commit.utterances & self.doubled else 1):
            _say(connection, "committed_transcript", text=text)
            self._phase(MID_ANSWER)
            _say(connection, "committed_transcript_with_timestamps", text=text, words=[])
        with self.changed:
            self.answered.append(commit)
            self.changed.notify_all()
        return True

    def _phase(self, phase: str) -> None:
        if self.trap is not None and self.trap[0] == phase:
            (_, act), self.trap = self.trap, None
            act()
            with self.changed:
                self.changed.notify_all()


def _say(connection: ServerConnection, kind: str, **fields: Any) -> None:
    connection.send(json.dumps({"message_type": kind, **fields}))
