"""The WebSocket on real sockets: whom it trusts, what it refuses to read, that it never waits."""

from __future__ import annotations

import base64
import contextlib
import datetime
import gc
import hashlib
import itertools
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scribed.errors import Refused, ScribedError, TransportError
from scribed.interfaces import Request
from scribed.uplink.connection import (
    MAX_FRAMES,
    MAX_MESSAGE,
    Close,
    Connection,
    Pong,
    Received,
    tls_context,
)
from scribed.uplink.dial import MAX_HANDSHAKE
from scribed.uplink.tcp import answered_s, bytes_acked, has_passed, place_behind, retry_s
from tests.parts.cloud import raw_server

KEY = "s3cret-key"
SOON = 10.0
"""Seconds after which a test gives up."""
AT_ONCE = 3.0
"""Seconds that what does not wait may take on a busy machine."""
SYSTEM = tls_context("")

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def connect(url: str, *, tls: ssl.SSLContext = SYSTEM, timeout_s: float = SOON) -> Connection:
    return Connection(Request(url, {"xi-api-key": KEY}), timeout_s=timeout_s, tls=tls)


def failure(url: str, *, tls: ssl.SSLContext = SYSTEM, timeout_s: float = SOON) -> TransportError:
    """Why there is no connection: one line for the user."""
    with pytest.raises(TransportError) as caught:
        connect(url, tls=tls, timeout_s=timeout_s)
    assert len(str(caught.value).splitlines()) == 1
    assert "Traceback" not in str(caught.value)
    assert "Error" not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def server(serve_one: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that is no WebSocket; yields its port, and checks that nothing was left open."""

    def serve(sock: socket.socket) -> None:
        serve_one(sock)

    before = descriptors()
    with raw_server(serve) as port:
        yield port
    assert descriptors() <= before  # fewer: what an earlier test had left was collected meanwhile


# The peer's side


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer to the upgrade request."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def read_request(sock: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n") and (piece := sock.recv(4096)):
        request += piece
    return request


def upgrade(request: bytes) -> bytes:
    """The answer that makes a WebSocket of it (RFC 6455, 4.2.2)."""
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    accept = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return http(
        "101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}",
    )


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as servers send it."""
    return head(opcode, len(payload), fin=fin) + payload


def head(opcode: int, length: int, *, fin: bool = True) -> bytes:
    first = bytes([opcode | (0x80 if fin else 0)])
    if length < 126:
        return first + bytes([length])
    if length < 1 << 16:
        return first + b"\x7e" + struct.pack("!H", length)
    return first + b"\x7f" + struct.pack("!Q", length)


class Wire:
    """A connection and its peer's socket, both in the hands of the test."""

    def __init__(
        self,
        *,
        theirs: ssl.SSLContext | None = None,
        ours: ssl.SSLContext = SYSTEM,
        host: str = "localhost",
        place: tuple[str, int] = ("127.0.0.1", 0),
        timeout_s: float = SOON,
    ) -> None:
        self._theirs, self._ours, self._host = theirs, ours, host
        self._place, self._timeout_s = place, timeout_s
        self.request = b""

    def __enter__(self) -> Wire:
        with socket.create_server(self._place) as listener:
            port = listener.getsockname()[1]
            listener.settimeout(SOON)
            accepting = threading.Thread(target=self._accept, args=(listener,))
            accepting.start()
            try:
                scheme = "ws" if self._theirs is None else "wss"
                url = f"{scheme}://{self._host}:{port}/ear"
                self.connection = connect(url, tls=self._ours, timeout_s=self._timeout_s)
            finally:
                accepting.join(SOON)
        return self

    def _accept(self, listener: socket.socket) -> None:
        self.peer, _ = listener.accept()
        self.peer.settimeout(SOON)
        if self._theirs is not None:
            self.peer = self._theirs.wrap_socket(self.peer, server_side=True)
        self.request = read_request(self.peer)
        self.peer.sendall(upgrade(self.request))

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.peer.close()

    def say(self, *frames: bytes) -> None:
        """Send frames in as few pieces as possible."""
        self.peer.sendall(b"".join(frames))

    def heard(self) -> tuple[int, bytes]:
        """The next frame of ours, as the peer reads it: opcode and payload."""
        first, second = self._read(2)
        assert second & 0x80, "a client must mask"
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self._read(2 if length == 126 else 8), "big")
        mask = self._read(4)
        payload = self._read(length)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.peer.recv(size - len(data))
            assert piece, "the connection is over"
            data += piece
        return data

    def drain(self) -> None:
        """Read to the end."""
        while self.peer.recv(1 << 16):
            pass

    def reset(self) -> None:
        """End the connection as a peer that lost its power and came back does."""
        linger = struct.pack("ii", 1, 0)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.peer.close()

    def receive(self, count: int = 1) -> list[Received]:
        """Wait for so many messages, or the end."""
        received: list[Received] = []
        deadline = time.monotonic() + SOON
        while len(received) < count and not (received and isinstance(received[-1], Close)):
            assert time.monotonic() < deadline, f"received {received} only"
            if not self.connection.pending():
                select.select([self.connection], [], [], 0.1)
            received += self.connection.receive()
        return received

    def receive_end(self) -> Close:
        (*_, last) = self.receive(1_000_000)
        assert isinstance(last, Close)
        return last

    def fill(self) -> None:
        """Send until the peer, who does not read, takes no more."""
        while select.select([], [self.connection], [], 0.05)[1]:
            self.connection.send("x" * 10_000)

    def send_for_ever(self) -> None:
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            self.connection.send("x" * 1000)

    def wait_until_acknowledged(self, mark: int | None = None) -> None:
        """Wait until the peer's TCP has all up to `mark`, or all."""
        self.wait_until(
            lambda: (
                self.connection.unsent() == 0
                if mark is None
                else self.connection.acknowledged(mark)
            )
        )

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SOON
        while not condition():
            assert time.monotonic() < deadline
            select.select([], [], [], 0.001)

    def taken(self) -> int:
        """Bytes that the peer's TCP has received (tcpi_bytes_received), read by the peer or not."""
        info = self.peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        return int(struct.unpack_from("=Q", info, 128)[0])


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as connected:
        yield connected


