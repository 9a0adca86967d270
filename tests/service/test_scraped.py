"""Figures by HTTP: who asks gets them, and nobody can hold whoever tells them."""

from __future__ import annotations

import http.client
import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed import kinds
from scribed.demo.broker import stable_port
from scribed.endpoints import Door, door
from scribed.service.scraped import MAX_REQUEST_BYTES, Scraped, answered
from scribed.worker import Finished, Mailbox, Stop
from tests.delivery.peers import wait_for
from tests.parts.told import telling

FIGURES = b"scribed_hearing 1.0\n"
GET = b"GET /metrics HTTP/1.1\r\nHost: robot\r\n\r\n"


def figures(accept: str) -> tuple[bytes, str]:
    """What is told, in whatever is asked for."""
    return FIGURES, accept or "text/plain; version=0.0.4"


class Serving:
    """A thread that tells figures, and who asks it."""

    def __init__(self, at: Door, **how: Any) -> None:
        self.supervisor: Mailbox[Any] = Mailbox()
        self.door = at
        self.thread = Scraped(at, figures, supervisor=self.supervisor, **how)

    def __enter__(self) -> Serving:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.inbox.put(Stop())
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert [type(item) for item in self.supervisor.drain()] == [Finished]
        self.thread.inbox.close()
        self.supervisor.close()

    def connected(self) -> socket.socket:
        """A client that has not said anything yet."""

        def client() -> socket.socket | None:
            family = socket.AF_UNIX if self.door.path else socket.AF_INET
            trying = socket.socket(family, socket.SOCK_STREAM)
            trying.settimeout(10)
            try:
                trying.connect(self.door.path or (self.door.host, self.door.port))
            except OSError:
                trying.close()
                return None
            return trying

        found: socket.socket = wait_for(client, "somebody who listens")
        return found

    def asked(self, request: bytes = GET) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers and the body that come of `request`."""
        with self.connected() as client:
            client.sendall(request)
            response = http.client.HTTPResponse(client)
            response.begin()
            with response:
                return response.status, dict(response.getheaders()), response.read()


@pytest.fixture(params=["port", "socket"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    at = Door(host="127.0.0.1", port=stable_port())
    if request.param == "socket":
        at = Door(path=str(tmp_path / "run" / "metrics.sock"))
    with Serving(at, transfer_s=1.0) as serving:
        yield serving


def test_who_asks_gets_the_figures_and_again(serving: Serving) -> None:
    for _ in range(3):
        status, headers, body = serving.asked()
        assert (status, body) == (200, FIGURES)
        assert headers["Content-Type"].startswith("text/plain")
        assert headers["Connection"] == "close"


def test_who_asks_says_in_what_form(serving: Serving) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\naccept: application/openmetrics-text\r\n\r\n")
    assert serving.asked(request)[1]["Content-Type"] == "application/openmetrics-text"


def test_a_client_that_says_nothing_or_goes_away_holds_nobody(serving: Serving) -> None:
    with serving.connected() as silent, serving.connected() as half, serving.connected() as gone:
        half.sendall(GET[:10])
        gone.sendall(GET)
        gone.close()
        assert serving.asked()[0] == 200
        assert silent.recv(1) == b""
        assert half.recv(1) == b""


def test_a_socket_is_its_group_s_and_gone_with_the_thread(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with Serving(Door(path=str(path))) as serving:
        assert serving.asked()[0] == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


def test_a_socket_that_a_killed_daemon_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with Serving(Door(path=str(path))) as serving:
        assert serving.asked()[0] == 200


def test_a_port_that_is_taken_is_told_and_had_when_it_is_free() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        telling("scribed.service.scraped", logging.INFO) as lines,
    ):
        at = Door(host="127.0.0.1", port=taken.getsockname()[1])
        with Serving(at, retry_s=0.05) as serving:
            (first,) = wait_for(lambda: lines[:1])
            assert first.levelno == logging.WARNING
            assert f"nobody can ask for figures at {at}: Address already in use" in str(
                first.getMessage()
            )
            assert first.__dict__["MESSAGE_ID"] == kinds.METRICS_UNSERVED.id
            taken.close()
            assert serving.asked()[0] == 200
            assert lines[-1].__dict__["MESSAGE_ID"] == kinds.METRICS_SERVED.id


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.parent.write_text("a file"), "File exists"),
        (
            lambda path: (path.parent.mkdir(), path.write_text("mine")),
            "something else is there",
        ),
    ],
)
def test_a_path_that_cannot_be_had_is_told_and_left_as_it_is(
    tmp_path: Path, make: Any, why: str
) -> None:
    path = tmp_path / "run" / "metrics.sock"
    make(path)
    with telling("scribed.service.scraped", logging.WARNING) as lines, Serving(Door(str(path))):
        (line,) = wait_for(lambda: lines[:1])
    assert why in line.getMessage()
    assert not path.is_socket()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET, 200),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"x" * MAX_REQUEST_BYTES + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_for_figures_is_refused(request_: bytes, status: int) -> None:
    response = answered(request_, figures)
    assert response.startswith(f"HTTP/1.1 {status} ".encode())
    assert response.endswith(FIGURES) == (status == 200 and not request_.startswith(b"HEAD"))


@given(st.binary(max_size=300))
def test_whatever_is_sent_is_answered(request: bytes) -> None:
    assert answered(request, figures).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("listen", "at"),
    [
        ("unix:/run/scribed/m.sock", Door(path="/run/scribed/m.sock")),
        ("127.0.0.1:9469", Door(host="127.0.0.1", port=9469)),
        ("localhost:1", Door(host="localhost", port=1)),
        ("[::1]:9469", Door(host="::1", port=9469)),
    ],
)
def test_a_door_is_named_as_in_the_configuration(listen: str, at: Door) -> None:
    assert door(listen) == at
    assert str(at) == listen


def test_a_port_of_ipv6_s_loopback_is_one() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
        port = probe.getsockname()[1]
    with Serving(Door(host="::1", port=port)) as serving:
        assert wait_for(lambda: _speaks("::1", port)) == 200
        assert serving.thread.is_alive()


def _speaks(host: str, port: int) -> int | None:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
