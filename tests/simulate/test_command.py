"""`scribed simulate` as its user meets it: a process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.sockets import PATIENCE_S, Client

ROOT = Path(__file__).parents[2]
URL = re.compile(r'\[provider\] url = "([^"]+)"(?:, ca_file = "([^"]+)")?')


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scribed", "simulate", *arguments]


def outcome(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run it to its end; return its exit status and what it said on stderr."""
    done = subprocess.run(
        command(*arguments),
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Start it; yield the process, the URL and the file of the authority that it printed."""
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = URL.search(process.stdout.readline())
            assert found is not None
            yield process, found[1], found[2]
        finally:
            process.kill()


@pytest.fixture
def answers(tmp_path: Path) -> str:
    path = tmp_path / "answers.txt"
    path.write_text("turn left\nstop\n")
    return str(path)


def session(
    url: str, query: str = "", *, key: str = "k", trust: ssl.SSLContext | None = None
) -> Client:
    return Client(
        connect(
            f"{url}/v1/speech-to-text/realtime?{query}",
            additional_headers={"xi-api-key": key},
            ssl=trust,
            open_timeout=PATIENCE_S,
        )
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_well(answers: str, number: signal.Signals) -> None:
    with running("--script", answers, "--port", "0", "--answer-ms", "10") as (process, url, _):
        client = session(url)
        with client.socket:
            client.say(bytes(32_000))
            assert client.until("committed_transcript")["text"] == "turn left"
        process.send_signal(number)
        said, complaints = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert complaints == ""
    assert re.search(r"session [0-9a-f]{8} opened", said)
    assert re.search(r"commit 1: 1.00 s of audio, answered after \d+ ms: 2 words", said)
    assert "turn left" not in said


def test_a_signal_ends_it_while_a_session_is_open(answers: str) -> None:
    with running("--script", answers, "--port", "0") as (process, url, _):
        client = session(url)
        with client.socket:
            client.next()
            process.send_signal(signal.SIGTERM)
            assert client.until_closed()[1] == 1001
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "closed 1001" in said


def test_the_text_is_shown_only_to_whom_asks(answers: str) -> None:
    with running("--script", answers, "--port", "0", "--show-text") as (process, url, _):
        client = session(url)
        with client.socket:
            client.say(bytes(32_000))
            client.until("committed_transcript")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert "'turn left'" in said


def test_a_key_file_names_the_only_key(answers: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("right\n")
    key_file = str(tmp_path / "key")
    with running("--script", answers, "--port", "0", "--key-file", key_file) as (_, url, _):
        wrong, right = session(url, key="wrong"), session(url, key="right")
        with wrong.socket, right.socket:
            assert wrong.next()["message_type"] == "auth_error"
            assert right.next()["message_type"] == "session_started"


def test_faults_are_suffered_by_name_and_by_schedule(answers: str, tmp_path: Path) -> None:
    schedule = tmp_path / "faults.txt"
    schedule.write_text("# all day\n0 close-1013=0.1 for 3600\n")
    wrong = ["--fault", "unknown", "--schedule", str(schedule)]
    with running("--script", answers, "--port", "0", *wrong) as (_, url, _):
        client = session(url)
        with client.socket:
            assert client.next()["message_type"] == "weather_report"
            assert client.until("session_started")
            assert client.until_closed()[1] == 1013


def test_the_longest_session_and_the_order_of_the_texts_can_be_chosen(answers: str) -> None:
    chosen = ["--session-s", "1", "--text-order", "stamped-first", "--answer-ms", "0"]
    with running("--script", answers, "--port", "0", *chosen) as (_, url, _):
        client = session(url, "include_timestamps=true")
        with client.socket:
            client.say(bytes(32_000))
            kinds = [frame["message_type"] for frame in client.until_closed()[0]]
    assert kinds[:3] == [
        "session_started",
        "committed_transcript_with_timestamps",
        "committed_transcript",
    ]
    assert kinds[-1] == "session_time_limit_exceeded"


def test_all_faults_are_listed() -> None:
    done = subprocess.run(
        command("--fault", "list"), check=True, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "transcriber_error" in done.stdout
    assert "http-NNN" in done.stdout


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_tls_prints_the_authority_to_trust_and_takes_it_away_at_the_end(answers: str) -> None:
    with running("--script", answers, "--port", "0", "--tls") as (process, url, authority):
        assert url.startswith("wss://")
        client = session(url, trust=ssl.create_default_context(cafile=authority))
        with client.socket:
            assert client.next()["message_type"] == "session_started"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert not Path(authority).parent.exists()


def test_a_port_in_use_is_one_clear_line(answers: str) -> None:
    with Server(recognizer=Script(["stop"])) as server:
        port = server.url.rsplit(":", 1)[1]
        status, said = outcome("--script", answers, "--port", port)
    assert status == 1
    assert said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}: " in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--script", "/no/such/file"], 1, "cannot read the script /no/such/file: No such file"),
        (["--key-file", "/no/such/key"], 1, "cannot read the key file /no/such/key: No such file"),
        (["--recognizer", "script"], 2, "--recognizer script needs --script FILE"),
        (["--tls", "--certificate", "x"], 2, "leave out one or the other"),
        (["--certificate", "x"], 2, "--certificate and --private-key belong together"),
        (["--certificate", "/no/c", "--private-key", "/no/k"], 1, "cannot read /no/c: No such"),
        (["--port", "70000"], 2, "'70000' is not a whole number 0 to 65535"),
        (["--answer-ms", "-1"], 2, "--answer-ms"),
        (["--fault", "drip"], 2, "there is no fault 'drip'; did you mean drop?"),
        (["--fault", "slow=x"], 2, "the value of slow (seconds) must be a number from 0"),
        (["--schedule", "/no/such/day"], 1, "cannot read the schedule /no/such/day: No such file"),
        (["--schedule", __file__], 1, "line 1: "),
        (["--host", "no.such.host.invalid", "--port", "0"], 1, "cannot listen on no.such.host"),
    ],
)
def test_what_the_user_got_wrong_is_said_in_words(
    answers: str, arguments: list[str], status: int, said: str
) -> None:
    if "--script" not in arguments and "script" not in arguments:
        arguments = ["--script", answers, *arguments]
    code, complaint = outcome(*arguments)
    assert code == status
    assert said in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("library", ["pocketsphinx", "websockets"])
def test_a_missing_library_is_one_clear_line(tmp_path: Path, library: str) -> None:
    (tmp_path / f"{library}.py").write_text("raise ImportError('not here')\n")
    status, said = outcome("--port", "0", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert status == 1
    assert said.count("\n") == 1
    assert "install scribed[simulate]" in said
