"""Single-use tokens: from the endpoint, a server or a command, bounded, and never told anybody."""

from __future__ import annotations

import gc
import os
import signal
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.config import ElevenLabs, ProviderSection
from scribed.errors import Refused, ScribedError, TransportError
from scribed.service.https import MAX_ANSWER
from scribed.service.tokens import MAX_OUTPUT, command_problem, mint
from tests.service.minting import SOON, Minter, drip, http, minted

KEY = "sk_0123456789"
TOKEN = "sutkn_abc"
URL, COMMAND = "provider.elevenlabs.token_url", "provider.elevenlabs.token_command"


def at_endpoint(minter: Minter, **more: Any) -> ProviderSection:
    return ProviderSection(
        url=f"ws://127.0.0.1:{minter.port}", elevenlabs=ElevenLabs(auth="token"), **more
    )


def at_url(url: str, **more: Any) -> ProviderSection:
    return ProviderSection(elevenlabs=ElevenLabs(auth="token", token_url=url), **more)


def by_command(*command: str, **more: Any) -> ProviderSection:
    return ProviderSection(elevenlabs=ElevenLabs(auth="token", token_command=command), **more)


def python(code: str, **more: Any) -> ProviderSection:
    return by_command(sys.executable, "-c", code, **more)


def failure(provider: ProviderSection, tls: ssl.SSLContext | None = None) -> ScribedError:
    """Why there is no token; neither key nor token is in there or in its traceback."""
    with pytest.raises(ScribedError) as caught:
        mint(provider, KEY, tls=tls)
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert TOKEN not in told
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def refused(status: int, body: str = "", *headers: str) -> Refused:
    with Minter(http(status, body, *headers)) as minter:
        error = failure(at_endpoint(minter))
    assert isinstance(error, Refused)
    return error


def passing(provider: ProviderSection) -> str:
    """Why it failed, where that may pass."""
    error = failure(provider)
    assert type(error) is TransportError
    return str(error)


def lasting(provider: ProviderSection) -> str:
    """Why it failed, where that needs somebody."""
    error = failure(provider)
    assert type(error) is ScribedError
    return str(error)


# From the endpoint


def test_the_endpoint_mints_a_token_for_the_key() -> None:
    with Minter(minted(TOKEN)) as minter:
        assert mint(at_endpoint(minter), KEY, tls=None) == TOKEN
        port = minter.port
    (asked,) = minter.asked
    assert asked.line == "POST /v1/single-use-token/realtime_scribe HTTP/1.1"
    assert asked.headers["xi-api-key"] == KEY
    assert asked.headers["host"] == f"127.0.0.1:{port}"
    assert asked.headers["content-length"] == "0"


def test_each_connection_gets_a_token_of_its_own() -> None:
    with Minter(minted("one")) as minter:
        assert mint(at_endpoint(minter), KEY, tls=None) == "one"
        minter.answer = minted("two")
        assert mint(at_endpoint(minter), KEY, tls=None) == "two"
    assert minter.connections == 2


def test_a_key_of_any_characters_is_only_refused() -> None:
    with Minter(http(401, "")) as minter, pytest.raises(Refused):
        mint(at_endpoint(minter), "clé-ключ", tls=None)
    assert minter.asked[0].headers["xi-api-key"].encode("latin-1").decode() == "clé-ключ"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429])
def test_a_refusal_has_its_status_and_its_body(status: int) -> None:
    error = refused(status, '{"detail": "no"}', "Retry-After: 7")
    assert (error.status, error.body, error.retry_after_s) == (status, '{"detail": "no"}', 7.0)
    assert str(error) == f"HTTP {status}"


def test_a_refusal_that_repeats_the_key_is_masked() -> None:
    assert refused(401, f"invalid key {KEY}").body == "invalid key ***"


def test_a_wait_that_is_no_number_or_beyond_measure_is_bounded() -> None:
    assert refused(429, "", "Retry-After: soon").retry_after_s is None
    assert refused(429, "", f"Retry-After: {'9' * 500}").retry_after_s == 300.0


def test_of_a_refusal_whose_body_does_not_come_the_status_is_enough() -> None:
    with Minter(http(401, "half", length=100)) as minter:
        error = failure(at_endpoint(minter))
    assert isinstance(error, Refused)
    assert (error.status, error.body) == (401, "")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_of_the_server_may_pass(status: int) -> None:
    with Minter(http(status, "oops")) as minter:
        assert passing(at_endpoint(minter)) == f"no token: HTTP {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with Minter(minted(TOKEN)) as other:
        there = f"Location: http://127.0.0.1:{other.port}/"
        with Minter(http(status, "", there)) as minter:
            assert passing(at_endpoint(minter)) == (
                f"no token: 127.0.0.1: HTTP {status}: a redirect is not followed"
            )
        assert other.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        TOKEN,
        "[]",
        '{"tokens": 1}',
        '{"token": 5}',
        '{"token": ""}',
        '{"token": "a b"}',
        '{"token": "a\\nb"}',
        '{"token": "ä"}',
        '{"token": "' + "x" * 4097 + '"}',
        "[" * 60_000,
        b"\xff\xfe",
    ],
)
def test_an_answer_without_a_token_is_said(body: str | bytes) -> None:
    with Minter(http(200, body)) as minter:
        assert lasting(at_endpoint(minter)) == (
            'provider.url: no token: the answer is not {"token": "…"}'
        )


