"""The numbers of utterances rise across restarts, crashes and damage, and none is used twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.errors import ExitStatus, ScribedError, StateInUse
from scribed.store.sequence import ABOVE_ALL, BLOCK, Sequence

ROOT = Path(__file__).parent.parent.parent


class State:
    """A state directory, and one life of the daemon after the other in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "seq"

    @contextlib.contextmanager
    def open(self) -> Iterator[Sequence]:
        """One life; it ends as a crash does, unless `release()` was called."""
        sequence = Sequence(self.directory)
        try:
            yield sequence
        finally:
            sequence.close()

    def found(self) -> tuple[int, int]:
        """With what the next life would begin: its first number, and how many were skipped."""
        with self.open() as sequence:
            return sequence.next, sequence.skipped

    def damage(self, content: bytes) -> None:
        self.file.write_bytes(content)

    def fill_disk(self) -> None:
        (self.directory / "seq.new").symlink_to("/dev/full")

    def clear_disk(self) -> None:
        (self.directory / "seq.new").unlink()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def test_the_first_number_is_1(state: State) -> None:
    assert state.found() == (1, 0)


def test_numbers_are_reserved_64_at_a_time(state: State) -> None:
    with state.open() as sequence:
        assert sequence.reserve(1) == 65
        assert sequence.reserve(50) == 114


