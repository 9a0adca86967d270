"""Whatever lies in the audio directories, a start takes over what is good and leaves the rest."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.model import EndReason
from scribed.store.quarantine import MAX_AGE_S, MAX_BYTES
from scribed.store.wav import HEADER_BYTES
from tests.store.machine import PIECE, Machine, ended, say, speech, utterance
from tests.store.volumes import volume


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.kill()


def one_sealed(machine: Machine, nbytes: int = PIECE) -> Path:
    """The file of utterance 1, which is sealed, in the runtime directory."""
    life = machine.life()
    say(life, 1, nbytes)
    machine.kill()
    return life.list()[0].path


def one_open(machine: Machine, nbytes: int = PIECE) -> Path:
    """The file of utterance 1, which is open, in the runtime directory."""
    life = machine.life()
    say(life, 1, nbytes, seal=False)
    machine.kill()
    return life.list()[0].path


def test_without_directories_there_is_nothing(machine: Machine) -> None:
    life = machine.life()
    shutil.rmtree(machine.state)
    scan = life.scan()
    assert (scan.found, scan.problems) == ((), ())
    life.well = False
    say(life, 1, PIECE)


@pytest.mark.parametrize("length", ["whole", "half", "header", "half a header", "nothing"])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_kill_in_the_middle_of_securing_neither_loses_nor_doubles(
    machine: Machine, length: str, sealed: bool
) -> None:
    original = one_sealed(machine) if sealed else one_open(machine)
    copy = machine.state / "audio" / (original.name + ("" if length == "whole" else ".part"))
    size = {"whole": HEADER_BYTES + PIECE, "half": 2000, "header": 1024, "half a header": 512}
    copy.write_bytes(original.read_bytes()[: size.get(length, 0)])
    life, scan = machine.restart()
    assert [info.nbytes for info in scan.found] == [PIECE]
    assert (scan.damaged, scan.mismatched, scan.foreign) == ((), (), 0)
    assert life.load(utterance(1)) == speech(1, PIECE)
    assert list(machine.files()) == [f"0000000001-{utterance(1)}.sealed.wav"]


@pytest.mark.parametrize("sealed", [True, False])
def test_what_was_copied_before_a_power_cut_is_used(machine: Machine, sealed: bool) -> None:
    original = one_sealed(machine) if sealed else one_open(machine)
    copy = machine.state / "audio" / (original.name + ".part")
    copy.write_bytes(original.read_bytes()[:2000])
    original.unlink()
    life, scan = machine.restart()
    assert life.load(utterance(1)) == speech(1, 976)
    (info,) = scan.found
    assert info.ended is not None
    if sealed:
        assert scan.mismatched == (utterance(1),)
        assert info.ended.reason is EndReason.COMMIT
        assert info.ended.audio_ms + info.ended.lost_ms == 100
        assert info.ended.audio_ms == 30
    else:
        assert info.ended.reason is EndReason.RESTART
        assert info.ended.audio_ms == 30


@pytest.mark.parametrize("place", ["state", "run"])
def test_of_two_files_of_one_utterance_the_longer_stays(machine: Machine, place: str) -> None:
    short = one_sealed(machine, PIECE).read_bytes()
    for path in machine.files().values():
        path.unlink()
    long = one_open(machine, 3 * PIECE)
    sealed = machine.state.parent / place / "audio" / long.name.replace("open", "sealed")
    sealed.write_bytes(short)
    shutil.copy(long, machine.state / "audio" / (long.name + ".part"))
    life, scan = machine.restart()
    assert [info.nbytes for info in scan.found] == [3 * PIECE]
    assert life.load(utterance(1)) == speech(1, 3 * PIECE)
    assert len(machine.files()) == 1


def test_an_utterance_killed_between_its_seal_and_its_name_is_sealed(machine: Machine) -> None:
    path = one_sealed(machine)
    path.rename(path.with_name(path.name.replace("sealed", "open")))
    _, scan = machine.restart()
    assert scan.found[0].ended == ended(1, PIECE)
    assert (scan.torn, scan.found[0].path) == ((), path)


def test_audio_that_is_not_what_was_sealed_is_sent_all_the_same(machine: Machine) -> None:
    path = one_sealed(machine)
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    life, scan = machine.restart()
    assert scan.mismatched == (utterance(1),)
    assert life.mismatches == 1
    assert life.load(utterance(1)) == content[HEADER_BYTES:]
    assert life.mismatches == 1


def test_a_seal_that_is_damaged_loses_no_audio(machine: Machine) -> None:
    path = one_sealed(machine)
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    life, scan = machine.restart()
    assert scan.torn == (utterance(1),)
    assert life.load(utterance(1)) == speech(1, PIECE)


def test_a_damaged_file_is_set_aside_and_named(machine: Machine) -> None:
    path = one_sealed(machine)
    path.write_bytes(b"\0" * 5000)
    _, scan = machine.restart()
    (aside,) = scan.damaged
    assert (aside.id, aside.seq) == (utterance(1), 1)
    assert aside.path == machine.state / "quarantine" / path.name
    assert aside.path.read_bytes() == b"\0" * 5000
    assert "checksum" in aside.why
    assert (scan.found, machine.files()) == ((), {})
    _, scan = machine.restart()
    assert scan.damaged == ()


def test_the_quarantine_holds_16_mib_and_the_oldest_go_first(machine: Machine) -> None:
    for seq in range(1, 8):
        machine.life()
        directory = machine.state / "audio"
        (directory / f"{seq:010}-{utterance(seq)}.sealed.wav").write_bytes(bytes(3 << 20))
        _, scan = machine.restart()
        machine.now += 60
    held = sorted((machine.state / "quarantine").iterdir())
    assert sum(path.stat().st_size for path in held) <= MAX_BYTES
    assert [int(path.name[:10]) for path in held] == [3, 4, 5, 6, 7]
    giant = machine.state / "audio" / f"{9:010}-{utterance(9)}.open.wav"
    with giant.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    _, scan = machine.restart()
    assert [aside.path for aside in scan.damaged] == [None]
    assert sorted((machine.state / "quarantine").iterdir()) == held


def test_the_quarantine_holds_a_day(machine: Machine) -> None:
    one_sealed(machine).write_bytes(b"")
    life, scan = machine.restart()
    path = scan.damaged[0].path
    assert path is not None
    foreign = path.with_name("notes.txt")
    foreign.write_text("mine")
    machine.now += MAX_AGE_S - 1
    life.make_room()
    assert path.exists()
    machine.now += 61
    life.make_room()
    assert not path.exists()
    assert foreign.exists()


def test_what_was_set_aside_before_the_clock_was_set_stays_its_day(machine: Machine) -> None:
    machine.unix_offset = 0.0
    one_sealed(machine).write_bytes(b"")
    life, scan = machine.restart()
    path = scan.damaged[0].path
    assert path is not None
    machine.unix_offset = 1_790_000_000.0
    machine.now += 61
    life.make_room()
    assert path.exists()
    machine.now += MAX_AGE_S + 61
    life.make_room()
    assert not path.exists()


def test_foreign_files_are_left_alone_and_counted(machine: Machine, tmp_path: Path) -> None:
    path = one_sealed(machine)
    audio = path.parent
    victim = tmp_path / "victim"
    victim.write_bytes(path.read_bytes())
    (audio / "song.wav").write_bytes(b"la")
    (audio / "folder").mkdir()
    (audio / f"0000000002-{utterance(2)}.sealed.wav").symlink_to(victim)
    (audio / f"0000000003-{utterance(3)}.sealed.wav").mkdir()
    os.mkfifo(audio / f"0000000004-{utterance(4)}.open.wav")
    shutil.copy(path, audio / f"0000000005-{utterance(5)}.sealed.wav")
    before = sorted(audio.iterdir())
    life, scan = machine.restart()
    assert [info.started.seq for info in scan.found] == [1]
    assert scan.foreign == 6
    assert any("another utterance" in words for words in scan.problems)
    assert sorted(audio.iterdir()) == before
    life.discard(utterance(1))
    assert victim.exists()


def test_a_file_of_a_later_version_is_left_alone(machine: Machine) -> None:
    path = one_sealed(machine)
    content = bytearray(path.read_bytes())
    text = bytes(content[44:503]).replace(b'"v":1', b'"v":2')
    content[44:512] = text + b"%08x\n" % zlib.crc32(text)
    path.write_bytes(content)
    _, scan = machine.restart()
    assert (scan.found, scan.damaged, scan.foreign) == ((), (), 1)
    assert "later version" in scan.problems[0]
    assert path.read_bytes() == content


def test_a_directory_that_is_none_is_said(machine: Machine) -> None:
    machine.state.mkdir()
    (machine.state / "audio").write_text("not a directory")
    life, scan = machine.restart()
    assert "cannot be read" in scan.problems[0]
    assert life.trouble is not None
    life.well = False
    say(life, 1, PIECE)
    assert life.load(utterance(1)) == speech(1, PIECE)


def test_on_a_read_only_disk_all_is_found_again_each_time(tmp_path: Path) -> None:
    with volume(tmp_path / "disk", 8) as disk:
        machine = Machine(tmp_path)
        machine.state = disk.path / "state"
        life = machine.life()
        life.well = False
        say(life, 1, PIECE)
        say(life, 2, PIECE + 1, seal=False)
        damaged = machine.state / "audio" / f"{3:010}-{utterance(3)}.sealed.wav"
        damaged.write_bytes(b"junk")
        machine.kill()
        disk.read_only(True)
        for _ in range(2):
            life, scan = machine.restart()
            assert [info.nbytes for info in scan.found] == [PIECE, PIECE]
            assert all(info.ended is not None for info in scan.found)
            assert [aside.path for aside in scan.damaged] == [damaged]
            assert life.load(utterance(2)) == speech(2, PIECE)
        machine.kill()


def test_a_small_file_cut_anywhere_stops_no_start(machine: Machine) -> None:
    for whole in (one_sealed(machine, 64).read_bytes(), one_open(machine, 64).read_bytes()):
        for length in range(len(whole) + 1):
            for path in machine.files().values():
                path.unlink()
            name = f"0000000001-{utterance(1)}.sealed.wav"
            (machine.state / "audio" / name).write_bytes(whole[:length])
            life, scan = machine.restart()
            if length < HEADER_BYTES:
                assert len(scan.damaged) == 1
            else:
                pcm = speech(1, (length - HEADER_BYTES) // 2 * 2)
                assert life.load(utterance(1)) == pcm


@settings(deadline=None, max_examples=100)
@given(
    flips=st.lists(st.integers(0, 8 * (HEADER_BYTES + PIECE) - 1), min_size=1, max_size=20),
    zeros=st.none() | st.integers(0, HEADER_BYTES + PIECE),
    sealed=st.booleans(),
)
def test_no_damage_to_one_file_stops_a_start_or_costs_another(
    flips: list[int], zeros: int | None, sealed: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(Path(directory))
        life = machine.life()
        say(life, 1, PIECE, seal=sealed)
        say(life, 2, PIECE)
        path = life.list()[0].path
        machine.kill()
        content = bytearray(path.read_bytes())
        for bit in flips:
            content[bit // 8] ^= 1 << bit % 8
        if zeros is not None:
            content[zeros : zeros + 512] = bytes(len(content[zeros : zeros + 512]))
        path.write_bytes(content)
        life, scan = machine.restart()
        assert len(scan.found) + len(scan.damaged) == 2
        assert life.load(utterance(2)) == speech(2, PIECE)
        if len(scan.found) == 2:
            assert life.load(utterance(1)) == content[HEADER_BYTES:]
        machine.kill()