# Whom it trusts


@dataclass(frozen=True)
class Authority:
    """A private certificate authority, and the file that a user would name."""

    ca: trustme.CA
    file: str

    def tls(self, *names: str, until: datetime.datetime | None = None) -> ssl.SSLContext:
        """TLS of a server with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        since = until and until - datetime.timedelta(days=1)
        certificate = self.ca.issue_cert(*names, not_before=since, not_after=until)
        certificate.configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return Authority(ca, str(path))


def tls_failure(theirs: ssl.SSLContext, ca_file: str = "") -> str:
    """Why a server with this TLS is not talked to."""

    def shake_hands(sock: socket.socket) -> None:
        with theirs.wrap_socket(sock, server_side=True) as secured:
            secured.recv(1)

    with server(shake_hands) as port:
        return str(failure(f"wss://localhost:{port}", tls=tls_context(ca_file)))


def test_a_private_authority_is_trusted_where_its_file_is_named(authority: Authority) -> None:
    with Wire(theirs=authority.tls("localhost"), ours=tls_context(authority.file)) as wire:
        wire.connection.send("hello")
        assert wire.heard() == (TEXT, b"hello")


def test_an_address_is_as_good_as_a_name_where_the_certificate_has_it(
    authority: Authority,
) -> None:
    theirs, ours = authority.tls("127.0.0.1"), tls_context(authority.file)
    with Wire(theirs=theirs, ours=ours, host="127.0.0.1") as wire:
        assert wire.connection.receive() == []


def test_an_unknown_authority_is_refused(authority: Authority) -> None:
    line = tls_failure(authority.tls("localhost"))
    assert line.startswith("localhost: the certificate is not trusted (")
    assert line.endswith("check the machine's clock, the host name and provider.ca_file")


def test_the_systems_authorities_do_not_count_beside_a_private_one(
    authority: Authority, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    assert tls_context(str(other)).cert_store_stats()["x509_ca"] == 1
    assert "is not trusted" in tls_failure(authority.tls("localhost"), str(other))


def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    line = tls_failure(authority.tls("example.org"), authority.file)
    assert "is not trusted" in line
    assert "localhost" in line.split("(")[1]


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    line = tls_failure(authority.tls("localhost", until=yesterday), authority.file)
    assert "certificate has expired" in line
    assert "check the machine's clock" in line


def test_tls_of_another_decade_is_refused(authority: Authority) -> None:
    theirs = authority.tls("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs.minimum_version = ssl.TLSVersion.TLSv1
        theirs.maximum_version = ssl.TLSVersion.TLSv1_1
    theirs.set_ciphers("DEFAULT:@SECLEVEL=0")
    line = tls_failure(theirs, authority.file)
    assert line.startswith("localhost: TLS: ")
    assert line.endswith("check provider.url, the server must have TLS 1.2 or newer")


def test_a_server_without_tls_is_told_from_one_with_bad_tls() -> None:
    with server(lambda sock: sock.sendall(http("400 Bad Request"))) as port:
        assert "check provider.url" in str(failure(f"wss://localhost:{port}"))


def test_verification_cannot_be_switched_off() -> None:
    assert SYSTEM.verify_mode is ssl.CERT_REQUIRED
    assert SYSTEM.check_hostname
    assert SYSTEM.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "text"])
def test_an_authority_file_that_cannot_be_used_is_named(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ScribedError) as caught:
        tls_context(str(path))
    line = str(caught.value)
    assert line.startswith(f"provider.ca_file: {path} cannot be used (")
    assert line.endswith("name a PEM file with the authority's certificate")
    assert len(line.splitlines()) == 1


# How it connects


def test_the_request_has_the_key_in_a_header_and_no_origin(wire: Wire) -> None:
    assert wire.request.startswith(b"GET /ear HTTP/1.1\r\n")
    assert f"xi-api-key: {KEY}".encode() in wire.request
    assert b"Origin" not in wire.request


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Wire() as wire:
        assert wire.connection.receive() == []


def test_a_port_on_which_nobody_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert str(failure(f"ws://127.0.0.1:{port}")) == "127.0.0.1: connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".org"])
def test_a_name_that_cannot_be_resolved_is_said(host: str) -> None:
    assert str(failure(f"wss://{host}")) == f"{host}: the name cannot be resolved"


def test_a_name_that_no_certificate_can_have_is_said() -> None:
    with server(read_request) as port:
        assert str(failure(f"wss://.localhost:{port}")).startswith(".localhost: ")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_says_nothing_is_given_up_at_the_deadline(scheme: str) -> None:
    with server(lambda sock: sock.recv(1 << 16) and sock.recv(1 << 16)) as port:
        begun = time.monotonic()
        line = str(failure(f"{scheme}://127.0.0.1:{port}", timeout_s=0.2))
        assert line == "127.0.0.1: timed out"
        assert time.monotonic() - begun < 0.2 + AT_ONCE


def test_a_server_that_trickles_is_given_up_at_the_same_deadline() -> None:
    def trickle(sock: socket.socket) -> None:
        for byte in http("101 Switching Protocols", "X-Wait: " + "x" * 200):
            sock.sendall(bytes([byte]))
            threading.Event().wait(0.01)

    with server(trickle) as port:
        begun = time.monotonic()
        assert str(failure(f"ws://127.0.0.1:{port}", timeout_s=0.3)) == "127.0.0.1: timed out"
        assert time.monotonic() - begun < 0.3 + AT_ONCE


BLACK_HOLE_FIRST = """
import sys
from tests.uplink.test_connection import second_address_answers
second_address_answers(sys.argv[1])
"""


def second_address_answers(host: str) -> None:
    """Connect to a name with two addresses, of which the first swallows whatever is sent to it."""
    (_, *_, first), (_, *_, second) = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server((first[0], 0), backlog=0))
        while True:  # a queue that is full drops what asks for a place
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
            if not select.select([], [waiting], [], 0.1)[1]:
                break
        begun = time.monotonic()
        place = (str(second[0]), hole.getsockname()[1])
        wire = stack.enter_context(Wire(host=host, place=place, timeout_s=2.0))
        assert 1.0 <= time.monotonic() - begun < 2.0, "its share, of two addresses"
        wire.connection.send("hello")
        assert wire.heard() == (TEXT, b"hello")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_black_hole_leaves_time_for_the_address_behind_it(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 twofold\n127.0.0.2 twofold\n")
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    place_it = 'mount --bind "$0" /etc/hosts'
    if not shutil.which("unshare") or run(*alone, "sh", "-c", place_it, str(hosts)).returncode:
        pytest.skip("this machine gives us no /etc/hosts of our own (unshare --user --mount)")
    child = [sys.executable, "-c", BLACK_HOLE_FIRST, "twofold"]
    done = run(*alone, "sh", "-c", f'{place_it} && exec "$@"', str(hosts), *child)
    assert done.returncode == 0, done.stderr


# What answers instead of a WebSocket


def answer(response: bytes, *, then: Callable[[socket.socket], object] = lambda _: None) -> Any:
    """What comes of an upgrade that is answered with `response`."""

    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(response)
        then(sock)

    with server(serve) as port:
        return failure(f"ws://127.0.0.1:{port}")


def endless(sock: socket.socket) -> None:
    """Send for as long as it is taken."""
    with contextlib.suppress(OSError):
        for _ in range(1 << 12):
            sock.sendall(b"x: y\r\n" * 1000)


@pytest.mark.parametrize("status", [200, 304, 400, 401, 404, 429, 500, 503])
def test_a_refusal_has_its_status_and_what_the_server_said(status: int) -> None:
    refused = answer(http(f"{status} No", "Content-Length: 7", body=b"go away"))
    assert isinstance(refused, Refused)
    assert (refused.status, refused.body, refused.retry_after_s) == (status, "go away", None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", 300.0),
        ("9" * 400, 300.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("²", None),
        ("", None),
    ],
)
def test_a_server_may_ask_for_a_delay_of_at_most_five_minutes(
    value: str, seconds: float | None
) -> None:
    refused = answer(http("429 Slow Down", f"Retry-After: {value}"))
    assert isinstance(refused, Refused)
    assert refused.retry_after_s == seconds


LENGTHS: dict[str, tuple[str, Callable[[socket.socket], object]]] = {
    "1 TB that comes": ("1000000000000", endless),
    "1 TB that does not come": ("1000000000000", lambda _: None),
    "more than 64 bits": ("99999999999999999999999", endless),
    "a byte too much": (str(MAX_HANDSHAKE + 1), endless),
    "negative": ("-1", lambda _: None),
    "no number": ("many", lambda _: None),
    "no number that Python reads": ("9" * 5000, lambda _: None),
}


@pytest.mark.parametrize(("length", "then"), LENGTHS.values(), ids=LENGTHS)
def test_a_refusal_stays_one_however_long_its_body_claims_to_be(
    length: str, then: Callable[[socket.socket], object]
) -> None:
    refused = answer(http("401 Unauthorized", f"Content-Length: {length}"), then=then)
    assert isinstance(refused, Refused)
    assert refused.status == 401
    assert len(refused.body) <= MAX_HANDSHAKE


def test_headers_without_end_are_not_read_to_the_end() -> None:
    error = answer(b"HTTP/1.1 101 Switching Protocols\r\n", then=endless)
    assert str(error) == f"127.0.0.1: an answer to the upgrade over {MAX_HANDSHAKE} bytes"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        place = f"ws://127.0.0.1:{elsewhere.getsockname()[1]}/"
        error = answer(http(f"{status} Over There", f"Location: {place}"))
        assert str(error) == (
            f"127.0.0.1: HTTP {status}: a redirect is not followed; correct provider.url"
        )
        assert not isinstance(error, Refused)
        assert select.select([elsewhere], [], [], 0)[0] == []


def test_the_key_is_sent_once_though_the_server_sends_us_back_to_itself() -> None:
    requests: list[bytes] = []

    def send_back(sock: socket.socket) -> None:
        requests.append(read_request(sock))
        sock.sendall(http("307 Once More", f"Location: ws://127.0.0.1:{port}/again"))

    with server(send_back) as port:
        failure(f"ws://127.0.0.1:{port}/ear")
    assert [KEY.encode() in request for request in requests] == [True]


STRANGERS = {
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "SMTP": b"220 mail.example ESMTP\r\n250 ok\r\n\r\n",
    "empty lines": b"\r\n\r\n",
    "no text": b"HTTP/1.1 \xff\xff\r\n\r\n",
    "no header": b"HTTP/1.1 101\r\nno header\r\n\r\n",
    "no accept": http("101 Switching Protocols"),
    "wrong accept": http(
        "101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: wrong",
    ),
    "an echo": f"xi-api-key: {KEY}\r\n\r\n".encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("response", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_websocket_server_is_refused_in_words(response: bytes) -> None:
    error = answer(response)
    assert not isinstance(error, Refused)
    assert re.fullmatch(r"127\.0\.0\.1: [\w][^\n]{5,100}", str(error))


def test_a_cookie_that_is_none_is_the_end_in_words_too() -> None:
    def serve(sock: socket.socket) -> None:
        accepted = upgrade(read_request(sock))
        sock.sendall(accepted.removesuffix(b"\r\n") + b"Set-Cookie: a/b=c\r\n\r\n")

    with server(serve) as port:
        assert "correct provider.url" in str(failure(f"ws://127.0.0.1:{port}"))


@pytest.fixture(scope="module")
def stranger() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers with the last of these bytes, and hangs up."""
    answers: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(answers[-1])

    with server(serve) as port:
        yield port, answers


