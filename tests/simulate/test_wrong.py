"""Faults, tokens and the two dialects over real sockets."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from scribed.simulate.faults import FaultError, parse
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.sockets import eventually, session

MINT = "/v1/single-use-token/realtime_scribe"
SECOND = bytes(32_000)


def serving(*wrong: str, key: str | None = None) -> Server:
    on = [parse(fault) for fault in wrong]
    return Server(recognizer=Script(["stop"]), key=key, answer_s=0.0, wrong=on)


def post(
    server: Server, path: str = MINT, key: str = "right", method: str = "POST"
) -> tuple[int, http.client.HTTPMessage, dict[str, object]]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={"xi-api-key": key})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def test_a_token_is_minted_on_the_same_port_and_spent_by_one_session() -> None:
    with serving(key="right") as server:
        status, headers, body = post(server)
        assert (status, headers["content-type"]) == (200, "application/json")
        with session(server, f"token={body['token']}", key=None) as client:
            assert client.next()["message_type"] == "session_started"
        with session(server, f"token={body['token']}", key=None) as client:
            assert client.next()["message_type"] == "auth_error"


def test_minting_is_refused_in_the_services_words_and_is_no_session() -> None:
    with serving(key="right") as server:
        assert [post(server, key="wrong")[0], post(server, "/v1/nothing")[0]] == [401, 404]
        status, _, body = post(server, method="GET")
        assert (status, body["detail"]) == (
            405,
            {"status": "method_not_allowed", "message": "A token is minted by POST."},
        )
        assert server.stats.messages == 0
        with session(server, key="right") as client:
            assert client.next()["message_type"] == "session_started"


def test_a_fault_can_begin_and_end_while_the_server_runs() -> None:
    with serving() as server:
        with session(server) as client:
            client.next()
            server.inject("close-1012")
            assert client.until_closed()[1:] == (1012, "")
        server.inject("http-503=7")
        with pytest.raises(InvalidStatus) as refused, session(server):
            pass
        response = refused.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
        assert json.loads(response.body or b"")["detail"]["status"] == "system_busy"
        assert server.sessions[-1].refused == "HTTP 503"
        server.heal()
        with session(server) as client:
            assert client.next()["message_type"] == "session_started"
        with pytest.raises(FaultError, match="there is no fault"):
            server.inject("gremlins")


def test_tcp_can_be_cut_off_in_the_middle() -> None:
    with serving("drop=commit") as server, session(server) as client:
        client.say(SECOND)
        assert client.until_closed()[1] == 1006
        eventually(lambda: server.sessions[0].closed_at is not None)
        assert server.sessions[0].close == (1006, "")


def test_a_mute_service_takes_everything_and_says_nothing() -> None:
    with serving("mute") as server, session(server) as client:
        client.say(SECOND)
        eventually(lambda: server.stats.commits == 1)
        with pytest.raises(TimeoutError):
            client.socket.recv(timeout=0.2)


def test_a_deaf_service_reads_nothing_until_it_is_healed() -> None:
    with serving("deaf") as server, session(server) as client:
        assert client.next()["message_type"] == "session_started"
        client.say(SECOND)
        with pytest.raises(TimeoutError):
            client.socket.recv(timeout=0.3)
        assert server.stats.messages == 0
        server.heal()
        assert client.until("committed_transcript")["text"] == "stop"


def test_an_upgrade_that_is_never_answered_does_not_keep_the_server_from_closing() -> None:
    server = serving("no-upgrade")
    server.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connect(f"{server.url}/v1/speech-to-text/realtime", open_timeout=0.3)
    server.close()
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize(("fault", "code"), [("bad-utf8", 1007), ("huge=2000000", 1009)])
def test_messages_that_no_client_takes_end_at_the_client(fault: str, code: int) -> None:
    with serving(fault) as server, session(server) as client:
        with pytest.raises(ConnectionClosed):
            client.next()
        eventually(lambda: server.sessions[0].closed_at is not None)
        close = server.sessions[0].close
        assert close is not None
        assert close[0] == code


def test_the_path_says_which_service_it_is() -> None:
    with (
        serving(key="right") as server,
        connect(f"{server.url}/api/core/elevenlabs/asr?api_key=right") as openmind,
    ):
        assert json.loads(openmind.recv(timeout=10))["type"] == "connection"
        with session(server, key="right") as elevenlabs:
            assert elevenlabs.next()["message_type"] == "session_started"
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{server.url}/api/core/elevenlabs/asr?api_key=wrong")
        assert refused.value.response.status_code == 401
        assert "error" in json.loads(refused.value.response.body or b"")


def test_openmind_suffers_the_same_faults() -> None:
    with (
        serving("transcriber_error=commit") as server,
        connect(f"{server.url}/api/core/elevenlabs/asr?api_key=k") as openmind,
    ):
        assert json.loads(openmind.recv(timeout=10))["type"] == "connection"
        server.inject("drop")
        with pytest.raises(ConnectionClosed):
            openmind.recv(timeout=10)
