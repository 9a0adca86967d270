"""The benchmarks' peers: a satellite finds its Home Assistant, and who is not here is told."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.beside import FLOOR, Absent, Contender, rows
from bench.commands import faint_noise, speech_without_pauses
from bench.cost import Pace, all_of, cost
from bench.peers.home import RUN, Home
from bench.peers.installed import NotInstalledError
from bench.peers.listeners import PEERS, listening
from bench.running import CHUNK, feed

READER = "import sys\nwhile sys.stdin.buffer.read(640): pass"


def reader(program: str = READER) -> subprocess.Popen[bytes]:
    """Unbuffered: what the dead did not read is not written again when it is closed."""
    return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, bufsize=0)


def started() -> subprocess.Popen[bytes]:
    """A process that says a line when it has started, and waits."""
    program = "print(flush=True)\ninput()"
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_home_asks_the_satellite_to_run_and_takes_what_it_sends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as satellite:
        satellite.bind(str(tmp_path / "satellite"))
        satellite.listen()
        with Home(tmp_path / "satellite", within_s=30.0) as home:
            connection, _ = satellite.accept()
            with connection:
                assert connection.recv(100) == RUN
                connection.sendall(bytes(1000))
    assert home.taken == 1000


def test_a_satellite_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="nobody listens"):
        Home(tmp_path / "satellite", within_s=0.1).__enter__()


def test_who_dies_while_all_listen_does_not_take_the_others_with_it() -> None:
    with reader() as lives, reader("") as dies:
        dies.wait(10)
        written = feed(faint_noise(0.2), lives, dies)
        assert len(written) == 0.2 * 32_000 / CHUNK
        assert lives.poll() is None
        assert lives.stdin is not None
        lives.stdin.close()


def test_a_process_and_those_it_started_cost_what_each_does() -> None:
    with started() as one, started() as another:
        for process in (one, another):
            assert process.stdout is not None
            process.stdout.readline()
        together = all_of([one.pid, another.pid])
        each = cost(one.pid).rss_mb + cost(another.pid).rss_mb
        assert together.rss_mb == pytest.approx(each, rel=0.05)
        for process in (one, another):
            process.kill()


def test_who_is_not_here_has_a_row_that_says_why() -> None:
    with reader("") as process:
        floor = Contender(process, [process.pid], [Pace(10.0, 50.0, 20.0)])
        found = rows({FLOOR: floor, "OVOS listener": Absent("does not install: no network")})
    assert str(found[FLOOR][0]) == "10.0"
    assert found["OVOS listener"][0] == "not here: does not install: no network"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_listens_as_long_as_somebody_speaks(tmp_path: Path, name: str) -> None:
    try:
        with listening(name, tmp_path) as peer:
            before = all_of(peer.pids)
            feed(speech_without_pauses(3.0), peer.process)
            assert peer.process.poll() is None
            assert all_of(peer.pids).cpu_s > before.cpu_s
    except NotInstalledError as exc:
        pytest.skip(f"{name} {exc}")
