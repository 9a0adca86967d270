"""The audio of every utterance without an answer is in a file, where it belongs, and comes back."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.model import EarlierBoot, EndReason
from scribed.store.utterances import Utterances
from tests.store.machine import (
    BOOT,
    CUT_AT,
    PIECE,
    SPOKEN,
    Machine,
    ended,
    say,
    speech,
    started,
    talk_on,
    utterance,
)
from tests.store.volumes import volume

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.kill()


def test_while_the_link_is_well_audio_is_in_the_runtime_directory(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, 3 * PIECE)
    info = life.get(utterance(1))
    assert info is not None
    assert (info.durable, info.sending, info.nbytes) == (False, False, 3 * PIECE)
    assert machine.runtime is not None
    assert info.path == machine.runtime / "audio" / f"0000000001-{utterance(1)}.sealed.wav"
    assert info.path.stat().st_mode & 0o777 == 0o600
    assert info.path.parent.stat().st_mode & 0o777 == 0o700
    assert life.load(utterance(1)) == speech(1, 3 * PIECE)
    assert life.trouble is None


def test_while_it_is_not_new_audio_begins_on_the_disk(machine: Machine) -> None:
    life = machine.life()
    life.well = False
    say(life, 1, PIECE)
    info = life.get(utterance(1))
    assert info is not None
    assert info.durable
    assert info.path == machine.state / "audio" / f"0000000001-{utterance(1)}.sealed.wav"
    assert info.path.stat().st_mode & 0o777 == 0o600
    assert info.path.parent.stat().st_mode & 0o777 == 0o700


def test_with_durability_power_it_is_always_on_the_disk(machine: Machine) -> None:
    life = machine.life(durability="power")
    say(life, 1, PIECE)
    say(life, 2, PIECE, seal=False)
    life.sync(0.0)
    life.sync(1.0)
    assert [info.durable for info in life.list()] == [True, True]


def test_without_a_runtime_directory_it_is_on_the_disk(machine: Machine) -> None:
    machine.runtime = None
    life = machine.life()
    say(life, 1, PIECE)
    assert [info.durable for info in life.list()] == [True]
    assert life.secure()


def test_with_durability_memory_there_is_no_file(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE)
    life, scan = machine.restart(durability="memory")
    life.begin(started(2))
    life.append(utterance(2), speech(2, PIECE))
    assert not life.seal(ended(2, PIECE))
    assert life.get(utterance(2)) is None
    assert [info.id for info in scan.found] == [utterance(1)], "an earlier configuration's is found"
    assert life.load(utterance(1)) == speech(1, PIECE)


def test_an_append_is_one_write(machine: Machine) -> None:
    life = machine.life()
    life.begin(started(1))
    piece = speech(1, PIECE)

    def writes() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("syscw"))

    before = writes()
    for _ in range(100):
        life.append(utterance(1), piece)
    assert writes() - before == 100


def test_an_answered_utterance_leaves_nothing(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE)
    say(life, 2, PIECE, seal=False)
    life.discard(utterance(1))
    life.discard(utterance(2))
    life.append(utterance(2), b"\0\0")
    assert not life.seal(ended(2, PIECE))
    assert (machine.files(), life.list(), life.nbytes) == ({}, [], 0)
    with pytest.raises(FileNotFoundError, match="no file holds"):
        life.load(utterance(1))


def test_what_is_unknown_is_ignored(machine: Machine) -> None:
    life = machine.life()
    life.append(utterance(9), b"\0\0")
    life.cut(utterance(9), 2)
    life.discard(utterance(9))
    life.mark_sending(utterance(9), True)
    assert not life.seal(ended(9, 0))
    assert life.quarantine(utterance(9), "why not") is None
    assert machine.files() == {}


def test_a_restart_finds_sealed_utterances_oldest_first(machine: Machine) -> None:
    life = machine.life()
    for seq in (1, 2, 3):
        say(life, seq, seq * PIECE)
        life.well = not life.well
    life, scan = machine.restart()
    assert [info.started for info in scan.found] == [started(seq) for seq in (1, 2, 3)]
    assert [info.ended for info in scan.found] == [ended(seq, seq * PIECE) for seq in (1, 2, 3)]
    assert [life.load(utterance(seq)) for seq in (1, 2, 3)] == [
        speech(seq, seq * PIECE) for seq in (1, 2, 3)
    ]
    assert (scan.torn, scan.mismatched, scan.damaged, scan.foreign, scan.problems) == (
        (),
        (),
        (),
        0,
        (),
    )


def test_an_utterance_that_a_kill_cut_off_ends_with_its_audio(machine: Machine) -> None:
    life = machine.life()
    say(life, 4, 2 * PIECE, seal=False)
    life.append(utterance(4), speech(4, 101, 2 * PIECE))
    life, scan = machine.restart()
    assert scan.torn == (utterance(4),)
    (info,) = scan.found
    assert info.ended is not None
    assert info.ended.reason is EndReason.RESTART
    assert info.ended.at == pytest.approx(40 + (2 * PIECE + 100) / 32_000)
    assert info.ended.audio_ms == 203
    assert life.load(utterance(4)) == speech(4, 2 * PIECE + 100)
    _, again = machine.restart()
    assert (again.found, again.torn) == (scan.found, ())


def test_speech_of_an_earlier_boot_says_so(machine: Machine) -> None:
    life = machine.life()
    life.well = machine.synced = False
    life.begin(started(1))
    machine.unix_offset += 50 * 365 * 86400  # NTP comes while it is spoken
    machine.synced = True
    life.append(utterance(1), speech(1, PIECE))
    life.seal(ended(1, PIECE))
    offset = machine.unix_offset
    machine.boot_id, machine.now, machine.unix_offset = "the next", 5.0, 1_890_000_000.0
    _, scan = machine.restart()
    assert scan.found[0].started.boot == EarlierBoot(BOOT, offset, True)
    assert scan.found[0].ended == ended(1, PIECE)


def test_an_utterance_that_was_being_sent_is_known_after_a_kill(machine: Machine) -> None:
    life = machine.life()
    for seq in (1, 2, 3):
        say(life, seq, PIECE)
        life.mark_sending(utterance(seq), True)
    life.mark_sending(utterance(2), False)
    life.discard(utterance(3))
    life, scan = machine.restart()
    assert [(info.started.seq, info.sending) for info in scan.found] == [(1, True), (2, False)]
    life.secure()
    life, scan = machine.restart()
    assert [(info.started.seq, info.sending) for info in scan.found] == [(1, True), (2, False)]
    life.mark_sending(utterance(1), False)
    _, scan = machine.restart()
    assert not any(info.sending for info in scan.found)


def test_an_open_utterance_goes_on_without_a_lost_byte_when_it_is_secured(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE)
    say(life, 2, 5 * PIECE + 1, seal=False)
    assert life.secure()
    assert [info.durable for info in life.list()] == [True, True]
    assert machine.runtime is not None
    assert list((machine.runtime / "audio").iterdir()) == []
    life.append(utterance(2), speech(2, PIECE, 5 * PIECE + 1))
    assert life.load(utterance(2)) == speech(2, 6 * PIECE + 1)
    life.append(utterance(2), speech(2, 1, 6 * PIECE + 1))
    assert life.seal(ended(2, 6 * PIECE + 2))
    _, scan = machine.restart()
    assert [info.nbytes for info in scan.found] == [PIECE, 6 * PIECE + 2]
    assert scan.mismatched == ()


def test_what_is_cut_off_is_in_the_next_utterance_only(machine: Machine) -> None:
    life = machine.life()
    *_, spoken = talk_on(life)
    assert life.load(utterance(1)) == speech(1, CUT_AT)
    assert life.load(utterance(2)) == speech(1, spoken - CUT_AT, CUT_AT)
    assert life.nbytes == sum(path.stat().st_blocks * 512 for path in machine.files().values())
    life, scan = machine.restart()
    assert scan.found[0].ended == ended(1, CUT_AT)
    assert (scan.torn, scan.mismatched) == ((utterance(2),), ())
    assert life.load(utterance(1)) == speech(1, CUT_AT)


def test_an_utterance_goes_on_behind_a_cut(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, 5 * PIECE, seal=False)
    life.cut(utterance(1), 2 * PIECE)
    life.append(utterance(1), speech(1, PIECE, 3 * PIECE))
    life.cut(utterance(1), 0)
    assert life.seal(ended(1, 4 * PIECE))
    life.cut(utterance(1), PIECE)  # it is sealed
    assert life.load(utterance(1)) == speech(1, 4 * PIECE)
    _, scan = machine.restart()
    assert scan.mismatched == ()


def test_more_than_there_is_leaves_nothing(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE, seal=False)
    life.cut(utterance(1), 2 * PIECE)
    assert life.load(utterance(1)) == b""


def test_of_what_no_file_took_yet_the_end_is_cut_first(tmp_path: Path) -> None:
    with volume(tmp_path / "disk", 1) as disk:
        machine = Machine(disk.path)
        machine.runtime = None
        life = machine.life()
        say(life, 1, 5 * PIECE, seal=False)
        disk.fill()
        life.append(utterance(1), speech(1, 5 * PIECE, 5 * PIECE))
        (path,) = machine.files().values()
        in_file = path.stat().st_size - 1024
        assert in_file < 9 * PIECE
        life.cut(utterance(1), PIECE)
        assert path.stat().st_size == 1024 + in_file
        assert life.load(utterance(1)) == speech(1, 9 * PIECE)
        life.cut(utterance(1), 6 * PIECE)
        assert path.stat().st_size == 1024 + 3 * PIECE
        assert life.load(utterance(1)) == speech(1, 3 * PIECE)
        disk.clear()
        machine.now += 10
        life.append(utterance(1), speech(1, PIECE, 3 * PIECE))
        assert life.seal(ended(1, 4 * PIECE))
        assert (life.load(utterance(1)), life.unwritten_bytes) == (speech(1, 4 * PIECE), 0)
        _, scan = machine.restart()
        assert scan.mismatched == ()
        machine.kill()


def test_a_poisoned_utterance_can_be_set_aside(machine: Machine) -> None:
    life = machine.life()
    say(life, 1, PIECE)
    path = life.quarantine(utterance(1), "three crashes while it was sent")
    assert path is not None
    assert path.parent == machine.state / "quarantine"
    assert path.stat().st_size == 1024 + PIECE
    assert (life.list(), life.nbytes) == ([], 0)
    _, scan = machine.restart()
    assert (scan.found, scan.foreign) == ((), 0)


STORY = """
import os, sys
from pathlib import Path
from tests.store.machine import *
machine = Machine(Path(sys.argv[1]))
life = machine.life(durability=sys.argv[2])
life.scan()
def tell(seq, nbytes): os.write(1, b"%d %d\\n" % (seq, nbytes))
for seq in (1, 2, 3, 4):
    life.begin(started(seq))
    for n in range(4):
        if (seq, n) == (3, 2):
            life.well = False
            life.secure()
        life.append(utterance(seq), speech(seq, PIECE, n * PIECE))
        tell(seq, (n + 1) * PIECE)
    life.seal(ended(seq, 4 * PIECE))
    life.mark_sending(utterance(seq), True)
    life.sync(seq)
    life.make_room()
