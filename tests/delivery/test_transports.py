"""The other ways to a broker: WebSockets and Unix sockets, with real brokers and bad ones."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websockets
from websockets.typing import Subprotocol

from scribed.delivery.attempts import Version
from scribed.delivery.client import MAX_PACKET_BYTES, MAX_WEBSOCKET_BYTES
from scribed.delivery.commands import MAX_BYTES
from scribed.delivery.events import Acknowledged, Asked
from scribed.delivery.topics import Message
from scribed.demo.broker import Broker, ServerTls
from scribed.errors import BrokerError
from tests.delivery.peers import BASE, Robot
from tests.delivery.test_mqtt import Dial, dial, failure, greet, serve
from tests.parts.cloud import raw_server

__all__ = ["dial"]

TAKES = 64 << 20
"""What a broker takes, in bytes: by default mosquitto 2.0 takes anything, 2.1 no more than 2 MB."""


@pytest.fixture(params=["websockets", "unix"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, transport=request.param, max_packet_size=TAKES) as broker:
        yield broker


def way(broker: Broker) -> dict[str, Any]:
    """How the configuration names it."""
    if broker.unix is None:
        return {"transport": "websockets"}
    return {"transport": "unix", "path": str(broker.unix)}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_messages_and_commands_pass(other: Broker, dial: Dial, version: Version) -> None:
    wire = dial(other.port, version=version, **way(other))
    greet(wire)
    large = [wire.publish(Message("transcript", b"x" * 40_000, 4)) for _ in range(10)]
    events = serve(wire, lambda events: len(events) == len(large))
    assert events == [Acknowledged(mid, None) for mid in large]
    own = Message("transcript", b"on", address=f"{BASE}/cmd/mute")
    mid = wire.publish(own)
    events = serve(wire, lambda events: len(events) == 2)
    assert {type(event) for event in events} == {Acknowledged, Asked}
    (asked,) = (event for event in events if isinstance(event, Asked))
    assert (asked.name, asked.payload) == ("mute", b"on")
    assert mid


def test_a_command_that_is_spared_us_costs_no_connection(other: Broker, dial: Dial) -> None:
    wire = dial(other.port, **way(other))
    greet(wire)
    most = MAX_PACKET_BYTES if other.unix is not None else MAX_WEBSOCKET_BYTES
    enormous = Message("transcript", b"x" * most, address=f"{BASE}/cmd/mute")
    mid = wire.publish(enormous)
    events = serve(wire, lambda events: events)
    assert [event for event in events if isinstance(event, Acknowledged)] == [
        Acknowledged(mid, None)
    ]
    assert wire.error is None


def test_a_websocket_within_tls(tmp_path: Path, dial: Dial) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    files = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem")
    issued.private_key_pem.write_to_path(files.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.certificate, append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secure = {"transport": "websockets", "tls": True, "ca_file": str(tmp_path / "ca.pem")}
    with Broker(tmp_path, transport="websockets", tls=files) as broker:
        wire = dial(broker.port, host="localhost", **secure)
        greet(wire)
        mids = [wire.publish(Message("transcript", b"x" * 9000, 4)) for _ in range(10)]
        events = serve(wire, lambda events: len(events) == len(mids))
        assert events == [Acknowledged(mid, None) for mid in mids]
        assert [held.name for held in wire.certificates] == ["the broker's certificate"]
        with pytest.raises(BrokerError, match=r"certificate is not for 127\.0\.0\.1"):
            dial(broker.port, **secure)


@contextlib.contextmanager
def doorway(port: int) -> Iterator[int]:
    """A WebSocket before a broker's plain port: mosquitto's own sends 40 kB a second."""

    def serve_one(client: ServerConnection) -> None:
        with socket.create_connection(("127.0.0.1", port)) as broker:
            relay = threading.Thread(target=bring, args=(broker, client))
            relay.start()
            for said in client:
                assert isinstance(said, bytes)
                broker.sendall(said)
            broker.shutdown(socket.SHUT_RDWR)
            relay.join(5)

    def bring(broker: socket.socket, client: ServerConnection) -> None:
        with contextlib.suppress(OSError, ConnectionClosed):
            while said := broker.recv(4 << 20):
                client.send(said)

    with serve_websockets(
        serve_one, "127.0.0.1", 0, subprotocols=[Subprotocol("mqtt")], max_size=None
    ) as door:
        serving = threading.Thread(target=door.serve_forever)
        serving.start()
        yield door.socket.getsockname()[1]
        door.shutdown()
        serving.join(5)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_an_enormous_command_through_a_websocket_is_read_in_pieces(
    tmp_path: Path, dial: Dial, version: Version
) -> None:
    size = 3 << 20
    with (
        Broker(tmp_path, max_packet_size=TAKES) as broker,
        doorway(broker.port) as port,
        Robot(broker.port) as robot,
    ):
        wire = dial(port, version=version, transport="websockets")
        greet(wire)
        robot.says("cmd/mute", b"x" * size)
        robot.says("cmd/flush", b"")
        events = serve(wire, lambda events: Asked("flush", b"") in events)
        spared = [] if version == "5" else [Asked("mute", b"x" * (MAX_BYTES + 1))]
        assert events == [*spared, Asked("flush", b"")]
        mid = wire.publish(Message("transcript", b"{}", 4))
        assert serve(wire, lambda events: events) == [Acknowledged(mid, None)]


def answer(text: bytes) -> Callable[[socket.socket], None]:
    def serve_one(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(text)

    return serve_one


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Go on\r\nConnection: upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 101 Go on\r\nConnection: upgrade\r\nSec-WebSocket-Accept:\r\n\r\n",
        b"HTTP/1.1 101 Go on\r\nSec-WebSocket-Accept: \xff\r\n\r\n",
        b"",
    ],
)
def test_what_answers_and_opens_no_websocket_is_named(dial: Dial, text: bytes) -> None:
    with (
        raw_server(answer(text)) as port,
        pytest.raises(BrokerError, match=r"opens no WebSocket at /ws; correct .*mqtt\.path"),
    ):
        dial(port, transport="websockets", path="/ws")


def test_a_handshake_that_comes_byte_by_byte_has_an_end(dial: Dial) -> None:
    over = threading.Event()

    def trickle(peer: socket.socket) -> None:
        while not over.wait(0.05):
            peer.sendall(b"x")

    begun = time.monotonic()
    with raw_server(trickle) as port:
        with pytest.raises(BrokerError, match=r"did not answer within 0\.5 s"):
            dial(port, transport="websockets", timeout_s=0.5)
        over.set()
    assert time.monotonic() - begun < 5


def test_a_unix_socket_that_is_none_is_named(tmp_path: Path, dial: Dial) -> None:
    def why(path: Path) -> str:
        with pytest.raises(BrokerError) as caught:
            dial(1, transport="unix", path=str(path), timeout_s=0.3)
        return str(caught.value)

    gone = tmp_path / "gone.sock"
    assert f"mqtt.path: {gone}: No such file" in why(gone)
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(tmp_path / "left.sock"))
    assert "nothing listens on" in why(tmp_path / "left.sock")
    (tmp_path / "file").touch()
    assert "nothing listens on" in why(tmp_path / "file")


def test_a_broker_that_hangs_behind_its_unix_socket_has_a_limit(tmp_path: Path, dial: Dial) -> None:
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(str(path))
        full.listen(0)
        waiting.connect(str(path))
        with pytest.raises(BrokerError, match=r"did not answer within 0\.3 s"):
            dial(1, transport="unix", path=str(path), timeout_s=0.3)


def test_what_hangs_up_behind_a_unix_socket_is_no_broker(tmp_path: Path, dial: Dial) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        wire = dial(1, transport="unix", path=str(path))
        listening.accept()[0].close()
        assert f"{path} closed the connection instead of answering" in str(failure(wire))