def test_more_than_a_token_in_the_answer_is_no_fault() -> None:
    with Minter(http(201, f'{{"token": "{TOKEN}", "expires_in": 900}}')) as minter:
        assert mint(at_endpoint(minter), KEY, tls=None) == TOKEN


# What stands there instead of a server


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = at_url(f"http://127.0.0.1:{port}")
    assert passing(provider) == "no token: 127.0.0.1: connection refused"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70, "x..y"])
def test_a_name_that_nobody_knows_is_said(host: str) -> None:
    assert passing(at_url(f"https://{host}/token")) == (
        f"no token: {host}: the name cannot be resolved"
    )


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0\xff" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        f"HTTP/1.1 {KEY} {TOKEN}\r\n\r\n".encode(),
    ],
)
def test_what_is_no_http_may_pass_and_is_not_quoted(said: bytes) -> None:
    with Minter(said) as minter:
        assert passing(at_endpoint(minter)).startswith("no token: 127.0.0.1: ")


def test_a_server_that_hangs_up_is_said() -> None:
    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    with Minter(reset) as minter:
        assert passing(at_endpoint(minter)) == "no token: 127.0.0.1: connection reset by peer"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 2 * MAX_ANSWER,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b" " * 2 * MAX_ANSWER,
    ],
)
def test_an_answer_beyond_measure_is_not_read(said: bytes) -> None:
    with Minter(said) as minter:
        line = passing(at_endpoint(minter))
    assert line == f"no token: 127.0.0.1: an answer over {MAX_ANSWER} bytes"


def test_a_server_that_says_nothing_but_continue_is_left() -> None:
    with Minter(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000) as minter:
        line = passing(at_endpoint(minter))
    reason = line.removeprefix("no token: 127.0.0.1: ")
    # The latter where Python itself counts them, as 3.14 does.
    assert reason in {
        f"an answer over {MAX_ANSWER} bytes",
        "what answers there is no HTTP server",
    }


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    with Minter(lambda sock: sock.recv(1)) as minter:
        began = time.monotonic()
        line = passing(at_endpoint(minter, connect_timeout_s=1.0))
        assert 0.9 < time.monotonic() - began < 5.0
    assert line == "no token: 127.0.0.1: timed out"


def test_a_server_that_never_ends_its_answer_is_left_in_time() -> None:
    with Minter(b"") as minter:
        minter.answer = drip(minter.stopping)
        began = time.monotonic()
        line = passing(at_endpoint(minter, connect_timeout_s=1.0))
        assert 0.9 < time.monotonic() - began < 5.0
    assert line == "no token: 127.0.0.1: timed out"


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_whatever_is_answered_there_is_a_token_or_one_line(said: bytes) -> None:
    with Minter(said) as minter:
        failure(at_endpoint(minter))


# TLS


