"""What the broker acknowledged is known after a kill, without an fsync."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scribed.store.acked import MAX_BYTES, Acked

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "acked"


def before(path: Path) -> frozenset[int]:
    """What the next life finds."""
    acked = Acked(path)
    acked.close()
    return acked.before


def test_what_was_offered_is_not_yet_acknowledged(path: Path) -> None:
    acked = Acked(path)
    acked.offer(1)
    acked.offer(2)
    acked.add(1)
    acked.close()
    after = Acked(path)
    assert after.before == {1}
    assert after.offered == {1, 2}
    after.clear()
    after.close()
    assert path.read_bytes() == b""


def test_a_killed_daemon_leaves_what_was_acknowledged(path: Path) -> None:
    life = (
        "import os, signal; from pathlib import Path; from scribed.store.acked import Acked\n"
        f"acked = Acked(Path({str(path)!r}))\n"
        "for seq in range(7, 507): acked.add(seq)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", life], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert before(path) == frozenset(range(7, 507))
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_empty_when_the_ledger_has_them(path: Path) -> None:
    acked = Acked(path)
    acked.add(1)
    acked.clear()
    acked.add(2)
    acked.close()
    assert before(path) == {2}


def test_lives_add_to_each_other_until_then(path: Path) -> None:
    for seq in (5, 6, 7):
        acked = Acked(path)
        acked.add(seq)
        acked.close()
    assert before(path) == {5, 6, 7}


def test_a_number_that_was_torn_is_not_taken_for_another(path: Path) -> None:
    path.write_bytes(b"12\n345\n67")
    assert before(path) == {12, 345}
    acked = Acked(path)
    acked.add(8)
    acked.close()
    assert 678 not in before(path)
    assert before(path) >= {12, 345, 8}


@pytest.mark.parametrize("content", [b"\xff" * 100, b"x\n-3\n1e5\n" + b"9" * 400 + b"\n", b"\n\n"])
def test_nonsense_is_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert before(path) == frozenset()


def test_it_does_not_grow_for_ever(path: Path) -> None:
    path.write_bytes(b"123456789\n" * (MAX_BYTES // 10))
    acked = Acked(path)
    for seq in range(10):
        acked.add(seq)
    acked.close()
    assert path.stat().st_size <= MAX_BYTES
    assert acked.unwritten > 0


@pytest.mark.parametrize("where", ["no directory", "a directory", "full", "none"])
def test_without_a_usable_file_it_counts_what_a_kill_may_repeat(where: str, path: Path) -> None:
    target: Path | None = path
    if where == "no directory":
        target = path / "acked"
    elif where == "a directory":
        path.mkdir()
    elif where == "full":
        target = Path("/dev/full")
    else:
        target = None
    acked = Acked(target)
    acked.add(1)
    acked.clear()
    acked.close()
    assert (acked.before, acked.unwritten) == (frozenset(), 1)


def test_it_follows_no_link_that_somebody_else_made(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)
    acked = Acked(path)
    acked.add(1)
    acked.clear()
    acked.close()
    assert victim.read_bytes() == b"precious"
    assert path.is_symlink()
