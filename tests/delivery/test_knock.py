"""Who opens when one knocks: a broker that waits for a word, or what only stands before it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scribed.delivery.knock import Place, opens, place
from scribed.demo.broker import Broker
from tests.delivery.peers import Relay


def at(port: int) -> Place:
    return Place(socket.AF_INET, ("127.0.0.1", port))


def test_a_broker_opens_until_it_is_stopped(broker: Broker) -> None:
    assert opens(at(broker.port))
    broker.kill()
    assert not opens(at(broker.port))


def test_a_broker_on_a_unix_socket_opens_until_it_is_stopped(tmp_path: Path) -> None:
    with Broker(tmp_path, transport="unix") as broker:
        there = Place(socket.AF_UNIX, str(broker.unix))
        assert opens(there)
        broker.kill()
        assert not opens(there)


def test_who_takes_every_connection_and_finds_nobody_behind_does_not_open(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        assert opens(at(relay.port))
        broker.kill()
        assert not opens(at(relay.port))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_the_other_end_of_a_connection_is_where_to_knock(
    tmp_path: Path, family: socket.AddressFamily
) -> None:
    address = ("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket")
    with socket.socket(family) as listener, socket.socket(family) as mine:
        listener.bind(address)
        listener.listen()
        mine.connect(listener.getsockname())
        there = place(mine)
        assert there == Place(family, listener.getsockname())
        assert opens(there)


def test_a_connection_that_is_none_has_no_other_end() -> None:
    with socket.socket() as alone:
        assert place(alone) is None
