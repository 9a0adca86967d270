"""Limits hold, and a disk that is full, read-only or broken costs no audio while there is room."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.config import Spool
from scribed.store.disk import RETRY_S
from scribed.store.utterances import Utterances
from tests.store.machine import PIECE, Machine, ended, say, speech, started, utterance
from tests.store.volumes import Volume, volume

MB = 1 << 20
LONG = 300_000
"""Bytes of an utterance of 9 s; with its header 303 104 on the disk."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.kill()


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Volume]:
    """A small file system for the state directory."""
    with volume(tmp_path / "disk", 16, request.param) as disk:
        yield disk


@pytest.fixture
def small(machine: Machine, disk: Volume) -> Iterator[Machine]:
    """A machine whose state directory is on `disk`."""
    machine.state = disk.path / "state"
    yield machine
    machine.kill()


def du(*directories: Path | None) -> int:
    """What the files in there take, in bytes."""
    paths = [directory for directory in directories if directory is not None]
    done = subprocess.run(["du", "-sc", "-B1", *paths], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def numbers(life: Utterances) -> list[int]:
    return [info.started.seq for info in life.list()]


def intact(life: Utterances, nbytes: int = LONG) -> bool:
    return all(
        life.load(info.id) == speech(info.started.seq, nbytes)
        for info in life.list()
        if info.ended is not None
    )


def test_the_oldest_go_where_the_cap_is_reached(machine: Machine) -> None:
    life = machine.life(max_mb=2)
    life.well = False
    evicted = []
    for seq in range(1, 12):
        say(life, seq, LONG)
        evicted += life.make_room()
        assert du(machine.state / "audio") <= 2 * MB + 8192
        assert life.nbytes == sum(path.stat().st_blocks * 512 for path in machine.files().values())
    assert evicted == [utterance(seq) for seq in range(1, 6)]
    assert numbers(life) == [6, 7, 8, 9, 10, 11]
    assert intact(life)
    assert life.trouble is not None
    assert life.trouble.code == "spool_full"
    life.discard(utterance(6))
    life.make_room()
    assert life.trouble is None


def test_another_cap_counts_from_the_next_look_on(machine: Machine) -> None:
    life = machine.life(max_mb=4)
    life.well = False
    for seq in range(1, 12):
        say(life, seq, LONG)
    assert life.make_room() == []
    life.retune(Spool(max_mb=2, min_free_mb=0))
    assert life.make_room() == [utterance(seq) for seq in range(1, 6)]
    assert du(machine.state / "audio") <= 2 * MB + 8192


def test_what_the_memory_may_not_hold_goes_to_the_disk(machine: Machine) -> None:
    life = machine.life(runtime_max_mb=2)
    for seq in range(1, 12):
        say(life, seq, LONG)
        assert life.make_room() == []
        assert du(machine.runtime) <= 2 * MB + 8192
    assert [info.durable for info in life.list()] == [True] * 5 + [False] * 6
    assert intact(life)
    assert life.trouble is None


def test_of_both_the_oldest_go(machine: Machine) -> None:
    life = machine.life(runtime_max_mb=2, max_mb=2)
    evicted = []
    for seq in range(1, 21):
        say(life, seq, LONG)
        evicted += life.make_room()
    assert evicted == [utterance(seq) for seq in range(1, 9)]
    assert numbers(life) == list(range(9, 21))
    assert intact(life)


def test_an_open_utterance_does_not_go(machine: Machine) -> None:
    life = machine.life(max_mb=2)
    life.well = False
    say(life, 1, PIECE, seal=False)
    for seq in range(2, 12):
        say(life, seq, LONG)
        life.make_room()
    assert numbers(life)[0] == 1
    life.append(utterance(1), speech(1, PIECE, PIECE))
    assert life.seal(ended(1, 2 * PIECE))
    say(life, 12, LONG)
    assert life.make_room() == [utterance(1), utterance(6)]


def test_securing_makes_no_older_speech_of_younger(machine: Machine) -> None:
    life = machine.life(max_mb=2)
    say(life, 1, LONG)
    life.well = False
    for seq in range(2, 8):
        say(life, seq, LONG)
    assert not life.secure()
    assert numbers(life) == [1, 2, 3, 4, 5, 6, 7]
    assert life.make_room() == []


def test_a_foreign_process_may_have_the_disk(small: Machine, disk: Volume) -> None:
    life = small.life(min_free_mb=4, runtime_max_mb=2)
    life.well = False
    for seq in range(1, 11):
        say(life, seq, LONG)
    assert life.make_room() == []
    assert life.trouble is None
    disk.fill(leave=3 * MB)
    evicted = life.make_room()
    assert life.trouble is not None
    assert life.trouble.code == "spool_full"
    assert numbers(life) == list(range(1, 11))
    assert evicted == [], "memory has room for what must leave the disk"
    assert [info.durable for info in life.list()][:4] == [False] * 4
    say(life, 11, LONG)
    info = life.get(utterance(11))
    assert info is not None
    assert not info.durable
    disk.clear()
    small.now += RETRY_S
    life.make_room()
    assert life.trouble is None
    assert all(info.durable for info in life.list())
    assert intact(life)


def test_a_full_disk_stops_no_utterance(small: Machine, disk: Volume) -> None:
    life = small.life(runtime_max_mb=2)
    life.well = False
    say(life, 1, LONG)
    say(life, 2, LONG, seal=False)
    disk.fill()
    for start in range(LONG, 2 * LONG, PIECE):
        life.append(utterance(2), speech(2, min(PIECE, 2 * LONG - start), start))
    assert life.trouble is not None
    assert life.trouble.code == "spool_full"
    assert life.seal(ended(2, 2 * LONG))
    assert life.load(utterance(2)) == speech(2, 2 * LONG)
    life.discard(utterance(2))
    disk.fill()
    evicted = []
    for seq in range(3, 12):
        say(life, seq, LONG)
        evicted += life.make_room()
        assert du(small.runtime) <= 2 * MB + 8192
        small.now += 1
    assert evicted == [utterance(seq) for seq in range(3, 6)]
    assert numbers(life) == [1, *range(6, 12)]
    assert intact(life)
    disk.clear()
    small.now += RETRY_S
    life.make_room()
    assert life.trouble is None
    assert all(info.durable for info in life.list())
    assert intact(life)
    _, scan = small.restart()
    assert [info.started.seq for info in scan.found] == [1, *range(6, 12)]


def test_a_disk_that_became_read_only_stops_no_utterance(tmp_path: Path) -> None:
    with volume(tmp_path / "disk", 16, "tmpfs") as disk:
        machine = Machine(tmp_path)
        machine.state = disk.path / "state"
        life = machine.life()
        life.well = False
        say(life, 1, LONG)
        machine.kill()
        disk.read_only(True)
        life, scan = machine.restart()
        assert len(scan.found) == 1
        life.well = False
        say(life, 2, LONG)
        assert life.trouble is not None
        assert life.trouble.code == "disk_error"
        assert "Read-only" in life.trouble.message
        assert not life.secure()
        life.discard(utterance(1))
        assert numbers(life) == [2]
        assert len(machine.files()) == 2, "it cannot be deleted yet"
        machine.now += RETRY_S
        life.make_room()
        assert life.trouble is not None
        disk.read_only(False)
        life.make_room()
        assert life.trouble is not None, "it is tried every 5 s only"
        machine.now += RETRY_S
        assert life.make_room() == []
        assert life.trouble is None
        assert [info.durable for info in life.list()] == [True]
        assert len(machine.files()) == 1
        assert intact(life)
        machine.kill()


def test_when_memory_and_disk_are_full_the_oldest_give_way(tmp_path: Path) -> None:
    with volume(tmp_path / "disk", 1) as disk, volume(tmp_path / "memory", 2) as memory:
        machine = Machine(tmp_path)
        machine.state, machine.runtime = disk.path / "state", memory.path / "run"
        life = machine.life(runtime_max_mb=32)
        disk.fill()
        evicted = []
        for seq in range(1, 15):
            say(life, seq, LONG)
            evicted += life.make_room()
        assert evicted == [utterance(seq) for seq in range(1, len(evicted) + 1)]
        assert numbers(life) == list(range(len(evicted) + 1, 15))
        assert len(numbers(life)) >= 5
        assert intact(life)
        assert life.unwritten_bytes == 0
        machine.kill()


def test_audio_waits_in_memory_where_nothing_takes_it(tmp_path: Path) -> None:
    with volume(tmp_path / "disk", 1) as disk, volume(tmp_path / "memory", 1) as memory:
        machine = Machine(tmp_path)
        machine.state, machine.runtime = disk.path / "state", memory.path / "run"
        life = machine.life()
        disk.fill()
        memory.fill()
        life.begin(started(1))
        for start in range(0, LONG, PIECE):
            life.append(utterance(1), speech(1, min(PIECE, LONG - start), start))
        assert life.get(utterance(1)) is None
        memory.clear()
        life.append(utterance(1), speech(1, 2, LONG))
        assert life.load(utterance(1)) == speech(1, LONG + 2)
        memory.fill()
        for start in range(0, 3 * LONG, PIECE):
            life.append(utterance(1), speech(1, min(PIECE, 3 * LONG - start), LONG + 2 + start))
        assert not life.seal(ended(1, 4 * LONG + 2))
        (info,) = life.list()
        assert life.unwritten_bytes == 4 * LONG + 2 - info.nbytes > 0
        assert info.ended is not None
        assert info.ended.audio_ms == round(info.nbytes / 32)
        assert info.ended.lost_ms > 0
        life, scan = machine.restart()
        assert scan.found == (info,)
        assert life.load(utterance(1)) == speech(1, info.nbytes)
        machine.kill()


def test_with_nothing_but_a_full_disk_the_oldest_give_way(small: Machine, disk: Volume) -> None:
    small.runtime = None
    life = small.life()
    for seq in range(1, 5):
        say(life, seq, LONG)
    say(life, 5, PIECE, seal=False)
    disk.fill()
    for start in range(PIECE, LONG, PIECE):
        life.append(utterance(5), speech(5, min(PIECE, LONG - start), start))
    assert life.seal(ended(5, LONG))
    evicted = life.make_room()
    assert evicted == [utterance(seq) for seq in range(1, len(evicted) + 1)]
    assert 1 <= len(evicted) <= 2
    assert intact(life)


def test_a_file_that_may_not_grow_loses_only_what_comes_after(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_001, before[1]))
        life.begin(started(2))
        for start in range(0, 5 * PIECE, PIECE):
            life.append(utterance(2), speech(2, PIECE, start))
        assert not life.seal(ended(2, 5 * PIECE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert numbers(life) == [1, 2], "to evict would not have helped"
    life, scan = machine.restart()
    assert [info.nbytes for info in scan.found] == [PIECE, 10_001 - 1024 - 1]
    assert scan.mismatched == ()
    assert life.load(utterance(2)) == speech(2, 10_001 - 1024 - 1)