lines = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"HTTP/1.1 101 x", b"HTTP/1.1 401 x", b"HTTP/1.1 302 x", b"HTTP/1.1"]),
        st.sampled_from([b"Content-Length: 5", b"Content-Length: -", b"Set-Cookie: a/b=c"]),
        st.sampled_from([b"Upgrade: websocket", b"Connection: upgrade", b"Retry-After: \xb2"]),
        st.sampled_from([b"Sec-WebSocket-Accept: x", b"Location: http://[", b""]),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(response=lines.map(b"\r\n".join) | st.binary())
@example(response=b"HTTP/1.1 401\r\n")
def test_whatever_answers_the_end_is_a_line_for_the_user(
    stranger: tuple[int, list[bytes]], response: bytes
) -> None:
    port, answers = stranger
    answers.append(response)
    with pytest.raises(TransportError) as caught:
        connect(f"ws://127.0.0.1:{port}")
    assert len(str(caught.value).splitlines()) == 1


# What it says and hears


def test_messages_go_both_ways(wire: Wire) -> None:
    wire.connection.send("hällo")
    assert wire.heard() == (TEXT, "hällo".encode())
    wire.say(frame(TEXT, "wörld".encode()), frame(BINARY, b"\xff"))
    assert wire.receive(2) == ["wörld", b"\xff"]


