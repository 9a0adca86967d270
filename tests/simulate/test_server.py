"""The simulator over real sockets."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from scribed.errors import ScribedError
from scribed.simulate import tls
from scribed.simulate.recognizers import Answer
from scribed.simulate.recognizers.script import Script
from scribed.simulate.recording import CommitRecord, SessionRecord
from scribed.simulate.server import Server
from tests.simulate.sockets import eventually, session

SECOND = bytes(range(1, 251)) * 128  # 32 000 bytes: not silence, and easy to compare


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_session_from_hello_to_goodbye_is_on_record() -> None:
    with Server(recognizer=Script(["turn left"]), answer_s=0.01, keep_audio=True) as server:
        with session(server, "include_timestamps=true") as client:
            started = client.next()
            assert started["message_type"] == "session_started"
            client.say(SECOND * 2)
            assert client.until("committed_transcript")["text"] == "turn left"
            assert client.until("committed_transcript_with_timestamps")["text"] == "turn left"
        eventually(lambda: server.sessions[0].closed_at is not None)

        (seen,) = server.sessions
        assert seen.session_id == started["session_id"]
        assert (seen.messages, seen.audio_bytes, seen.commits) == (21, 64_000, 1)
        assert seen.wire_bytes > 64_000 * 4 / 3
        assert seen.close == (1000, "")
        (commit,) = server.commits
        assert (commit.text, commit.pcm, commit.asked) == ("turn left", SECOND * 2, True)
        assert commit.sha256 == hashlib.sha256(SECOND * 2).hexdigest()
        assert commit.answered_at is not None
        assert commit.answered_at - commit.received_at >= 0.01 - 1e-6
        stats = server.stats
        assert (stats.connections, stats.commits, stats.answers, stats.refused) == (1, 1, 1, 0)
        assert (stats.audio_bytes, stats.wire_bytes) == (64_000, seen.wire_bytes)


def test_whoever_asked_is_told_of_sessions_and_commits() -> None:
    records: list[SessionRecord | CommitRecord] = []
    with Server(recognizer=Script(["stop"]), answer_s=0.0, record=records.append) as server:
        with session(server) as client:
            client.say(SECOND)
            client.until("committed_transcript")
        eventually(lambda: len(records) == 4)
    opened, taken, answered, closed = records
    assert isinstance(opened, SessionRecord)
    assert isinstance(closed, SessionRecord)
    assert (opened.closed_at, closed.close) == (None, (1000, ""))
    assert isinstance(taken, CommitRecord)
    assert isinstance(answered, CommitRecord)
    assert (taken.text, answered.text) == (None, "stop")


def test_an_answer_that_takes_its_time_does_not_keep_the_server_from_listening() -> None:
    with (
        Server(recognizer=Script(["one", "two", "three"]), answer_s=0.5) as server,
        session(server) as client,
    ):
        for _ in range(3):
            client.say(SECOND)
        eventually(lambda: server.stats.commits == 3)
        assert server.stats.answers == 0
        answers = [client.until("committed_transcript")["text"] for _ in range(3)]
        assert answers == ["one", "two", "three"]


def test_sessions_do_not_wait_for_each_other() -> None:
    with (
        Server(recognizer=Script(["stop"]), answer_s=0.0) as server,
        session(server) as first,
        session(server) as second,
    ):
        first.send(SECOND)
        second.say(SECOND)
        assert second.until("committed_transcript")["text"] == "stop"
        assert [seen.audio_bytes for seen in server.sessions] == [32_000, 32_000]


@pytest.mark.parametrize("credentials", [{"key": None}, {"key": ""}, {"key": "wrong"}])
def test_a_refused_key_opens_the_socket_says_so_and_closes(
    credentials: dict[str, str | None],
) -> None:
    with Server(recognizer=Script(["stop"]), key="right") as server:
        with session(server, key=credentials["key"]) as client:
            frames, code, reason = client.until_closed()
        assert [frame["message_type"] for frame in frames] == ["auth_error"]
        assert (code, reason) == (1000, "")
        eventually(lambda: server.stats.refused == 1)
        assert server.sessions[0].refused == "auth_error"
        with session(server, key="right") as client:
            assert client.next()["message_type"] == "session_started"


def test_a_token_is_spent_by_the_session_that_it_opens() -> None:
    with Server(recognizer=Script(["stop"])) as server:
        with session(server, "token=sutkn_1", key=None) as client:
            assert client.next()["message_type"] == "session_started"
        with session(server, "token=sutkn_1", key=None) as client:
            assert client.next()["message_type"] == "auth_error"


def test_a_refused_key_can_be_answered_with_http_401() -> None:
    with Server(recognizer=Script(["stop"]), key="right", refuse_with_http=True) as server:
        with pytest.raises(InvalidStatus, match="401"), session(server, key="wrong"):
            pass
        assert (server.stats.connections, server.stats.refused) == (1, 1)
        assert server.sessions[0].refused == "HTTP 401"


def test_another_path_is_answered_with_the_right_one() -> None:
    with Server(recognizer=Script(["stop"])) as server:
        with pytest.raises(InvalidStatus, match="404") as refused, connect(f"{server.url}/v1/stt"):
            pass
        assert b"/v1/speech-to-text/realtime" in bytes(refused.value.response.body or b"")


def test_a_bad_query_opens_the_socket_says_so_and_closes_with_1008() -> None:
    with (
        Server(recognizer=Script(["stop"])) as server,
        session(server, "model_id=scribe_realtime_v2") as client,
    ):
        frames, code, reason = client.until_closed()
    assert [frame["message_type"] for frame in frames] == ["invalid_request"]
    assert (code, reason) == (1008, "invalid_request")


def test_a_session_that_the_service_never_transcribes_is_on_record_with_the_remedy() -> None:
    with (
        Server(recognizer=Script(["stop"])) as server,
        session(server, "language_code=en-US") as client,
    ):
        assert client.next()["config"]["language_code"] == "en-US"
        assert 'use "en"' in str(server.sessions[0].note)


def test_a_throttled_commit_closes_with_its_name() -> None:
    with Server(recognizer=Script(["stop"])) as server, session(server) as client:
        client.send(bytes(3200), commit=True)
        frames, code, reason = client.until_closed()
    assert frames[-1]["message_type"] == "commit_throttled"
    assert (code, reason) == (1000, "commit_throttled")


def test_a_binary_frame_closes_the_session() -> None:
    with Server(recognizer=Script(["stop"])) as server, session(server) as client:
        client.socket.send(SECOND)
        frames, code, _ = client.until_closed()
    assert (frames[-1]["message_type"], code) == ("input_error", 1000)


def test_pings_are_answered_but_do_not_keep_an_idle_session_open() -> None:
    with Server(recognizer=Script(["stop"]), idle_s=1.5) as server, session(server) as client:
        started = time.monotonic()
        client.next()
        pongs = 0
        while time.monotonic() < started + 0.5:
            pongs += client.socket.ping().wait(timeout=1.0)
            time.sleep(0.05)
        frames, code, reason = client.until_closed()
        assert pongs >= 3
        assert (frames, code, reason) == ([], 1000, "")
        assert 0.5 < time.monotonic() - started < 4.0


def test_a_client_that_vanishes_is_on_record_as_lost() -> None:
    with Server(recognizer=Script(["stop"])) as server:
        with session(server) as client:
            client.next()
            client.socket.socket.shutdown(socket.SHUT_RDWR)
            eventually(lambda: server.sessions[0].closed_at is not None)
        assert server.sessions[0].close == (1006, "")


class Broken:
    """A recogniser with a fault in it."""

    def feed(self, pcm: bytes) -> None:
        raise RuntimeError("the model is damaged")

    def partial(self) -> str:
        return ""

    def commit(self) -> Answer:
        return Answer("")

    def close(self) -> None:
        """Nothing to give back."""


def test_a_recogniser_that_fails_ends_its_session_and_leaves_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Server(recognizer=Broken) as server, session(server) as client:
        client.send(SECOND)
        frames, code, reason = client.until_closed()
        assert frames[-1]["message_type"] == "transcriber_error"
        assert (code, reason) == (1000, "transcriber_error")
        assert "the model is damaged" in caplog.text


class Slow(Broken):
    """A recogniser that hears nothing until it is let."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def feed(self, pcm: bytes) -> None:
        self.go_on.wait(10)


