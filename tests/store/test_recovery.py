"""Whatever an earlier run left, the next one starts, and every utterance has its end."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scribed.errors import StateInUse
from scribed.model import Closed, EarlierBoot, EndReason, Outcome, Recovered, SeqReserved
from scribed.store.ledger import Waiting
from scribed.store.sequence import ABOVE_ALL, BLOCK, Sequence
from tests.store.house import House, Life
from tests.store.machine import PIECE, ended, say, started, utterance
from tests.store.talk import closed, final
from tests.store.volumes import Volume, volume


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.kill()


@contextlib.contextmanager
def small_house(directory: Path) -> Iterator[tuple[Volume, House]]:
    """A house whose state directory is a disk of 16 MiB."""
    with volume(directory / "volume", 16) as disk:
        house = House(directory, disk.path)
        try:
            yield disk, house
        finally:
            house.kill()


def recovered(life: Life) -> list[int]:
    return [each.started.seq for each in life.recovery.recovered]


def test_a_first_start_finds_nothing_and_says_nothing(house: House) -> None:
    found = house.life().recovery
    assert (found.next_seq, found.reserved, found.skipped) == (1, SeqReserved(1 + BLOCK), 0)
    assert (found.recovered, tuple(found.unpublished), found.notes) == ((), (), ())
    assert (found.heard_until, found.trouble, dict(found.facts)) == (None, None, {})


def test_utterances_without_an_answer_come_back_oldest_first(house: House) -> None:
    life = house.life()
    life.utterances.well = False
    say(life.utterances, 2, 3 * PIECE)
    life.utterances.well = True
    say(life.utterances, 1, PIECE)
    say(life.utterances, 3, 2 * PIECE, seal=False)
    first, second, third = house.life().recovery.recovered
    assert first == Recovered(started(1), ended(1, PIECE), PIECE)
    assert second == Recovered(started(2), ended(2, 3 * PIECE), 3 * PIECE)
    assert (third.started, third.nbytes) == (started(3), 2 * PIECE)
    assert third.ended.reason is EndReason.RESTART


def test_a_file_whose_text_is_in_the_ledger_is_deleted(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    say(life.utterances, 2, PIECE)
    life.ledger.settle([final(1)])
    life = house.life()
    assert recovered(life) == [2]
    assert tuple(life.recovery.unpublished) == (final(1),)
    assert [info.started.seq for info in life.utterances.list()] == [2]


def test_what_the_broker_has_is_not_delivered_a_second_time(house: House) -> None:
    life = house.life()
    say(life.utterances, 2, PIECE)  # its text went out before the ledger had it
    life.ledger.settle([final(1), final(3)])
    life.acked.add(1)
    life.acked.add(2)
    life = house.life()
    assert tuple(life.recovery.unpublished) == (final(3),)
    assert recovered(life) == []
    assert life.acked.before == {1, 2}
    assert house.life().acked.before == frozenset()


def test_a_file_that_vanished_has_its_end(house: House) -> None:
    life = house.life()
    life.ledger.commit(waiting=[Waiting(started(1), ended(1, PIECE)), Waiting(started(2))])
    found = house.life().recovery
    ends = (
        Closed(started(1), ended(1, PIECE), Outcome.FAILED),
        Closed(started(2), None, Outcome.FAILED),
    )
    assert tuple(found.unpublished) == ends
    assert len(found.notes) == 2
    assert found.unsettled == ()
    again = house.life().recovery  # once
    assert tuple(again.unpublished) == ends
    assert again.notes == ()


def test_what_the_broker_has_is_not_missed(house: House) -> None:
    life = house.life()
    life.ledger.commit(waiting=[Waiting(started(1), ended(1, PIECE))])
    life.acked.add(1)  # and its file is gone
    found = house.life().recovery
    assert (tuple(found.unpublished), found.notes) == ((), ())
    assert house.life().ledger.waiting() == []
    assert tuple(house.life().recovery.unpublished) == ()


def test_what_the_broker_has_is_not_missed_where_the_ledger_takes_no_word(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        life = house.life()
        life.ledger.commit(waiting=[Waiting(started(1), ended(1, PIECE))], items=[final(2)])
        life.acked.add(1)
        life.acked.add(2)
        house.kill()
        (disk.path / "ballast").unlink()
        disk.fill()
        found = house.life().recovery
        assert found.trouble is not None
        assert tuple(found.unpublished) == ()
        house.kill()
        disk.clear()
        found = house.life().recovery
        assert (tuple(found.unpublished), found.trouble) == ((), None)


def test_a_damaged_file_has_its_end_and_is_kept_aside(house: House) -> None:
    life = house.life()
    life.utterances.well = False
    say(life.utterances, 1, PIECE)
    say(life.utterances, 2, PIECE)
    info = life.utterances.get(utterance(1))
    assert info is not None
    house.kill()
    info.path.write_bytes(b"nonsense" * 1000)
    life = house.life()
    (end,) = life.recovery.unpublished
    assert isinstance(end, Closed)
    assert (end.started.id, end.started.seq) == (utterance(1), 1)
    assert (end.outcome, end.ended) == (Outcome.QUARANTINED, None)
    assert recovered(life) == [2]
    assert life.recovery.quarantined == 1
    assert [path.read_bytes()[:8] for path in (house.state / "quarantine").iterdir()] == [
        b"nonsense"
    ]


def test_a_file_with_a_number_that_was_never_given_takes_none_away(house: House) -> None:
    life = house.life()
    house.kill()
    audio = house.state / "audio"
    (audio / f"0000000500-{utterance(500)}.sealed.wav").write_bytes(b"nonsense")
    life = house.life()
    assert tuple(life.recovery.unpublished) == ()
    assert life.recovery.next_seq < 500
    assert life.ledger.settle([final(500)])


def test_an_utterance_with_which_the_daemon_crashed_three_times_is_set_aside(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    say(life.utterances, 2, PIECE)
    for _ in range(2):
        life.utterances.mark_sending(utterance(1), sending=True)
        life = house.life()
        assert recovered(life) == [1, 2]
        assert not any(info.sending for info in life.utterances.list())
    life.utterances.mark_sending(utterance(1), sending=True)
    life = house.life()
    assert recovered(life) == [2]
    (end,) = life.recovery.unpublished
    assert end == Closed(started(1), ended(1, PIECE), Outcome.QUARANTINED)
    assert len(list((house.state / "quarantine").iterdir())) == 1


def test_an_utterance_that_had_its_answer_once_is_never_set_aside_for_a_crash(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    life.utterances.mark_answered(utterance(1))  # and it may have been published
    for _ in range(5):
        life.utterances.mark_sending(utterance(1), sending=True)
        life = house.life()
        assert recovered(life) == [1]
    assert tuple(life.recovery.unpublished) == ()


def test_nor_is_one_whose_text_was_on_its_way_to_the_broker(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    for n in range(5):
        life.utterances.mark_sending(utterance(1), sending=True)
        if n == 0:
            life.acked.offer(1)  # the store was to mark it next
        life = house.life()
        assert recovered(life) == [1]
    assert tuple(life.recovery.unpublished) == ()
    assert life.acked.before == frozenset()


def test_a_clean_end_while_it_is_sent_is_not_held_against_it(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    for _ in range(4):
        life.utterances.mark_sending(utterance(1), sending=True)
        life.ledger.set_fact("clean", "1")
        life = house.life()
        assert life.recovery.clean
        assert recovered(life) == [1]
    life.utterances.mark_sending(utterance(1), sending=True)
    assert not house.life().recovery.clean


# Numbers


def test_after_a_kill_the_reserved_numbers_are_skipped(house: House) -> None:
    house.life()
    found = house.life().recovery
    assert (found.next_seq, found.skipped) == (1 + BLOCK, BLOCK)
    assert found.reserved == SeqReserved(1 + 2 * BLOCK)


@pytest.mark.parametrize("damage", ["nonsense", "gone"])
def test_the_ledger_knows_the_numbers_where_their_file_is_damaged(
    house: House, damage: str
) -> None:
    house.life().ledger.note_reserved(700)
    house.kill()
    if damage == "gone":
        (house.state / "seq").unlink()
    else:
        (house.state / "seq").write_bytes(b"nonsense")
    found = house.life().recovery
    assert (found.next_seq, found.skipped) == (700 + BLOCK, 0)


def test_where_both_are_damaged_numbering_goes_on_far_above(house: House) -> None:
    life = house.life()
    life.ledger.settle([final(3)])
    house.kill()
    for name in ("seq", "ledger.db"):
        (house.state / name).write_bytes(b"nonsense" * 100)
    found = house.life().recovery
    assert found.next_seq >= ABOVE_ALL
    assert len(found.notes) == 1
    assert "ledger.damaged" in found.notes[0]


def test_the_file_of_an_utterance_is_proof_of_its_number(house: House) -> None:
    life = house.life()
    say(life.utterances, 300, PIECE)  # the disk took no reservation
    found = house.life().recovery
    assert found.next_seq == 301
    assert found.skipped == 300


# The gap


def test_it_is_known_until_when_a_killed_daemon_heard(house: House) -> None:
    house.life().last_frame.mark(1234.5)
    house.now = 1240.0
    found = house.life().recovery
    assert (found.heard_until, found.exact, found.clean) == (1234.5, True, False)


def test_after_a_reboot_it_is_known_from_the_ledger(house: House) -> None:
    facts = {"clean": "1", "last_frame": f"{house.boot.id} 990.25"}
    house.life().ledger.commit(facts=facts)
    house.kill()
    house.reboot(off_s=60.0)
    found = house.life().recovery
    assert found.heard_until is not None
    assert house.now - found.heard_until == pytest.approx(1000.0 - 990.25 + 60.0)
    assert found.exact
    assert house.life().recovery.heard_until is None  # it is of the run before the last


def test_a_clock_that_was_never_set_makes_no_exact_gap(house: House) -> None:
    house.life().ledger.commit(facts={"last_frame": f"{house.boot.id} 990.25"})
    house.kill()
    house.reboot()
    house.boot = replace(house.boot, clock_synced=False)
    assert not house.life().recovery.exact


def test_what_nobody_can_have_heard_yet_is_not_believed(house: House) -> None:
    for text in (f"{house.boot.id} 5000.0", f"{house.boot.id} nan", "x", f"{house.boot.id} "):
        house.life().ledger.commit(facts={"last_frame": text})
        assert house.life().recovery.heard_until is None


# Another boot


def test_what_was_spoken_before_a_reboot_says_so(house: House) -> None:
    life = house.life()
    life.utterances.well = False
    say(life.utterances, 1, PIECE)
    life.ledger.settle([final(2)])
    before = house.boot
    house.kill()
    house.reboot()
    found = house.life().recovery
    assert found.recovered[0].started.boot == before
    assert next(iter(found.unpublished)).started.boot == before


def test_the_ledger_knows_better_when_that_was(house: House) -> None:
    house.boot = replace(house.boot, unix_offset=5.0, clock_synced=False)
    life = house.life()
    life.utterances.well = False
    say(life.utterances, 1, PIECE)
    house.boot = replace(house.boot, unix_offset=1_790_000_000.0, clock_synced=True)
    life.ledger.settle([closed(9)])  # after the clock was set
    before = house.boot
    house.kill()
    house.reboot()
    assert house.life().recovery.recovered[0].started.boot == before


def test_facts_come_back(house: House) -> None:
    house.life().ledger.set_fact("mute", '["local"]')
    assert house.life().recovery.facts == {"mute": '["local"]'}


@pytest.mark.parametrize("gone", ["ledger", "file"])
def test_a_mute_survives_the_loss_of_one_of_its_two_homes(house: House, gone: str) -> None:
    house.life().ledger.set_fact("mute", '["mqtt"]')
    assert house.life().recovery.facts == {"mute": '["mqtt"]'}  # as an older version left it
    house.kill()
    assert (house.state / "muted").read_text() == '["mqtt"]'
    assert (house.state / "muted").stat().st_mode & 0o777 == 0o600
    if gone == "file":
        (house.state / "muted").unlink()
    else:
        (house.state / "ledger.db").write_bytes(bytes(50_000))
    for _ in range(2):
        life = house.life()
        assert life.recovery.facts == {"mute": '["mqtt"]'}
        assert life.ledger.fact("mute") == '["mqtt"]'
    assert (house.state / "muted").exists()


def test_a_mute_stays_where_either_says_so(house: House) -> None:
    house.life().ledger.set_fact("mute", '["mqtt"]')
    house.kill()
    (house.state / "muted").write_text('["local"]')
    assert house.life().recovery.facts == {"mute": '["local","mqtt"]'}
    house.life().ledger.set_fact("mute", "[]")
    house.kill()
    (house.state / "muted").write_bytes(bytes(9))  # damaged, but there
    assert house.life().recovery.facts == {"mute": '["local"]'}
    assert (house.state / "muted").read_text() == '["local"]'


def test_an_open_microphone_has_no_file(house: House) -> None:
    house.life().ledger.set_fact("mute", "[]")
    assert house.life().recovery.facts == {"mute": "[]"}
    assert not (house.state / "muted").exists()


# A store that does not do


def test_a_damaged_ledger_costs_no_utterance_that_is_in_a_file(house: House) -> None:
    life = house.life()
    say(life.utterances, 1, PIECE)
    life.utterances.well = False
    say(life.utterances, 2, PIECE)
    house.kill()
    (house.state / "ledger.db").write_bytes(bytes(50_000))
    life = house.life()
    assert recovered(life) == [1, 2]
    assert life.recovery.trouble is None


def test_a_later_ledger_is_left_alone_and_said(house: House) -> None:
    house.life()
    house.kill()
    content = bytearray((house.state / "ledger.db").read_bytes())
    content[60:64] = (7).to_bytes(4, "big")
    (house.state / "ledger.db").write_bytes(content)
    found = house.life().recovery
    assert "later version" in found.notes[0]
    assert (house.state / "ledger.db").read_bytes() == content


def test_on_a_full_disk_it_starts_and_says_so(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        life = house.life()
        life.ledger.settle([final(1)])
        say(life.utterances, 2, PIECE)
        house.kill()
        disk.fill()
        life = house.life()  # by the ballast
        assert recovered(life) == [2]
        assert (tuple(life.recovery.unpublished), life.recovery.trouble) == ((final(1),), None)
        house.kill()
        (disk.path / "ballast").unlink(missing_ok=True)
        disk.fill()
        life = house.life()
        assert recovered(life) == [2]
        found = life.recovery
        assert found.trouble is not None
        assert found.trouble.endswith("No space left on device")
        assert tuple(found.unpublished) == (final(1),)
        assert found.reserved == SeqReserved(found.next_seq + BLOCK)


def test_a_first_start_on_a_full_disk(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        disk.fill()
        found = house.life().recovery
        assert found.trouble is not None
        assert found.next_seq == 1


@pytest.mark.parametrize("before", ["a life", "nothing"])
def test_on_a_disk_that_may_only_be_read_it_starts_and_says_so(tmp_path: Path, before: str) -> None:
    with small_house(tmp_path) as (disk, house):
        if before == "a life":
            house.life().ledger.set_fact("mute", '["local"]')
            house.life()  # which gives it its second home
            house.kill()
        disk.read_only(True)
        life = house.life()
        assert life.recovery.trouble is not None
        assert life.recovery.trouble.endswith("Read-only file system")
        assert ("mute" in life.recovery.facts) == (before == "a life")
        say(life.utterances, 200, PIECE)
        assert [info.durable for info in life.utterances.list()] == [False]
        house.kill()
        disk.read_only(False)
        life = house.life()
        assert recovered(life) == [200]
        assert life.recovery.trouble is None


def test_where_no_file_can_be_made_it_starts_and_locks_later(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        disk.inodes(1)
        life = house.life()
        trouble = life.recovery.trouble
        assert trouble is not None
        assert trouble.endswith("No space left on device")
        disk.inodes(0)
        life.sequence.reserve(5)
        assert life.sequence.trouble is None
        with pytest.raises(StateInUse):
            Sequence(house.state)


def test_a_lock_that_may_only_be_read_is_a_lock(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        house.life()
        house.kill()
        disk.read_only(True)
        first = Sequence(disk.path)
        assert first.trouble is None
        with pytest.raises(StateInUse):
            Sequence(disk.path)
        first.close()


def test_an_old_boot_that_nobody_remembers_is_no_obstacle(house: House) -> None:
    life = house.life()
    life.last_frame.mark(1234.5)
    life.utterances.well = False
    say(life.utterances, 1, PIECE)
    house.kill()
    (house.state / "ledger.db").unlink()
    shutil.rmtree(house.runtime / "audio")
    house.boot = EarlierBoot("another", 0.0, None)
    house.now = 9999.0
    life = house.life()
    assert recovered(life) == [1]
    assert life.recovery.heard_until is None
