"""The end of the last captured frame is known after a kill, and costs no system call."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scribed.store.heard import SIZE, LastFrame

ROOT = Path(__file__).parent.parent.parent
BOOT = "b2c1a0f4-5f0e-4f9c-9b57-0c4b4f7b2a11"
OTHER = "00000000-5f0e-4f9c-9b57-0c4b4f7b2a11"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heard"


def before(path: Path, boot_id: str = BOOT) -> tuple[str, float] | None:
    """What the next life finds."""
    frame = LastFrame(path, boot_id)
    frame.close()
    return frame.before


def heard(path: Path, *times: float, boot_id: str = BOOT) -> None:
    """A life that hears frames until the last of `times`."""
    frame = LastFrame(path, boot_id)
    for at in times:
        frame.mark(at)
    frame.close()


def test_at_first_there_is_nothing(path: Path) -> None:
    assert before(path) is None
    assert path.stat().st_size == SIZE
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_killed_daemon_leaves_its_last_frame(path: Path) -> None:
    life = (
        "import os, signal; from pathlib import Path; from scribed.store.heard import LastFrame\n"
        f"frame = LastFrame(Path({str(path)!r}), {BOOT!r})\n"
        "for n in range(1000): frame.mark(100 + n / 10)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", life], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert before(path) == (BOOT, 199.9)


def test_a_life_that_hears_nothing_keeps_what_the_one_before_left(path: Path) -> None:
    heard(path, 1.0, 2.0)
    heard(path, boot_id=OTHER)
    assert before(path) == (BOOT, 2.0)
    heard(path, 0.5, boot_id=OTHER)
    assert before(path) == (OTHER, 0.5)


def test_a_clean_stop_can_ask(path: Path) -> None:
    frame = LastFrame(path, BOOT)
    assert frame.last is None
    frame.mark(7.25)
    frame.mark(7.5)
    assert frame.last == (BOOT, 7.5)
    frame.close()
    frame.mark(9.0)
    assert frame.last is None
    assert before(path) == (BOOT, 7.5)


def _cut(path: Path) -> None:
    os.truncate(path, SIZE - 1)


def _lengthen(path: Path) -> None:
    os.truncate(path, SIZE + 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _not_a_number(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8] + struct.pack("@d", float("nan")) + content[16:])


def _negative(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8] + struct.pack("@d", -1.0) + content[16:])


@pytest.mark.parametrize("damage", [_cut, _lengthen, _empty, _not_a_number, _negative])
def test_a_damaged_file_is_as_none(path: Path, damage: Callable[[Path], None]) -> None:
    heard(path, 3.0)
    damage(path)
    assert before(path) is None
    heard(path, 4.0)
    assert before(path) == (BOOT, 4.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 8 * SIZE - 1), st.binary(max_size=2 * SIZE))
def test_no_flipped_bit_and_no_nonsense_raises(path: Path, bit: int, nonsense: bytes) -> None:
    heard(path, 3.0)
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    found = before(path)
    assert found is None or (found[0] == BOOT and found[1] >= 0)
    path.write_bytes(nonsense)
    assert before(path) is None


@pytest.mark.parametrize("where", ["no directory", "a directory", "none"])
def test_without_a_usable_file_it_works_as_long_as_the_process(where: str, path: Path) -> None:
    target: Path | None = path / "heard"
    if where == "a directory":
        path.mkdir()
        target = path
    elif where == "none":
        target = None
    frame = LastFrame(target, BOOT)
    assert frame.before is None
    frame.mark(5.0)
    assert frame.last == (BOOT, 5.0)
    frame.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_mark_is_no_system_call(path: Path) -> None:
    life = (
        "import os; from pathlib import Path; from scribed.store.heard import LastFrame\n"
        f"frame = LastFrame(Path({str(path)!r}), {BOOT!r})\n"
        "os.access('begin', 0)\n"
        "for n in range(10_000): frame.mark(n * 0.02)\n"
        "os.access('end', 0)"
    )
    done = subprocess.run(
        ["strace", "-o", "/dev/stdout", sys.executable, "-c", life],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this machine does not let strace trace: {done.stderr.strip()}")
    calls = done.stdout.splitlines()
    first = next(n for n, call in enumerate(calls) if '"begin"' in call)
    last = next(n for n, call in enumerate(calls) if '"end"' in call)
    assert last - first == 1, calls[first : last + 1]