def test_a_binary_message_is_sent_as_one(wire: Wire) -> None:
    wire.connection.send(b"\x00\xff\x7f")
    assert wire.heard() == (BINARY, b"\x00\xff\x7f")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_message_of_any_length_is_masked_whole(wire: Wire, size: int) -> None:
    message = bytes(n % 251 for n in range(size))
    wire.connection.send(message)
    assert wire.heard() == (BINARY, message)


def test_fragments_are_joined_and_control_frames_between_them_are_not_in_the_way(
    wire: Wire,
) -> None:
    pieces = ["häl".encode()[:2], "häl".encode()[2:], b"", b"lo"]
    wire.say(
        frame(TEXT, pieces[0], fin=False),
        frame(PING, b"?"),
        frame(CONT, pieces[1], fin=False),
        frame(PONG),
        frame(CONT, pieces[2], fin=False),
        frame(CONT, pieces[3]),
        frame(TEXT, b"next"),
    )
    assert wire.receive(3) == [Pong(), "hällo", "next"]
    assert wire.heard() == (PONG, b"?")


def test_a_message_in_the_middle_of_another_takes_its_place(wire: Wire) -> None:
    wire.say(frame(TEXT, b"never fin", fin=False), frame(TEXT, b"new"), frame(TEXT, b"next"))
    assert wire.receive(2) == ["new", "next"]


