"""The private mosquitto of the demo and the tests."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scribed.demo.broker import Broker, ServerTls
from scribed.errors import ScribedError
from tests.delivery.peers import Robot


def test_it_accepts_connections_when_start_returns_and_none_after_stop(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    with broker:
        socket.create_connection((broker.host, broker.port), timeout=5).close()
        assert broker.host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port), timeout=5)
    broker.stop()


def test_its_files_are_private_and_hold_no_password(tmp_path: Path) -> None:
    with Broker(tmp_path, passwords={"robot": "s3cret"}) as broker:
        for name in ("mosquitto.conf", "passwords"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
            assert "s3cret" not in (tmp_path / name).read_text()
        with Robot(broker.port, user="robot", password="s3cret"):
            pass
        assert "s3cret" not in Path(f"/proc/{broker.pid}/cmdline").read_text()


def test_it_comes_back_on_the_same_port(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        before, port = broker.pid, broker.port
        broker.restart()
        assert (broker.pid != before, broker.port) == (True, port)
        broker.kill()
        with pytest.raises(ScribedError, match="not running"):
            _ = broker.pid
        broker.start()
        socket.create_connection((broker.host, port), timeout=5).close()


def test_a_port_that_is_taken_is_said_in_its_own_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = Broker(tmp_path, port=other.getsockname()[1])
        with pytest.raises(ScribedError, match="is in use; choose another"):
            broker.start()


def test_a_configuration_that_mosquitto_refuses_ends_in_its_own_words(tmp_path: Path) -> None:
    files = ServerTls(tmp_path / "missing.pem", tmp_path / "missing.key")
    with pytest.raises(ScribedError, match=r"mosquitto ended at once: .*missing"):
        Broker(tmp_path, tls=files).start()


def test_a_machine_without_mosquitto_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ScribedError, match="sudo apt install mosquitto"):
        Broker(tmp_path, program="mosquitto-that-is-not-there").start()