class Authority:
    """A certificate authority, and who trusts it."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_the_key_goes_over_tls_and_the_token_comes_back(authority: Authority) -> None:
    with Minter(minted(TOKEN), authority.server("localhost")) as minter:
        provider = ProviderSection(
            url=f"wss://localhost:{minter.port}/v1/speech-to-text/realtime",
            elevenlabs=ElevenLabs(auth="token"),
        )
        assert mint(provider, KEY, tls=authority.client()) == TOKEN
    assert minter.asked[0].headers["xi-api-key"] == KEY


@pytest.mark.parametrize(("name", "trusts"), [("example.org", True), ("localhost", False)])
def test_a_server_that_is_not_who_it_should_be_never_sees_the_key(
    authority: Authority, name: str, trusts: bool
) -> None:
    with Minter(minted(TOKEN), authority.server(name)) as minter:
        error = failure(
            at_url(f"https://localhost:{minter.port}"), authority.client() if trusts else None
        )
    assert type(error) is TransportError
    assert str(error).startswith("no token: localhost: the certificate is not trusted (")
    assert str(error).endswith("check the machine's clock, the host name and provider.ca_file")
    assert minter.asked == []


def test_a_server_without_tls_is_said(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        error = failure(
            at_url(f"https://localhost:{listener.getsockname()[1]}"), authority.client()
        )
        thread.join(SOON)
    assert type(error) is TransportError
    assert str(error).startswith("no token: localhost: ")
    assert str(error).endswith("; the server must have TLS 1.2 or newer")


# From a server of one's own


def test_a_token_url_is_asked_instead_of_the_endpoint() -> None:
    with Minter(minted(TOKEN)) as minter:
        provider = at_url(f"http://127.0.0.1:{minter.port}/robots/r7 ä?")
        assert mint(provider, KEY, tls=None) == TOKEN
        assert mint(provider, None, tls=None) == TOKEN
    with_key, without = minter.asked
    assert with_key.line == "POST /robots/r7%20%C3%A4 HTTP/1.1"
    assert with_key.headers["xi-api-key"] == KEY
    assert "xi-api-key" not in without.headers


def test_a_token_url_that_answers_something_else_is_named() -> None:
    with Minter(http(200, "hello")) as minter:
        line = lasting(at_url(f"http://127.0.0.1:{minter.port}"))
    assert line == f'{URL}: no token: the answer is not {{"token": "…"}}'


# From a command


@pytest.mark.parametrize(
    "printed", [TOKEN, f"{TOKEN}\n", f'{{"token": "{TOKEN}"}}\n', f'\n {{"token":"{TOKEN}","n":1}}']
)
def test_a_command_prints_the_token_or_json_with_it(printed: str) -> None:
    assert mint(by_command("printf", "%s", printed), None, tls=None) == TOKEN


def test_a_command_gets_its_arguments_and_no_input() -> None:
    code = "import sys; assert sys.stdin.read() == ''; print(sys.argv[1] + sys.argv[2])"
    provider = by_command(sys.executable, "-c", code, "a b", "")
    assert lasting(provider).startswith(f"{COMMAND}: what {sys.executable} prints is neither")
    provider = by_command(sys.executable, "-c", code, "a", "$HOME")
    assert mint(provider, None, tls=None) == "a$HOME"


def test_a_command_that_is_not_there_is_said() -> None:
    assert lasting(by_command("/nowhere/mint")) == (
        f"{COMMAND}: /nowhere/mint cannot be run: No such file or directory"
    )


def test_a_command_that_cannot_be_run_is_said(tmp_path: Path) -> None:
    assert lasting(by_command(str(tmp_path))) == (
        f"{COMMAND}: {tmp_path} cannot be run: Permission denied"
    )
    assert lasting(by_command("a\0b")).startswith(f"{COMMAND}: a\0b cannot be run: ")


@pytest.mark.parametrize("printed", ["", "{}", "two words", '{"token": null}', "tökn", "x" * 5000])
def test_a_command_that_prints_no_token_is_said(printed: str) -> None:
    assert lasting(by_command("printf", "%s", printed)) == (
        f'{COMMAND}: what printf prints is neither a token nor {{"token": "…"}}'
    )


def test_a_command_that_fails_is_told_with_its_first_word_of_that() -> None:
    code = f"import sys; print('{TOKEN}'); sys.exit('\\n no net\\x1b[0m work\\nsecond')"
    assert passing(python(code)) == (
        f"no token: {sys.executable} ended with status 1: no net [0m work"
    )
    assert passing(by_command("false")) == "no token: false ended with status 1"
    code = "import os; os.kill(os.getpid(), 9)"
    assert passing(python(code)) == f"no token: {sys.executable} was ended by signal 9"


def test_a_flood_of_complaints_is_neither_kept_nor_waited_for() -> None:
    code = "import sys; sys.stderr.write('x' * 1_000_000); sys.exit(3)"
    line = passing(python(code))
    assert line == f"no token: {sys.executable} ended with status 3: " + "x" * 200


def gone(pid: int) -> bool:
    """Whether the process ends soon; a zombie has ended."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(") ", 1)[1][0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pid"
    yield path
    if path.exists() and not gone(pid := int(path.read_text("ascii"))):
        os.kill(pid, signal.SIGKILL)


def test_a_command_that_does_not_end_is_ended_in_time_with_its_children(pid_file: Path) -> None:
    script = f"echo no network >&2; sleep 60 & echo $! > {pid_file}; wait"
    began = time.monotonic()
    line = passing(by_command("sh", "-c", script, connect_timeout_s=1.0))
    assert 0.9 < time.monotonic() - began < 8.0
    assert line == "no token: sh did not end within 1 s: no network"
    assert gone(int(pid_file.read_text("ascii")))


def test_a_command_that_closes_its_output_and_goes_on_is_ended(pid_file: Path) -> None:
    script = f"echo $$ > {pid_file}; exec >&- 2>&-; exec sleep 60"
    line = passing(by_command("sh", "-c", script, connect_timeout_s=1.0))
    assert line == "no token: sh did not end within 1 s"
    assert gone(int(pid_file.read_text("ascii")))


def test_a_command_that_never_stops_printing_is_ended_at_once() -> None:
    began = time.monotonic()
    assert lasting(by_command("yes")) == f"{COMMAND}: yes prints more than {MAX_OUTPUT} bytes"
    assert time.monotonic() - began < 5.0


def test_nothing_stays_open_behind_it() -> None:
    gc.collect()  # of earlier tests
    before = set(Path("/proc/self/fd").iterdir())
    with Minter(minted(TOKEN)) as minter:
        mint(at_endpoint(minter), KEY, tls=None)
    mint(by_command("echo", TOKEN), None, tls=None)
    passing(by_command("false"))
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_command_that_is_no_program_can_be_told_before() -> None:
    assert command_problem(by_command("echo")) is None
    assert command_problem(by_command(sys.executable)) is None
    assert command_problem(ProviderSection()) is None
    assert command_problem(by_command("mint-of-nobody", "r7")) == (
        f"{COMMAND}: mint-of-nobody is not a program that can be run; write its whole path"
    )
