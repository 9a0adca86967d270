"""systemd is told without being waited for, and is told in the end what it has to know."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.service import notify

LONG_S = 5.0


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd listens on, at either kind of address."""
    path = f"{tmp_path}/notify"
    abstract = request.param == "abstract"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{path}" if abstract else path)
        heard.settimeout(LONG_S)
        os.environ["NOTIFY_SOCKET"] = f"@{path}" if abstract else path
        yield heard
        del os.environ["NOTIFY_SOCKET"]


def fill(heard: socket.socket) -> int:
    """Leave no room; how many messages that took."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.connect(heard.getsockname())
        other.setblocking(False)
        for count in range(100_000):
            try:
                other.send(b"x")
            except BlockingIOError:
                return count
    raise AssertionError("a queue without an end")


def everything(heard: socket.socket) -> list[str]:
    heard.setblocking(False)
    said = []
    while True:
        try:
            said.append(heard.recv(4096).decode())
        except BlockingIOError:
            return [each for each in said if each != "x"]


def test_what_is_said_arrives(systemd: socket.socket) -> None:
    notify.ready("hears")
    notify.status("idle")
    notify.alive()
    notify.stopping()
    assert everything(systemd) == [
        "READY=1\nSTATUS=hears",
        "STATUS=idle",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_socket_that_nobody_reads_holds_nobody_up(systemd: socket.socket) -> None:
    fill(systemd)
    begun = time.monotonic()
    notify.status("idle")
    notify.alive()
    notify.ready("hears")
    assert time.monotonic() - begun < notify.ROOM_S + LONG_S
    assert everything(systemd) == []
    notify.status("speech")
    assert everything(systemd) == ["READY=1\nSTATUS=hears", "STATUS=speech"], "in this order"


def test_what_is_owed_waits_for_room_a_little(systemd: socket.socket) -> None:
    fill(systemd)
    notify.stopping()
    systemd.recv(16)
    notify.alive()
    assert everything(systemd) == ["STOPPING=1"], "no room for more, which is dropped"


def test_without_systemd_and_where_its_socket_is_gone_nothing_happens(tmp_path: Path) -> None:
    notify.ready("hears")
    for address in (str(tmp_path / "gone"), "@nobody", "vsock:2:1", "nonsense"):
        os.environ["NOTIFY_SOCKET"] = address
        notify.ready("hears")
    del os.environ["NOTIFY_SOCKET"]