def test_text_that_is_no_utf8_is_still_a_message(wire: Wire) -> None:
    wire.say(frame(TEXT, b"a\xff"))
    assert wire.receive() == ["a\ufffd"]


def test_a_ping_is_answered_with_what_it_said(wire: Wire) -> None:
    wire.say(frame(PING, b"are you there?"))
    deadline = time.monotonic() + SOON
    while not select.select([wire.peer], [], [], 0.01)[0]:
        assert wire.connection.receive() == []
        assert time.monotonic() < deadline
    assert wire.heard() == (PONG, b"are you there?")


def test_our_ping_is_answered_with_a_pong(wire: Wire) -> None:
    wire.connection.ping()
    assert wire.heard() == (PING, b"")
    wire.say(frame(PONG))
    assert wire.receive() == [Pong()]


@pytest.mark.parametrize(
    ("payload", "end"),
    [
        (struct.pack("!H", 1008) + b"invalid_request", Close(1008, "invalid_request")),
        (struct.pack("!H", 1000), Close(1000, "")),
        (b"", Close(None, "")),
        (struct.pack("!H", 4000) + b"\xff", Close(4000, "\ufffd")),
    ],
)
def test_a_close_is_the_last_that_is_heard(wire: Wire, payload: bytes, end: Close) -> None:
    wire.say(frame(TEXT, b"bye"), frame(CLOSE, payload), frame(TEXT, b"too late"))
    assert wire.receive(3) == ["bye", end]


def test_a_peer_that_hangs_up_or_crashes_is_an_end_without_a_code(wire: Wire) -> None:
    wire.say(frame(TEXT, b"last words"))
    wire.peer.close()
    assert wire.receive(2)[0] == "last words"
    with Wire() as other:
        other.reset()
        assert other.receive_end().code is None


def test_closing_says_goodbye(wire: Wire) -> None:
    wire.connection.close()
    assert wire.heard() == (CLOSE, struct.pack("!H", 1000))
    assert wire.peer.recv(1) == b""
    wire.connection.close()


def test_closing_withdraws_what_is_on_its_way_still(wire: Wire) -> None:
    wire.fill()
    wire.connection.close()

    def drain() -> None:
        while wire.peer.recv(1 << 20):
            pass

    with pytest.raises(ConnectionResetError):
        drain()


