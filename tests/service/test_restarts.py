"""A daemon that ends again and again is started ever more slowly, and never given up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed import clock
from scribed.service import notify
from scribed.service.restarts import LONG_S, MAX_S, RESTART_S, Restarts, pace, pause_s

WAIT = """
import os, sys
from pathlib import Path
from scribed import clock
from scribed.service.restarts import Restarts, pace
sys.exit(0 if pace(Restarts(Path(sys.argv[1]), clock.now), os.environ) else 3)
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd listens on, in this process's environment too."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        heard.settimeout(10)
        os.environ["NOTIFY_SOCKET"] = path
        yield heard
        del os.environ["NOTIFY_SOCKET"]


def test_the_gaps_double_up_to_a_minute_and_stay_there() -> None:
    gaps = [RESTART_S + pause_s(crashes) for crashes in range(1, 10)]
    assert gaps == [0.5, 2, 4, 8, 16, 32, MAX_S, MAX_S, MAX_S]
    assert pause_s(0) == 0.0
    assert RESTART_S + pause_s(10_000) == MAX_S


def test_ends_in_a_row_are_counted_until_one_run_lasts_or_ends_in_order(tmp_path: Path) -> None:
    time = Clock()

    def start(after_s: float) -> int:
        time.now += after_s
        return Restarts(tmp_path / "run", time).begin()

    assert [start(1.0) for _ in range(4)] == [0, 1, 2, 3]
    assert start(LONG_S + pause_s(3)) == 1  # what it waited is no part of its run
    assert start(LONG_S - 1.0) == 2
    Restarts(tmp_path / "run", time).end()
    assert [start(1.0) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("text", ["", "one 2", "3", "\xff", "1 2 3"])
def test_a_note_that_makes_no_sense_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "starts").write_text(text, "latin-1")
    assert Restarts(tmp_path, Clock()).begin() == 0
    assert Restarts(tmp_path, Clock()).begin() == 1


def test_without_a_directory_nothing_is_counted_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(3):
        assert Restarts(tmp_path / "file", Clock()).begin() == 0
    Restarts(tmp_path / "file", Clock()).end()


def test_systemd_is_told_of_the_wait_and_gives_the_time(
    tmp_path: Path, systemd: socket.socket
) -> None:
    for _ in range(2):
        Restarts(tmp_path, Clock()).begin()
    assert pace(Restarts(tmp_path, Clock()), os.environ)  # for 1.5 s
    said = dict(line.split("=", 1) for line in systemd.recv(4096).decode().splitlines())
    assert said["STATUS"] == "starting: ended 2 times in a row; starts in 2 s"
    assert int(said["EXTEND_TIMEOUT_USEC"]) > 1e6


def test_a_stop_ends_the_wait_and_the_count(tmp_path: Path, systemd: socket.socket) -> None:
    for _ in range(8):
        Restarts(tmp_path, clock.now).begin()
    process = subprocess.Popen([sys.executable, "-c", WAIT, str(tmp_path)])
    systemd.recv(4096)
    process.terminate()
    assert process.wait(10) == 3
    assert Restarts(tmp_path, clock.now).begin() == 0


def test_who_starts_it_by_hand_does_not_wait(tmp_path: Path) -> None:
    for _ in range(8):
        Restarts(tmp_path, Clock()).begin()
    assert pace(Restarts(tmp_path, Clock()), {})


def test_a_start_that_gets_on_asks_for_time_now_and_then(systemd: socket.socket) -> None:
    progress = notify.Progress("puts it in order")
    stop = threading.Event()
    while not stop.wait(0.01):
        progress()
        systemd.settimeout(0)
        try:
            said = systemd.recv(4096).decode()
        except BlockingIOError:
            continue
        stop.set()
    assert said == "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting: puts it in order"