def test_after_a_clean_end_numbering_goes_on_where_it_was(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        sequence.release(10)
    assert state.found() == (10, 0)


def test_after_a_crash_the_reserved_numbers_are_skipped(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        sequence.release(10)
    with state.open() as sequence:
        sequence.reserve(10)
    assert state.found() == (10 + BLOCK, BLOCK)


def test_a_life_without_speech_uses_no_number(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        sequence.release(1)
    assert state.found() == (1, 0)
    assert state.found() == (1, 0)


def test_what_is_there_is_for_this_user_alone(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
    assert stat.S_IMODE(state.directory.stat().st_mode) == 0o700
    assert {path.name for path in state.directory.iterdir()} == {"lock", "seq"}
    for path in state.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# Damage

DAMAGED = {
    "empty": b"",
    "cut off": b"65 1 dir",
    "without its end": b"65 1 clean",
    "zeros": bytes(12),
    "no text": b"\xff\xfe\x00",
    "words": b"one two clean\n",
    "too few": b"65 clean\n",
    "negative": b"-5 1 clean\n",
    "unknown word": b"65 1 filthy\n",
    "beyond what JSON carries": b"9" * 20 + b" 1 clean\n",
    "beyond what Python reads": b"9" * 5000 + b" 1 clean\n",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_after_damage_numbering_goes_on_far_above_and_the_file_is_set_aside(
    state: State, content: bytes
) -> None:
    state.directory.mkdir()
    state.damage(content)
    with state.open() as sequence:
        assert sequence.next >= ABOVE_ALL
        assert sequence.skipped == 0
        assert (state.directory / "seq.damaged").read_bytes() == content
        sequence.reserve(sequence.next)
        sequence.release(sequence.next + 3)
        following = sequence.next + 3
    assert state.found() == (following, 0)


def test_a_crash_right_after_damage_does_not_begin_at_1_again(state: State) -> None:
    state.directory.mkdir()
    state.damage(b"nonsense")
    for _ in range(3):
        assert state.found()[0] >= ABOVE_ALL


def test_a_full_disk_right_after_damage_does_not_begin_at_1_again(state: State) -> None:
    state.directory.mkdir()
    state.damage(b"nonsense")
    state.fill_disk()
    with state.open() as sequence, pytest.raises(OSError, match="No space"):
        sequence.reserve(sequence.next)
    state.clear_disk()
    assert state.found()[0] >= ABOVE_ALL


def test_a_second_damage_goes_higher_still(state: State) -> None:
    state.directory.mkdir()
    state.damage(b"nonsense")
    first, _ = state.found()
    state.damage(b"more of it")
    assert state.found()[0] >= first


def test_a_directory_in_the_place_of_the_file_is_damage_too(state: State) -> None:
    state.file.mkdir(parents=True)
    assert state.found()[0] >= ABOVE_ALL


# One process


HOLDER = """
import sys
from pathlib import Path
from scribed.store.sequence import Sequence
sequence = Sequence(Path(sys.argv[1]))
print("mine", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the directory."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_what_to_do(state: State) -> None:
    with holder(state.directory):
        with pytest.raises(StateInUse) as caught:
            Sequence(state.directory)
        assert str(caught.value) == (
            f"the state directory {state.directory} is in use by another scribed; "
            "stop that one, or give each its own configuration file and STATE_DIRECTORY"
        )
        assert caught.value.exit_status is ExitStatus.IN_USE


def test_a_process_that_was_killed_holds_nothing(state: State) -> None:
    with holder(state.directory) as other:
        other.kill()
        other.wait(10)
        assert state.found() == (1, 0)


def test_a_refused_process_has_changed_nothing(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        with pytest.raises(StateInUse):
            Sequence(state.directory)
        sequence.release(7)
    assert state.found() == (7, 0)


def test_a_child_that_outlives_us_does_not_keep_the_directory(state: State) -> None:
    with state.open():
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert state.found() == (1, 0)
    finally:
        child.kill()
        child.wait(10)


# A disk that does not do


def test_a_full_disk_keeps_the_numbers_it_has(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        state.fill_disk()
        with pytest.raises(OSError, match="No space left on device"):
            sequence.reserve(50)
    assert state.found() == (1 + BLOCK, BLOCK)


WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
TRIER = """
import sys
from pathlib import Path
from scribed.errors import ScribedError
from scribed.store.sequence import Sequence
try:
    Sequence(Path(sys.argv[1]))
except ScribedError as exc:
    print(type(exc).__name__, exc)
"""


def tried(directory: Path) -> str:
    """What somebody is told who may not do everything, as root may."""
    command = [sys.executable, "-c", TRIER, str(directory)]
    if os.getuid() == 0:
        command = [*WITHOUT_PRIVILEGE, *command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("there", [True, False], ids=["of it", "above it"])
def test_a_directory_that_may_not_be_written_is_said_in_words(
    tmp_path: Path, *, there: bool
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    directory = closed if there else closed / "state"
    assert tried(directory) == (
        f"ScribedError the state directory {directory} cannot be used: Permission denied; "
        "make it writable for this user, or set STATE_DIRECTORY"
    )


def test_a_file_in_the_place_of_the_directory_is_said_in_words(state: State) -> None:
    state.directory.write_text("")
    for directory in (state.directory, state.directory / "below"):
        with pytest.raises(ScribedError, match=r"cannot be used: .*; make it writable"):
            Sequence(directory)


# Whatever happens

lives = st.lists(st.tuples(st.integers(0, 150), st.sampled_from(["clean", "crash"])), max_size=6)


def live(state: State, utterances: int, end: str) -> tuple[list[int], int]:
    """One life as capture leads it: the numbers it used, and how many it was told were skipped."""
    used: list[int] = []
    with state.open() as sequence:
        number = sequence.next
        reserved = sequence.reserve(number)
        for _ in range(utterances):
            if number >= reserved - BLOCK // 4:  # well before the end
                reserved = sequence.reserve(number)
            assert number < reserved
            used.append(number)
            number += 1
        if end == "clean":
            sequence.release(number)
        return used, sequence.skipped


@settings(deadline=None, max_examples=40)
@given(lives, lives)
def test_however_its_lives_end_the_numbers_rise_and_only_a_crash_or_damage_leaves_a_gap(
    before: list[tuple[int, str]], after: list[tuple[int, str]]
) -> None:
    used, ended = [0], "clean"
    with tempfile.TemporaryDirectory() as directory:
        state = State(Path(directory))
        for utterances, end in [*before, (3, "damage"), *after]:
            numbers, skipped = live(state, utterances, end)
            if numbers and ended == "clean":
                assert (numbers[0], skipped) == (used[-1] + 1, 0)
            if numbers and ended == "damage":
                assert numbers[0] >= ABOVE_ALL
            if end == "damage":
                state.damage(bytes(10))
            used += numbers
            ended = end if numbers or ended == "clean" else ended
    assert used == sorted(set(used))


@settings(deadline=None, max_examples=20)
@given(lives)
def test_whoever_adds_up_what_was_skipped_misses_no_number(script: list[tuple[int, str]]) -> None:
    seen = 0
    with tempfile.TemporaryDirectory() as directory:
        state = State(Path(directory))
        for utterances, end in script:
            numbers, skipped = live(state, utterances, end)
            seen += len(numbers) + skipped
        following, skipped = state.found()
    assert seen + skipped >= following - 1  # a number that was used and skipped counts twice


# With what the ledger knows


def test_what_the_ledger_knows_is_not_given_again(state: State) -> None:
    with state.open() as sequence:
        sequence.reserve(1)
        sequence.release(10)
    with state.open() as sequence:
        sequence.resume(known=10, seen=9)
        assert (sequence.next, sequence.skipped) == (10, 0)
        sequence.resume(known=None, seen=0)
        assert (sequence.next, sequence.skipped) == (10, 0)
        sequence.resume(known=75, seen=80)
        assert (sequence.next, sequence.skipped) == (81, 71)


def test_after_damage_numbering_goes_on_behind_what_the_ledger_knows(state: State) -> None:
    state.directory.mkdir()
    state.damage(b"nonsense")
    with state.open() as sequence:
        sequence.resume(known=500, seen=480)
        assert (sequence.next, sequence.skipped) == (500 + BLOCK, 0)
        sequence.reserve(sequence.next)
    assert state.found() == (500 + 2 * BLOCK, BLOCK)


def test_a_file_that_was_deleted_does_not_begin_at_1_where_the_ledger_knows_better(
    state: State,
) -> None:
    with state.open() as sequence:
        sequence.resume(known=500, seen=0)
        assert (sequence.next, sequence.skipped) == (500 + BLOCK, 0)


def test_after_damage_to_both_it_goes_on_far_above_and_above_what_waits(state: State) -> None:
    state.directory.mkdir()
    state.damage(b"nonsense")
    with state.open() as sequence:
        sequence.resume(known=None, seen=1 << 40)
        assert sequence.next == (1 << 40) + 1
    with state.open() as sequence:
        sequence.resume(known=None, seen=7)
        assert sequence.next >= ABOVE_ALL


# Reasons


def test_a_directory_of_somebody_else_says_whose_it_is(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 1, 1)
    assert tried(theirs).endswith(
        f"cannot be used: Permission denied; {theirs} belongs to daemon (uid 1): "
        "run scribed as that user, or set STATE_DIRECTORY"
    )
    assert list(theirs.iterdir()) == []


def test_a_lock_of_somebody_else_says_whose_it_is(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    lock = tmp_path / "lock"
    lock.touch(mode=0o600)
    os.chown(lock, 54321, 54321)
    assert f"{lock} belongs to uid 54321: run scribed as that user" in tried(tmp_path)


def test_a_file_system_without_locks_is_not_taken_for_another_process(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace, which makes the call fail, is not installed")
    command = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=flock:error=ENOLCK"]
    done = subprocess.run(
        [*command, sys.executable, "-c", TRIER, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this machine lets nobody trace: {done.stderr.strip()[:200]}")
    assert done.stdout.strip() == (
        f"ScribedError the state directory {tmp_path} cannot be locked: No locks available; "
        "set STATE_DIRECTORY to one on a file system of this machine"
    )