@pytest.mark.parametrize("lost", ["hang-up", "reset", "close"])
def test_sending_to_a_peer_that_is_gone_fails_in_words(wire: Wire, lost: str) -> None:
    if lost == "close":
        wire.say(frame(CLOSE, struct.pack("!H", 1000)))
    wire.reset() if lost == "reset" else wire.peer.close()
    with pytest.raises(TransportError) as caught:
        wire.send_for_ever()
    assert re.fullmatch(r"[a-z][\w -]{3,40}", str(caught.value))


# The limits


def test_a_message_of_a_mebibyte_is_read_and_a_longer_one_is_not_even_begun(wire: Wire) -> None:
    sender = threading.Thread(target=wire.say, args=(frame(TEXT, b"x" * MAX_MESSAGE),))
    sender.start()
    assert wire.receive() == ["x" * MAX_MESSAGE]
    sender.join(SOON)
    wire.say(head(TEXT, MAX_MESSAGE + 1))  # and nothing of it
    assert wire.receive() == [Close(None, f"a message of {MAX_MESSAGE + 1} bytes")]


def test_a_message_of_two_to_the_63_bytes_is_refused(wire: Wire) -> None:
    wire.say(head(BINARY, (1 << 64) - 1))
    assert wire.receive() == [Close(None, f"a message of {(1 << 64) - 1} bytes")]


def test_a_message_in_fragments_is_measured_as_a_whole(wire: Wire) -> None:
    def say() -> None:
        with contextlib.suppress(OSError):
            wire.say(frame(TEXT, b"x" * 65_536, fin=False))
            for _ in range(16):
                wire.say(frame(CONT, b"x" * 65_536, fin=False))

    sender = threading.Thread(target=say)
    sender.start()
    assert wire.receive_end() == Close(None, f"a message over {MAX_MESSAGE} bytes")
    wire.connection.close()
    sender.join(SOON)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_is_never_long(wire: Wire, opcode: int) -> None:
    wire.say(head(opcode, 126))
    assert wire.receive() == [Close(None, "a message of 126 bytes")]


@pytest.mark.parametrize(
    "nonsense", [b"\xf1\x00", b"\x83\x00", frame(CLOSE, b"x"), frame(CLOSE, b"\0\1")]
)
def test_a_breach_of_the_protocol_is_the_end(wire: Wire, nonsense: bytes) -> None:
    wire.say(nonsense)
    end = wire.receive_end()
    assert end.code is None
    assert end.reason


# It never waits


def test_receiving_where_nothing_is_here_gives_nothing(wire: Wire) -> None:
    begun = time.monotonic()
    assert wire.connection.receive() == []
    assert time.monotonic() - begun < AT_ONCE


def test_half_a_frame_is_kept_until_the_rest_comes(wire: Wire) -> None:
    whole = frame(TEXT, b"x" * 300)
    for n in range(len(whole) - 1):
        wire.say(whole[n : n + 1])
        if n % 50 == 0:
            assert wire.connection.receive() == []
    wire.say(whole[-1:])
    assert wire.receive() == ["x" * 300]


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_flood_is_taken_in_portions(secure: bool, authority: Authority) -> None:
    theirs = authority.tls("localhost") if secure else None
    with Wire(theirs=theirs, ours=tls_context(authority.file)) as wire:
        wire.say(*[frame(TEXT, b"drip")] * 200, *[frame(PING, b"%d" % n) for n in range(100)])
        select.select([wire.connection], [], [], SOON)
        assert wire.connection.receive() == ["drip"] * MAX_FRAMES
        # What is left shows: in the kernel, or in TLS.
        assert wire.connection.pending() == secure
        assert secure or select.select([wire.connection], [], [], 0)[0]
        assert wire.receive(200 - MAX_FRAMES) == ["drip"] * (200 - MAX_FRAMES)


def test_long_messages_are_taken_one_by_one(wire: Wire) -> None:
    sender = threading.Thread(
        target=wire.say, args=[frame(TEXT, b"x" * MAX_MESSAGE) for _ in range(5)]
    )
    sender.start()
    received = 0
    deadline = time.monotonic() + SOON
    while received < 5 and time.monotonic() < deadline:
        select.select([wire.connection], [], [], 0.1)
        messages = wire.connection.receive()
        assert len(messages) <= 1
        received += len(messages)
    sender.join(SOON)
    assert received == 5


