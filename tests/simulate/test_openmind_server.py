"""OpenMind's dialect over real sockets, with clients as its documentation and OM1 have them."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from scribed.simulate import faults
from scribed.simulate.dialects.openmind_routes import Options
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.openmind import ELEVENLABS, GOOGLE, RIVA, silence, speech
from tests.simulate.sockets import PATIENCE_S, eventually
from tests.simulate.sockets import speech as recording

TURN = speech(1.0) + silence(1.0)


class Documented:
    """The sample of the documentation: JSON, and a text without a type is a final.

    The first message says rate and language, and each has 1024 frames.
    """

    def __init__(self, socket: ClientConnection, rate: int = 16_000) -> None:
        self.socket = socket
        self.client_id = ""
        self.partials: list[str] = []
        self.finals: list[str] = []
        self.others: list[dict[str, str]] = []
        self._rate = rate
        self._first = True
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 2048):
            self.socket.send(self.packet(pcm[start : start + 2048]))

    def packet(self, audio: bytes) -> str | bytes:
        fields: dict[str, object] = {"audio": base64.b64encode(audio).decode()}
        if self._first:
            fields |= {"rate": self._rate, "language_code": "en"}
            self._first = False
        return json.dumps(fields)

    def on_message(self, data: dict[str, str]) -> None:
        if data.get("type") == "connection":
            self.client_id = data["clientId"]
        elif data.get("type") == "partial":
            self.partials.append(data["asr_reply"])
        elif "asr_reply" in data:
            self.finals.append(data["asr_reply"])
        else:
            self.others.append(data)

    def leave(self) -> None:
        self.socket.close()
        self._listening.join(PATIENCE_S)

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in self.socket:
                self.on_message(json.loads(message))


class Om1(Documented):
    """OM1's Go client: binary messages, and only the type "committed" is a final."""

    def packet(self, audio: bytes) -> bytes:
        header = json.dumps(
            {
                "rate": self._rate,
                "language_code": "en",
                "timestamp": time.time_ns() // 1_000_000,
            }
        ).encode()
        return struct.pack(">I", len(header)) + header + audio

    def on_message(self, data: dict[str, str]) -> None:
        if data.get("type") == "committed":
            self.finals.append(data["asr_reply"])
        elif data.get("type") in {"info", "error"}:  # to see in a test what it never looks at
            self.others.append(data)


@contextlib.contextmanager
def client(
    server: Server,
    path: str = ELEVENLABS,
    *,
    kind: type[Documented] = Documented,
    query: str = "api_key=om1_live_1",
    rate: int = 16_000,
) -> Iterator[Documented]:
    with connect(
        f"{server.url}{path}?{query}", open_timeout=PATIENCE_S, close_timeout=PATIENCE_S
    ) as socket:
        talking = kind(socket, rate)
        try:
            yield talking
        finally:
            talking.leave()


def test_the_documented_sample_gets_partials_and_finals() -> None:
    with (
        Server(
            recognizer=Script(["turn left", "stop"]),
            answer_s=0.01,
            warmup_s=0.0,
            partial_every_s=0.5,
        ) as server,
        client(server) as talking,
    ):
        talking.say(speech(1.0))
        eventually(lambda: talking.partials != [])
        talking.say(silence(1.0))
        eventually(lambda: talking.finals == ["turn left"])
        talking.say(TURN)
        eventually(lambda: talking.finals == ["turn left", "stop"])
        assert talking.partials[0] in {"turn", "turn left"}
        assert talking.others == []
        opened_ms, _, name = talking.client_id.partition("-")
        assert abs(int(opened_ms) / 1000 - time.time()) < PATIENCE_S, "the time of day"
        assert len(name) == 16
        first, _ = server.commits
        assert first.asked is False
        assert first.text == "turn left"
        assert first.answered_at is not None


def test_om1s_client_gets_nothing_from_the_documented_service() -> None:
    with (
        Server(recognizer=Script(["turn left"]), answer_s=0.01) as server,
        client(server, kind=Om1) as talking,
    ):
        talking.say(TURN)
        eventually(lambda: server.stats.answers == 1)
        talking.leave()
        assert talking.finals == []


def test_om1s_client_gets_finals_of_the_type_that_it_knows() -> None:
    options = Options(final="committed")
    with (
        Server(recognizer=Script(["turn left"]), answer_s=0.01, openmind=options) as server,
        client(server, kind=Om1) as talking,
    ):
        talking.say(TURN)
        eventually(lambda: talking.finals == ["turn left"])
        assert server.sessions[0].audio_bytes == len(TURN)


@pytest.mark.parametrize("kind", [Documented, Om1])
def test_recorded_speech_is_recognised(kind: type[Documented]) -> None:
    pocketsphinx = pytest.importorskip("scribed.simulate.recognizers.pocketsphinx")
    options = Options(final="committed")
    with (
        Server(recognizer=pocketsphinx.PocketSphinx(), openmind=options) as server,
        client(server, kind=kind) as talking,
    ):
        talking.say(recording("goforward") + silence(1.0))
        eventually(lambda: talking.finals == ["go forward ten meters"])


