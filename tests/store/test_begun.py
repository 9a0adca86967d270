"""An utterance that was told and is in no file has its end after a kill, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.model import Closed, Outcome, UtteranceId
from scribed.store.begun import SIZE, SLOTS, Begun
from tests.store.house import House
from tests.store.machine import PIECE, started, utterance
from tests.store.talk import final

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "begun"


def left(path: Path) -> list[int]:
    """What the next life finds, by seq."""
    begun = Begun(path)
    begun.close()
    assert all(id_ == utterance(seq) for id_, seq in begun.before)
    return [seq for _, seq in begun.before]


def lived(path: Path, *seqs: int, kept: tuple[int, ...] = ()) -> None:
    """A life that notes `seqs`, and of which `kept` came into files."""
    begun = Begun(path)
    for seq in seqs:
        begun.note(started(seq))
    for seq in kept:
        begun.keep(seq)
    begun.close()


# In memory


def test_what_began_is_left_until_it_is_kept(path: Path) -> None:
    assert left(path) == []
    assert path.stat().st_mode & 0o777 == 0o600
    lived(path, 1, 2, 3, kept=(1, 3))
    assert left(path) == [2]
    lived(path, 4)
    assert left(path) == [2, 4]


def test_of_many_the_last_are_left(path: Path) -> None:
    lived(path, *range(1, 31), kept=(5, 29))
    assert left(path) == [*range(31 - SLOTS, 29), 30]


def test_a_kill_leaves_it(path: Path) -> None:
    life = (
        "import os, signal; from pathlib import Path; from scribed.store.begun import Begun\n"
        "from tests.store.machine import started\n"
        f"begun = Begun(Path({str(path)!r}))\n"
        "begun.note(started(7)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", life], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert left(path) == [7]


@pytest.mark.parametrize("torn", range(0, 38, 5))
def test_what_was_torn_is_nothing(path: Path, torn: int) -> None:
    lived(path, SLOTS)
    content = bytearray(path.read_bytes())
    content[torn] ^= 0x55
    path.write_bytes(content)
    assert left(path) == []


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(SIZE), bytes(SIZE + 1), b"\xff" * SIZE])
def test_whatever_the_file_holds_it_can_be_used(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert left(path) == []
    lived(path, 3)
    assert left(path) == [3]


def test_without_a_file_nothing_is_left(tmp_path: Path) -> None:
    for unusable in (None, tmp_path):
        begun = Begun(unusable)
        begun.note(started(1))
        begun.keep(1)
        begun.close()
        begun.note(started(2))
        assert begun.before == ()


def test_an_id_that_is_none_of_ours_is_not_noted(path: Path) -> None:
    begun = Begun(path)
    begun.note(started(1).__class__(UtteranceId("short"), 1, 0.0))
    begun.close()
    assert left(path) == []


# At the next start


def found(house: House) -> list[tuple[int, Outcome]]:
    """What the next life publishes."""
    ends = list(house.life().recovery.unpublished)
    assert all(isinstance(end, Closed) for end in ends)
    return [(end.started.seq, end.outcome) for end in ends if isinstance(end, Closed)]


def test_what_is_in_no_file_has_its_end_published_once(house: House) -> None:
    life = house.life()
    life.begun.note(started(1))
    house.kill()
    life = house.life()
    (end,) = life.recovery.unpublished
    assert isinstance(end, Closed)
    assert (end.started.id, end.started.seq) == (utterance(1), 1)
    assert end.outcome is Outcome.FAILED
    assert life.recovery.notes == ("utterance 1 has failed: it had just begun",)
    life.acked.add(1)
    house.kill()
    assert found(house) == []
    house.now += 100_000.0
    house.life().ledger.forget(house.now)
    assert found(house) == []  # though nothing knows of it any more


def test_a_kill_before_it_is_published_does_not_double_it(house: House) -> None:
    house.life().begun.note(started(1))
    for _ in range(3):
        house.kill()
        assert found(house) == [(1, Outcome.FAILED)]


def test_what_is_in_a_file_or_has_its_text_or_end_is_left_alone(house: House) -> None:
    life = house.life()
    for seq in (1, 2, 3):
        life.begun.note(started(seq))
    life.utterances.begin(started(1))  # killed before it said so
    life.utterances.append(utterance(1), bytes(PIECE))
    life.ledger.settle([final(2)])
    life.acked.add(3)
    house.kill()
    recovery = house.life().recovery
    assert [each.started.seq for each in recovery.recovered] == [1]
    assert [each.started.seq for each in recovery.unpublished] == [2]


def test_where_files_cannot_be_read_it_waits(house: House) -> None:
    life = house.life()
    life.begun.note(started(1))
    house.kill()
    audio = house.state / "audio"
    audio.rmdir()
    audio.write_text("no directory")
    assert found(house) == []
    audio.unlink()
    house.kill()
    assert found(house) == [(1, Outcome.FAILED)]


def test_the_store_keeps_what_it_has_a_file_for(house: House) -> None:
    life = house.life()
    life.start()
    for seq in (1, 2):
        life.begun.note(started(seq))
    life.post(started(1))
    life.stop()
    assert found(house) == [(2, Outcome.FAILED)]


def test_what_is_answered_without_a_file_is_kept_too(house: House) -> None:
    life = house.life()
    life.start()
    life.begun.note(started(1))
    life.post(final(1))
    life.stop()
    house.life().ledger.commit(delivered=[1], now=house.now)
    house.now += 100_000.0
    house.life().ledger.forget(house.now)
    assert found(house) == []