def test_a_peer_that_pings_and_does_not_read_keeps_nobody_waiting(wire: Wire) -> None:
    wire.fill()
    wire.say(*[frame(PING, b"%d" % n) for n in range(50)], frame(TEXT, b"read me"))
    begun = time.monotonic()
    assert wire.receive() == ["read me"]
    assert time.monotonic() - begun < AT_ONCE

    for _ in range(1500):  # as many answers would not fit into what is left of the buffer
        wire.say(frame(PING, b"?" * 125))
        wire.connection.receive()
    assert time.monotonic() - begun < SOON / 2
    wire.say(frame(PING, b"still there?"))

    heard = [(CONT, b"")]
    while heard[-1] != (PONG, b"still there?"):  # it reads again, and gets the last answer
        wire.connection.receive()
        heard.append(wire.heard())
    assert sum(opcode == PONG for opcode, _ in heard) < 10


def test_an_answer_to_a_ping_goes_before_the_next_message(wire: Wire) -> None:
    wire.fill()
    wire.say(frame(PING, b"?"))
    wire.connection.receive()
    reader = threading.Thread(target=lambda: [wire.heard() for _ in range(5)])
    reader.start()
    select.select([], [wire.connection], [], SOON)
    wire.connection.send("after")
    reader.join(SOON)
    heard = [wire.heard()]
    while heard[-1] != (TEXT, b"after"):
        heard.append(wire.heard())
    assert heard[-2] == (PONG, b"?")


def test_closing_does_not_wait_for_a_peer_that_does_not_read(wire: Wire) -> None:
    wire.fill()
    begun = time.monotonic()
    wire.connection.close()
    assert time.monotonic() - begun < AT_ONCE


def test_what_was_sent_is_acknowledged_by_a_peer_that_takes_it(wire: Wire) -> None:
    wire.connection.send("x" * 1000)
    wire.wait_until_acknowledged()


def test_what_a_peer_does_not_take_is_not_acknowledged_and_the_socket_is_not_writable(
    wire: Wire,
) -> None:
    wire.fill()
    assert wire.connection.unsent() > 0
    assert not wire.connection.writable()
    wire.peer.setblocking(False)
    deadline = time.monotonic() + SOON
    while wire.connection.unsent() > 0:
        assert time.monotonic() < deadline
        with contextlib.suppress(BlockingIOError):
            wire.peer.recv(1 << 20)
    assert wire.connection.writable()


# What has left the machine


@pytest.fixture(params=[False, True], ids=["ws", "wss"])
def either(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Wire]:
    """A wire, once without and once with TLS."""
    theirs = authority.tls("localhost") if request.param else None
    with Wire(theirs=theirs, ours=tls_context(authority.file)) as wire:
        yield wire


def test_a_mark_is_passed_as_soon_as_the_peers_machine_has_all_before_it(either: Wire) -> None:
    either.connection.send("x" * 1000)
    mark = either.connection.mark()
    either.wait_until_acknowledged(mark)  # though the peer itself has read nothing
    assert either.connection.mark() == mark == 1 + either.taken()  # 1: the SYN


def test_what_is_sent_after_a_mark_does_not_move_it(either: Wire) -> None:
    either.connection.send("a commit")
    mark = either.connection.mark()
    either.fill()  # of what follows, the peer takes only what its window holds
    assert either.connection.unsent() > 0
    either.wait_until_acknowledged(mark)
    assert not either.connection.acknowledged(either.connection.mark())


def test_a_mark_in_what_waits_is_passed_when_the_peer_takes_it_and_not_before(
    either: Wire,
) -> None:
    either.fill()
    mark = either.connection.mark()
    assert not either.connection.acknowledged(mark)
    either.peer.settimeout(0.01)
    deadline = time.monotonic() + SOON
    while not either.connection.acknowledged(mark):
        assert time.monotonic() < deadline
        with contextlib.suppress(TimeoutError):
            either.peer.recv(20_000)
        if either.connection.writable():
            either.connection.send("later speech" * 100)
        assert either.taken() + 1 >= mark or not either.connection.acknowledged(mark)
    assert either.connection.unsent() > 0, "nothing was sent after it: nothing is shown"


def test_a_mark_is_exact_though_acknowledgements_come_in_while_it_is_made(wire: Wire) -> None:
    reading = threading.Thread(target=wire.drain)
    reading.start()
    marks = [wire.connection.mark()]
    for _ in range(3000):
        wire.connection.send("x" * 1000)
        marks.append(wire.connection.mark())
    wire.wait_until_acknowledged()
    wire.connection.close()
    reading.join(SOON)
    assert {after - before for before, after in itertools.pairwise(marks)} == {1000 + 8}