def test_audio_that_piles_up_before_a_slow_recogniser_overflows_its_queue() -> None:
    slow = Slow()
    with Server(recognizer=lambda: slow) as server, session(server) as client:
        try:
            for _ in range(130):
                client.send(SECOND)
            frames, code, reason = client.until_closed()
        finally:
            slow.go_on.set()
        assert frames[-1]["message_type"] == "queue_overflow"
        assert (code, reason) == (1000, "queue_overflow")


def test_closing_says_goodbye_and_leaves_no_thread() -> None:
    before = threads()
    server = Server(recognizer=Script(["stop"]))
    server.start()
    with session(server) as client:
        client.send(SECOND)
        client.next()
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 3.0
        assert client.until_closed()[1] == 1001
    server.close()
    eventually(lambda: threads() <= before)


def test_closing_does_not_wait_for_a_client_that_does_not_answer() -> None:
    server = Server(recognizer=Script(["stop"]))
    server.start()
    address = server.url.removeprefix("ws://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as silent:
        silent.sendall(
            b"GET /v1/speech-to-text/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nxi-api-key: k\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        eventually(lambda: server.stats.connections == 1)
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 4.0


def test_a_closed_server_frees_its_port_for_the_next() -> None:
    with Server(recognizer=Script(["one"])) as first, session(first) as client:
        client.next()
        port = int(first.url.rsplit(":", 1)[1])
    with Server(recognizer=Script(["two"]), port=port) as second, session(second) as client:
        assert client.next()["message_type"] == "session_started"


def test_a_port_in_use_is_named() -> None:
    with Server(recognizer=Script(["stop"])) as server:
        port = int(server.url.rsplit(":", 1)[1])
        other = Server(recognizer=Script(["stop"]), port=port)
        with pytest.raises(
            ScribedError, match=rf"cannot listen on 127.0.0.1 port {port}: .*--port"
        ):
            other.start()
        other.close()


def test_strangers_that_speak_no_websocket_are_shrugged_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Server(recognizer=Script(["stop"])) as server, caplog.at_level(logging.DEBUG, "scribed"):
        address = server.url.removeprefix("ws://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as stranger:
            stranger.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            while stranger.recv(4096):
                pass
        with session(server) as client:
            assert client.next()["message_type"] == "session_started"
    assert caplog.text == ""


def trusting(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_tls_with_a_throw_away_certificate_satisfies_a_strict_client(tmp_path: Path) -> None:
    context, authority = tls.throw_away(tmp_path, host="127.0.0.1")
    with Server(recognizer=Script(["stop"]), tls=context, answer_s=0.0) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        with session(server, trust=trusting(authority)) as client:
            client.say(SECOND)
            assert client.until("committed_transcript")["text"] == "stop"
        with (
            pytest.raises(ssl.SSLCertVerificationError),
            session(server, trust=ssl.create_default_context()),
        ):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not a certificate")
    with pytest.raises(ScribedError, match=r"cannot read .*key\.pem: No such file"):
        tls.from_files(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "key.pem").write_text("not a key")
    with pytest.raises(ScribedError, match="are not a PEM certificate"):
        tls.from_files(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_message_over_the_limit_ends_the_connection() -> None:
    with Server(recognizer=Script(["stop"])) as server, session(server) as client:
        client.socket.send(json.dumps({"message_type": "x" * 2**20}))
        assert client.until_closed()[1] == 1009


def test_a_client_reads_what_was_due_even_if_it_reads_late() -> None:
    with Server(recognizer=Script(["stop"]), answer_s=0.0, idle_s=0.3) as server:
        with session(server) as client:
            client.say(SECOND)
            eventually(lambda: any(s.closed_at is not None for s in server.sessions))
            frames, code, _ = client.until_closed()
        assert [frame["message_type"] for frame in frames][:2] == [
            "session_started",
            "committed_transcript",
        ]
        assert code == 1000