def test_google_and_riva_answer_on_their_own_paths() -> None:
    with Server(recognizer=Script(["stop"]), answer_s=0.01) as server:
        with client(server, GOOGLE, query="api_key=k&model=chirp_3") as talking:
            talking.socket.send(json.dumps({"audio": base64.b64encode(TURN).decode()}))
            eventually(lambda: talking.finals == ["stop"])
            events = [other["type"] for other in talking.others]
            assert events == ["speech_start", "speech_end", "end_of_utterance"]
        with client(server, RIVA, query="", rate=48_000) as talking:
            talking.say(speech(1.0, 48_000) + silence(1.0, 48_000))
            eventually(lambda: talking.finals == ["stop"])
            assert talking.client_id == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Missing API key. Please connect with ?api_key=YOUR_API_KEY"),
        ("api_key=", "Missing API key. Please connect with ?api_key=YOUR_API_KEY"),
        ("api_key=wrong", "Invalid API key: "),
    ],
)
def test_a_refused_key_is_http_401_with_json(query: str, said: str) -> None:
    with Server(recognizer=Script(["stop"]), key="right") as server:
        with pytest.raises(InvalidStatus) as refused, client(server, query=query):
            pass
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/json"
        assert json.loads(bytes(response.body or b""))["error"].startswith(said)
        assert server.sessions[0].refused == "HTTP 401"
        with client(server, query="api_key=right") as talking:
            eventually(lambda: talking.client_id != "")


def test_a_quiet_client_is_left_with_1000() -> None:
    with Server(recognizer=Script(["stop"]), idle_s=1.0) as server:
        with client(server) as talking:
            talking.say(silence(0.1))
            eventually(lambda: any(each.closed_at is not None for each in server.sessions))
        assert server.sessions[0].close == (1000, "")
        assert server.sessions[0].refused is None


def test_a_session_restarts_in_mid_utterance_and_goes_on() -> None:
    with (
        Server(recognizer=Script(["lost", "heard"]), answer_s=0.01, session_s=1.0) as server,
        client(server) as talking,
    ):
        talking.say(speech(1.0))
        eventually(lambda: talking.others != [])
        assert talking.others[0]["type"] == "info"
        talking.say(TURN)
        eventually(lambda: talking.finals == ["heard"])


def test_a_bad_message_is_answered_and_the_connection_lives() -> None:
    with (
        Server(recognizer=Script(["stop"]), answer_s=0.01) as server,
        client(server) as talking,
    ):
        talking.socket.send("{}")
        eventually(lambda: talking.others != [])
        assert talking.others[0]["message"] == "Invalid message format: 'audio' field missing"
        talking.say(TURN)
        eventually(lambda: talking.finals == ["stop"])


def test_faults_of_openminds_own_can_begin_at_any_time() -> None:
    with Server(recognizer=Script(["lost", "heard"]), answer_s=0.01) as server:
        server.inject("openmind-committed")
        with client(server, kind=Om1) as talking:
            talking.say(speech(1.0))
            eventually(lambda: [each.audio_bytes for each in server.sessions] == [32_000])
            server.inject("openmind-restart")
            server.inject("openmind-complaint")
            eventually(lambda: [m["type"] for m in talking.others] == ["info", "error"])
            talking.say(TURN)
            eventually(lambda: talking.finals == ["heard"])
        server.heal()
        with client(server) as talking:
            talking.say(TURN)
            eventually(lambda: talking.finals == ["lost"])


def test_a_restart_that_commits_asks_for_the_answer_at_once() -> None:
    wrong = [faults.parse("openmind-kept")]
    with (
        Server(recognizer=Script(["kept"]), answer_s=0.01, session_s=1.0, wrong=wrong) as server,
        client(server) as talking,
    ):
        talking.say(speech(0.5))
        eventually(lambda: talking.finals == ["kept"])


@pytest.mark.parametrize(
    ("fault", "status", "said", "retry_after"),
    [
        ("http-402", 402, "Insufficient balance", None),
        ("http-429=30", 429, "Rate limit exceeded", "30"),
        ("http-503", 503, "Service Unavailable", None),
    ],
)
def test_an_upgrade_can_be_refused_with_any_status(
    fault: str, status: int, said: str, retry_after: str | None
) -> None:
    with Server(recognizer=Script(["stop"])) as server:
        server.inject(fault)
        with pytest.raises(InvalidStatus) as refused, client(server):
            pass
        response = refused.value.response
        assert response.status_code == status
        assert json.loads(bytes(response.body or b"")) == {"error": said}
        assert response.headers.get("Retry-After") == retry_after


def test_faults_of_every_service_befall_openminds_too() -> None:
    with Server(recognizer=Script(["one", "two", "three"]), answer_s=0.01) as server:
        server.inject("double-answer=2")
        with client(server) as talking:
            talking.say(TURN * 2)
            eventually(lambda: talking.finals == ["one", "two", "two"])
            server.inject("transcriber_error")
            eventually(lambda: talking.others != [])
        assert talking.others[0]["type"] == "error"
        assert talking.others[0]["message"].startswith("Speech recognition error: ")
        eventually(lambda: server.sessions[0].close == (1011, ""))
        assert server.sessions[0].refused == "error"
        with client(server) as talking:
            eventually(lambda: talking.client_id != "")
            server.inject("close-1008")
            eventually(lambda: server.sessions[1].close == (1008, ""))