@pytest.mark.parametrize("size", [0, 104, 127])
def test_a_kernel_that_does_not_count_says_only_when_nothing_waits_at_all(size: int) -> None:
    short = b"\xff" * size
    assert bytes_acked(short) == 0
    mark = place_behind(short, 500)
    assert not has_passed(short, 1, mark)
    assert has_passed(short, 0, mark)


def test_a_kernel_that_counts_nothing_is_as_one_that_cannot_count() -> None:
    zeros = bytes(232)
    assert not has_passed(zeros, 1, place_behind(zeros, 0))
    assert has_passed(zeros, 0, place_behind(zeros, 500))


def test_a_window_that_is_shut_is_no_sign_of_life(wire: Wire) -> None:
    assert wire.connection.answered_s() is None
    wire.fill()
    wire.wait_until(lambda: wire.connection.answered_s() is None)
    assert wire.connection.unsent() > 0


@pytest.mark.parametrize("size", [0, 27, 59])
def test_a_kernel_that_does_not_tell_when_it_was_answered_gives_no_sign_of_life(size: int) -> None:
    assert answered_s(b"\xff" * size) is None


def test_what_the_peer_answers_to_segments_on_their_way_is_a_sign_of_life() -> None:
    on_its_way, last = 24, 56  # tcpi_unacked, tcpi_last_ack_recv (ms)
    info = bytearray(232)
    struct.pack_into("=I", info, last, 1250)
    assert answered_s(bytes(info)) is None
    struct.pack_into("=I", info, on_its_way, 3)
    assert answered_s(bytes(info)) == 1.25


def test_how_long_tcp_waits_before_it_sends_again_is_of_its_round_trips() -> None:
    round_trip = 68  # tcpi_rtt, tcpi_rttvar (µs)
    info = bytearray(232)
    struct.pack_into("=II", info, round_trip, 5_600_000, 1_200_000)
    assert retry_s(bytes(info)) == pytest.approx(10.4)
    assert retry_s(bytes(info[:72])) == 0.0


def test_a_link_within_this_machine_waits_for_less_than_a_second(wire: Wire) -> None:
    wire.connection.send("x" * 1000)
    wire.wait_until_acknowledged()
    assert 0 < wire.connection.retry_s() < 1


# Nothing is left open


def end_by_close(wire: Wire) -> None:
    wire.say(frame(CLOSE, struct.pack("!H", 1000)))
    wire.peer.close()


ENDS: dict[str, Callable[[Wire], object]] = {
    "a close frame": end_by_close,
    "a hang-up": lambda wire: wire.peer.close(),
    "a reset": Wire.reset,
    "nonsense": lambda wire: wire.say(b"\xff" * 20),
    "too long a message": lambda wire: wire.say(head(TEXT, 1 << 40)),
}


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_no_descriptor_is_left_whoever_ends_the_connection(
    end: Callable[[Wire], object], secure: bool, authority: Authority
) -> None:
    theirs = authority.tls("localhost") if secure else None
    gc.collect()
    before = descriptors()
    for _ in range(3):
        with Wire(theirs=theirs, ours=tls_context(authority.file)) as wire:
            end(wire)
            wire.receive_end()
    assert descriptors() == before


# Whatever comes

messages = st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=5)


@settings(deadline=None, max_examples=50)
@given(messages, st.data())
def test_whatever_the_fragments_and_packets_messages_come_out_as_they_went_in(
    said: list[str | bytes], data: st.DataObject
) -> None:
    stream = b""
    for message in said:
        payload = message.encode() if isinstance(message, str) else message
        cuts = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for n, piece in enumerate(pieces):
            opcode = CONT if n else TEXT if isinstance(message, str) else BINARY
            stream += frame(opcode, piece, fin=n == len(pieces) - 1)
            stream += data.draw(st.sampled_from([b"", b"", frame(PING, b"?")]))
    with Wire() as wire:
        received: list[Received] = []
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            wire.say(stream[:size])
            stream = stream[size:]
            received += wire.connection.receive()
        assert received + wire.receive(len(said) - len(received)) == said


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=400), max_size=6))
@example([b"\x81\x05hello", b"\x88\x00"])
@example([b"\x01\x00" + b"\x00\x00" * 500])
def test_whatever_bytes_come_the_end_is_a_close(pieces: list[bytes]) -> None:
    with Wire() as wire:
        received: list[Received] = []
        for piece in pieces:
            wire.say(piece)
            received += wire.connection.receive()
            if received and isinstance(received[-1], Close):
                break
        else:
            wire.peer.close()
            received += wire.receive(1_000_000)
        assert isinstance(received[-1], Close)
        assert not any(isinstance(item, Close) for item in received[:-1])