os.kill(os.getpid(), 9)
"""
CALLS = "write,pwrite64,rename,unlink,ftruncate,fsync,fdatasync,mkdir"


def _traced(machine: Machine, story: str, durability: str, *inject: str) -> tuple[int, list[str]]:
    """Run `story` with these system calls tampered with: how it ended, and what it said."""
    injections = [option for each in inject for option in ("-e", f"inject={each}")]
    done = subprocess.run(
        [
            *("strace", "-f", "-o", "/dev/null", "-e", f"trace={CALLS}", *injections),
            *(sys.executable, "-B", "-c", story, str(machine.state.parent), durability),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, -signal.SIGKILL):
        pytest.skip(f"this machine does not let strace trace: {done.stderr.strip()}")
    return done.returncode, done.stdout.splitlines()


def _killed_at(machine: Machine, durability: str, nth: int) -> bool:
    """Kill the story as it enters its `nth` system call; judge what is left. False: it has none."""
    _, lines = _traced(machine, STORY, durability, f"{CALLS}:signal=KILL:when={nth}")
    told: dict[int, int] = {}  # bytes of each that were appended for sure
    for line in lines:
        seq, nbytes = line.split()
        told[int(seq)] = int(nbytes)
    life, scan = machine.restart(durability=durability)
    held = {info.started.seq: info for info in scan.found}
    assert set(told) <= set(held), f"call {nth}: lost an utterance"
    for number, info in held.items():
        pcm = life.load(info.id)
        assert len(pcm) >= told.get(number, 0), f"call {nth}: lost audio of {number}"
        assert pcm == speech(number, len(pcm)), f"call {nth}: not the audio of {number}"
    assert (scan.mismatched, scan.foreign, scan.problems) == ((), 0, ())
    for aside in scan.damaged:
        assert aside.seq not in told, f"call {nth}: {aside}"
    assert len(machine.files()) == len(held), f"call {nth}: one of them twice"
    machine.kill()
    return len(told) < 4 or told[4] < 4 * PIECE


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_kill_at_any_system_call_loses_nothing_that_was_written(
    tmp_path: Path, durability: str
) -> None:
    for nth in random.Random(3).sample(range(1, 70), 8):
        _killed_at(Machine(tmp_path / str(nth)), durability, nth)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_kill_at_every_system_call_loses_nothing_that_was_written(
    tmp_path: Path, durability: str
) -> None:
    nth = 1
    while _killed_at(Machine(tmp_path / str(nth)), durability, nth):
        nth += 1
    assert nth > 30


TALK = """
import os, sys
from tests.store.machine import *
life = Machine(Path(sys.argv[1])).life(durability=sys.argv[2])
for nbytes in talk_on(life): os.write(1, b"%d\\n" % nbytes)
"""


def _is_all_of(machine: Machine, spoken: int) -> None:
    """Nothing of the speech of `talk_on` is lost, whatever stage it was killed at."""
    life, scan = machine.restart()
    pcm = {info.started.seq: life.load(info.id) for info in scan.found}
    first, second = pcm[1], pcm.get(2, b"")
    assert first == speech(1, len(first))
    assert second == speech(1, len(second), CUT_AT)
    assert max(len(first), CUT_AT + len(second) if second else 0) >= spoken
    assert len(first) >= min(spoken, CUT_AT)
    assert (scan.mismatched, scan.problems) == ((), ())
    assert all((aside.seq, second) == (2, b"") for aside in scan.damaged)  # it had no header yet
    machine.kill()


def test_a_kill_between_any_two_steps_of_a_cut_loses_nothing(tmp_path: Path) -> None:
    steps = len(list(talk_on(Machine(tmp_path / "whole").life())))
    for step in range(1, steps + 1):
        machine = Machine(tmp_path / str(step))
        spoken = list(itertools.islice(talk_on(machine.life()), step))
        _is_all_of(machine, spoken[-1])


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("durability", "call"),
    [
        *(("process", call) for call in ("ftruncate", "pwrite64", "rename")),
        *(("power", call) for call in ("fdatasync", "fsync", "ftruncate", "pwrite64")),
    ],
)
def test_a_kill_within_a_cut_loses_nothing(machine: Machine, durability: str, call: str) -> None:
    code, lines = _traced(machine, TALK, durability, f"{call}:signal=KILL:when=1")
    assert code == -signal.SIGKILL
    assert int(lines[-1]) == SPOKEN
    _is_all_of(machine, SPOKEN)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_kill_at_every_system_call_of_a_cut_loses_nothing(
    tmp_path: Path, durability: str
) -> None:
    for nth in itertools.count(1):
        machine = Machine(tmp_path / str(nth))
        code, lines = _traced(machine, TALK, durability, f"{CALLS}:signal=KILL:when={nth}")
        if lines:
            _is_all_of(machine, int(lines[-1]))
        if code == 0:
            break
    assert nth > 30


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("when", "left"), [("1", CUT_AT), ("1+", SPOKEN)])
def test_a_disk_that_does_not_let_it_be_cut_keeps_it_twice(
    machine: Machine, when: str, left: int
) -> None:
    code, lines = _traced(machine, TALK, "process", f"ftruncate:error=EIO:when={when}")
    assert (code, lines[-1]) == (0, str(SPOKEN + PIECE))
    life, scan = machine.restart()
    assert life.load(utterance(1)) == speech(1, left)
    assert life.load(utterance(2)) == speech(1, SPOKEN + PIECE - CUT_AT, CUT_AT)
    assert scan.found[0].ended == ended(1, CUT_AT)
    assert (scan.torn, scan.mismatched) == ((utterance(2),), ())


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_with_durability_power_the_next_one_is_on_the_disk_before_it_is_cut(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [
            *("strace", "-y", "-o", "/dev/stdout", "-e", "trace=/^(ftruncate|f.*sync)"),
            *(sys.executable, "-B", "-c", TALK, str(tmp_path), "power"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ftruncate" not in done.stdout:
        pytest.skip(f"this machine does not let strace trace: {done.stderr.strip()}")
    told = done.stdout.partition("ftruncate")[0].splitlines()
    synced = [line.split("/")[-1].split(">")[0] for line in told if "sync(" in line]
    assert f"{2:010}-{utterance(2)}.open.wav" in synced
    assert synced[-1] == "audio", "its name too"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_is_deleted_or_named_before_it_is_on_the_disk(tmp_path: Path) -> None:
    story = (
        "import os, sys; from tests.store.machine import *\n"
        "machine = Machine(Path(sys.argv[1])); life = machine.life(); say(life, 1, PIECE)\n"
        "life.secure(); life.well = False; say(life, 2, PIECE)"
    )
    done = subprocess.run(
        [
            *("strace", "-y", "-o", "/dev/stdout", "-e", "trace=/^(rename|unlink|f.*sync)"),
            *(sys.executable, "-B", "-c", story, str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "rename" not in done.stdout:
        pytest.skip(f"this machine does not let strace trace: {done.stderr.strip()}")
    one, two = (f"{seq:010}-{utterance(seq)}" for seq in (1, 2))
    told = done.stdout.replace(f"{tmp_path}/", "").splitlines()
    calls = [re.sub(r"\d+<(.*?)>", r"\1", call.split(")")[0]) for call in told if "audio" in call]
    assert calls == [
        f'rename("run/audio/{one}.open.wav", "run/audio/{one}.sealed.wav"',
        f"fsync(state/audio/{one}.sealed.wav.part",
        f'rename("state/audio/{one}.sealed.wav.part", "state/audio/{one}.sealed.wav"',
        "fsync(state/audio",
        f'unlink("run/audio/{one}.sealed.wav"',
        f"fdatasync(state/audio/{two}.open.wav",
        f'rename("state/audio/{two}.open.wav", "state/audio/{two}.sealed.wav"',
        "fsync(state/audio",
    ]


def test_a_kill_in_the_middle_of_speech_keeps_all_but_the_piece_being_written(
    tmp_path: Path,
) -> None:
    story = (
        "import os, sys; from pathlib import Path; from tests.store.machine import *\n"
        "life = Machine(Path(sys.argv[1])).life(); life.begin(started(1)); n = 0\n"
        "while True:\n"
        " life.append(utterance(1), speech(1, 320, n * 320)); n += 1; os.write(1, b'%d\\n' % n)"
    )
    command = [sys.executable, "-c", story, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(200)]
        process.kill()
        told += process.stdout.readlines()
    count = max(int(line) for line in told if line.endswith(b"\n"))
    machine = Machine(tmp_path)
    life, scan = machine.restart()
    pcm = life.load(utterance(1))
    machine.kill()
    assert scan.torn == (utterance(1),)
    assert count <= len(pcm) / 320 <= count + 1
    assert pcm == speech(1, len(pcm))


def test_closing_twice_is_harmless(machine: Machine) -> None:
    life: Utterances = machine.life()
    say(life, 1, PIECE, seal=False)
    life.close()
    life.close()
    assert len(machine.files()) == 1
