"""The store thread: nothing is deleted before it is safe, and whatever the disk does it goes on."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Command,
    CommandError,
    Delivered,
    Gone,
    Kept,
    LinkWell,
    Load,
    Loaded,
    Outcome,
    Recovered,
    Reply,
    Restated,
    SeqReserved,
    UtteranceAudio,
)
from scribed.store.ledger import Ledger, Waiting
from scribed.store.pending import GROUP, LAZY_S, SPARE
from scribed.store.sequence import BLOCK
from scribed.store.worker import Close, Remember, Reserve, Store
from scribed.worker import Finished, Mailbox, Stop
from tests.store.house import SOON, House, Life
from tests.store.machine import PIECE, ended, speech, started, utterance
from tests.store.talk import closed, final, numbers
from tests.store.volumes import Volume, volume

T = TypeVar("T")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    end(house)


def end(house: House) -> None:
    """Stop what still runs."""
    for life in list(house.lives):
        if hasattr(life, "store"):
            life.stop()
    house.kill()


@contextlib.contextmanager
def small_house(directory: Path, kind: str = "tmpfs") -> Iterator[tuple[Volume, House]]:
    with volume(directory / "volume", 16, kind) as disk:
        house = House(directory, disk.path)
        try:
            yield disk, house
        finally:
            end(house)


def begun(house: House, **config: Any) -> Life:
    life = house.life(**config)
    life.start()
    return life


def speak(life: Life, seq: int, nbytes: int = PIECE, *, seal: bool = True) -> None:
    """As capture posts an utterance."""
    life.post(started(seq), UtteranceAudio(utterance(seq), speech(seq, nbytes)))
    if seal:
        life.post(ended(seq, nbytes))


def eventually(look: Callable[[], T]) -> T:
    """What `look()` says as soon as it is true."""
    deadline = time.monotonic() + SOON
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
    return found


def ask(life: Life, name: str, **args: Any) -> Reply:
    """A command, and its reply; what was posted before it is done then."""
    life.post(Command(name, args, local=True, answer=life.asker, token=name))
    reply = life.asker.get(SOON)
    assert isinstance(reply, Reply)
    assert reply.token == name
    return reply


def files(house: House) -> list[str]:
    """All audio files: where they are, and their state."""
    found = [(path.name, "run") for path in (house.runtime / "audio").iterdir()]
    found += [(path.name, "state") for path in (house.state / "audio").iterdir()]
    return [f"{int(name[:10])} {name.split('.')[1]} {where}" for name, where in sorted(found)]


# Numbers


def test_capture_gets_the_numbers_it_asked_for_and_they_are_safe(house: House) -> None:
    life = begun(house)
    life.post(Reserve(50))
    assert life.capture.get(SOON) == SeqReserved(50 + BLOCK)
    assert (house.state / "seq").read_text() == f"{50 + BLOCK} 50 dirty\n"
    life.stop()
    (house.state / "seq").unlink()
    assert house.life().recovery.next_seq == 50 + 2 * BLOCK


def test_numbers_that_the_disk_did_not_take_are_tried_again_by_themselves(house: House) -> None:
    life = begun(house)
    (house.state / "seq.new").symlink_to("/dev/full")
    (house.state / "ballast").unlink()
    life.post(Reserve(50))
    assert life.capture.get(SOON) == SeqReserved(50 + BLOCK)
    alert = life.supervisor.get(SOON)
    assert isinstance(alert, Alert)
    assert alert.code == "disk_error"
    assert alert.message == "the state directory cannot be written: No space left on device"
    assert alert.remedy
    (house.state / "seq.new").unlink()
    house.now += 61.0
    ask(life, "restate")
    assert life.supervisor.get(SOON) == AlertCleared("disk_error")
    assert (house.state / "seq").read_text() == f"{50 + BLOCK} 50 dirty\n"
    assert life.capture.drain() == []


def test_a_clean_end_gives_unused_numbers_back(house: House) -> None:
    life = begun(house)
    life.post(Reserve(50))
    life.stop(next_seq=57)
    found = house.life().recovery
    assert (found.next_seq, found.skipped, found.clean) == (57, 0, True)


# Audio


def test_audio_is_in_a_file_from_its_first_piece_and_is_kept_when_it_is_whole(
    house: House,
) -> None:
    life = begun(house)
    speak(life, 1, seal=False)
    ask(life, "restate")
    assert files(house) == ["1 open run"]
    life.post(ended(1, PIECE))
    assert life.uplink.get(SOON) == Kept(utterance(1))
    assert files(house) == ["1 sealed run"]
    life.post(Load(utterance(1)))
    assert life.uplink.get(SOON) == Loaded(utterance(1), speech(1, PIECE))
    assert files(house) == ["1 sending run"]


def test_audio_is_deleted_when_its_text_is_in_the_ledger(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    speak(life, 2)
    life.post(final(1), closed(2))
    assert ask(life, "restate").result == {"items": 2}
    assert files(house) == []


def test_audio_goes_to_the_disk_while_the_link_is_not_well(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    speak(life, 2, seal=False)
    life.post(LinkWell(False))
    ask(life, "restate")
    assert files(house) == ["1 sealed state", "2 open state"]
    life.post(ended(2, PIECE), LinkWell(True))
    speak(life, 3)
    ask(life, "restate")
    assert files(house) == ["1 sealed state", "2 sealed state", "3 sealed run"]
    eventually(lambda: life.store.report.runtime_bytes == PIECE)
    assert life.store.report.state_files == 2


def test_a_file_on_the_disk_that_vanishes_is_missed(house: House) -> None:
    life = begun(house)
    life.post(LinkWell(False))
    speak(life, 1)
    ask(life, "restate")
    house.now += LAZY_S
    ask(life, "restate")
    assert life.ledger.path.exists()
    life.stop()
    next((house.state / "audio").iterdir()).unlink()
    assert tuple(house.life().recovery.unpublished) == (
        Closed(started(1), ended(1, PIECE), Outcome.FAILED),
    )


def test_a_file_that_cannot_be_read_is_gone_and_set_aside(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    assert life.uplink.get(SOON) == Kept(utterance(1))
    (path,) = (house.runtime / "audio").iterdir()
    path.unlink()
    path.with_name(path.name.replace("sealed", "sending")).mkdir()
    life.post(Load(utterance(1)), Load(utterance(7)))
    assert life.uplink.get(SOON) == Gone(utterance(1), Outcome.FAILED)
    assert life.uplink.get(SOON) == Gone(utterance(7), Outcome.FAILED)


def test_what_has_no_room_is_gone_and_said_until_there_is_room(house: House) -> None:
    life = begun(house, runtime_max_mb=2, max_mb=2, durability="power")
    for seq in range(1, 5):
        speak(life, seq, 600_000)
    eventually(lambda: life.store.report.evicted)
    told = [item for item in life.uplink.drain() if isinstance(item, Gone)]
    assert told == [Gone(utterance(1), Outcome.EVICTED)]
    alert = life.supervisor.get(SOON)
    assert isinstance(alert, Alert)
    assert alert.code == "spool_full"
    life.post(Closed(started(1), ended(1, 600_000), Outcome.EVICTED), final(2), final(3), final(4))
    ask(life, "restate")
    assert all(isinstance(item, Alert) for item in life.supervisor.drain())
    house.now += 11.0
    ask(life, "restate")
    assert life.supervisor.get(SOON) == AlertCleared("spool_full")


# The ledger


def test_what_is_known_survives_a_clean_end(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    speak(life, 2)
    life.last_frame.mark(995.0)
    life.post(final(1), closed(3), Delivered(utterance(3), 3))
    life.stop(next_seq=4)
    assert files(house) == ["2 sealed state"]
    house.reboot()
    found = house.life().recovery
    assert numbers(list(found.unpublished)) == [1]
    assert [each.started.seq for each in found.recovered] == [2]
    assert (found.clean, found.next_seq) == (True, 4)
    assert found.heard_until is not None
    assert house.now - found.heard_until == pytest.approx(65.0)


def writes(life: Life) -> int:
    """Transactions so far."""
    ask(life, "no such thing")
    return life.store.report.writes


def test_what_arrives_together_is_one_transaction(house: House) -> None:
    life = house.life()
    store_inbox_first = [final(seq) for seq in range(1, 101)]
    life.start()
    before = writes(life)
    life.post(*store_inbox_first)
    assert ask(life, "restate").result == {"items": 100}
    assert writes(life) - before <= 20  # it may have been woken in between


def test_acknowledgements_wait_for_company(house: House) -> None:
    life = begun(house)
    life.post(*(final(seq) for seq in range(1, 201)))
    eventually(lambda: life.store.report.undelivered == 200)
    before = life.store.report.writes
    for seq in range(1, 11):
        life.post(Delivered(utterance(seq), seq))
    eventually(lambda: (house.runtime / "acked").read_text() == "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")
    assert life.store.report.writes == before
    house.now += LAZY_S
    life.post(LinkWell(True))  # it wakes up
    eventually(lambda: life.store.report.undelivered == 190)
    eventually(lambda: (house.runtime / "acked").read_text() == "")
    for seq in range(11, 11 + GROUP):
        life.post(Delivered(utterance(seq), seq))
    eventually(lambda: life.store.report.undelivered <= 190 - GROUP)


def test_what_was_delivered_is_forgotten_after_a_while(house: House) -> None:
    life = begun(house, keep_published_min=1)
    life.post(final(1), final(2), Delivered(utterance(1), 1))
    assert ask(life, "restate").result == {"items": 2}
    house.now += 61.0
    life.post(LinkWell(True))
    eventually(lambda: ask(life, "restate").result == {"items": 1})


def test_a_restate_goes_to_delivery_and_is_answered_once(house: House) -> None:
    life = begun(house)
    life.post(final(3), final(1), closed(2), Delivered(utterance(1), 1))
    assert ask(life, "restate", since_seq=1) == Reply("restate", {"items": 2})
    assert life.delivery.get(SOON) == Restated("restate", (closed(2), final(3)))
    for nonsense in ("1", -1, None, 1 << 70):
        reply = ask(life, "restate", since_seq=nonsense)
        assert reply.error is not None
        assert reply.error.code == "malformed"
    assert life.delivery.drain() == []
    assert life.asker.drain() == []


@pytest.mark.parametrize("together", [True, False], ids=["at once", "later"])
def test_a_text_that_was_given_up_at_the_broker_is_not_restated(
    house: House, *, together: bool
) -> None:
    life = begun(house)
    life.post(final(1), final(2))
    if not together:
        assert ask(life, "restate").result == {"items": 2}
        life.delivery.get(SOON)
    end = closed(1)
    life.post(Delivered(utterance(1), 1, end), Delivered(utterance(2), 2))
    assert ask(life, "restate").result == {"items": 2}
    assert life.delivery.get(SOON) == Restated("restate", (end, final(2)))
    life.stop()
    assert house.life().ledger.since(0) == [end, final(2)]


def test_a_long_restate_goes_in_pages_that_delivery_has_time_for(house: House) -> None:
    house.life().ledger.commit(items=[final(seq) for seq in range(1, 151)], delivered=range(1, 151))
    life = begun(house)
    assert ask(life, "restate", since_seq=10) == Reply("restate", {"items": 140})
    pages = []
    for size in (64, 64, 12):
        page = life.delivery.get(SOON)
        assert isinstance(page, Restated)
        assert (page.token, len(page.items)) == ("restate", size)
        ask(life, "nothing")  # it had the opportunity
        assert life.delivery.drain() == []
        pages.append(page)
        house.now += 0.2
    assert [page.last for page in pages] == [False, False, True]
    assert numbers([item for page in pages for item in page.items]) == list(range(11, 151))


def test_a_restate_of_nothing_says_so_too(house: House) -> None:
    life = begun(house)
    assert ask(life, "restate") == Reply("restate", {"items": 0})
    assert life.delivery.get(SOON) == Restated("restate", (), last=True)


def test_pages_wait_for_room_in_the_mailbox_of_delivery(house: House) -> None:
    house.life().ledger.commit(items=[final(seq) for seq in range(1, 131)], delivered=range(1, 131))
    life = house.life()
    narrow: Mailbox[Any] = Mailbox(limit=1)
    life.start_with(delivery=narrow)
    ask(life, "restate")
    for _ in range(5):
        house.now += 0.2
        ask(life, "nothing")
    found: list[Restated] = []

    def whole() -> bool:
        found.extend(narrow.drain())
        house.now += 0.2
        return bool(found) and found[-1].last

    eventually(whole)
    assert [len(page.items) for page in found] == [64, 64, 2]


def test_a_number_that_another_utterance_has_costs_no_audio(house: House) -> None:
    life = begun(house)
    life.post(final(1))
    ask(life, "restate")
    speak(life, 2)
    life.post(replace(final(2), started=replace(started(2), seq=1)))
    ask(life, "restate")
    assert files(house) == ["2 answered run"]
    eventually(lambda: life.store.report.dropped == 1)
    life.post(Delivered(utterance(2), 1))
    eventually(lambda: files(house) == [])


def test_a_mute_has_a_second_home_before_it_is_confirmed(house: House) -> None:
    life = begun(house)
    command = Command("mute", {"on": True}, local=True, answer=life.asker, token=7)
    life.post(Remember("mute", '["local"]', command))
    assert life.asker.get(SOON) == Reply(7)
    assert (house.state / "muted").read_text() == '["local"]'
    assert (house.state / "muted").stat().st_mode & 0o777 == 0o600
    life.post(Remember("mute", "[]", command))
    assert life.asker.get(SOON) == Reply(7)
    assert not (house.state / "muted").exists()
    (house.state / "muted").mkdir()
    life.post(Remember("mute", "[]", command), Remember("other", "x", replace(command, token=8)))
    reply, other = life.asker.get(SOON), life.asker.get(SOON)
    assert isinstance(reply, Reply)
    assert reply.error is not None
    assert "muted cannot be written" in reply.error.message
    assert other == Reply(8)
    (house.state / "muted").rmdir()
    life.stop()
    assert house.life().recovery.facts == {"mute": "[]", "other": "x"}


def test_a_fact_is_durable_before_it_is_confirmed(house: House) -> None:
    life = begun(house)
    command = Command("mute", {"on": True}, local=True, answer=life.asker, token=7)
    life.post(Remember("mute", "local", command, {"on": True}))
    assert life.asker.get(SOON) == Reply(7, {"on": True})
    copy = house.state.parent / "copy"  # as a kill at this instant leaves it
    copy.mkdir()
    for name in ("ledger.db", "ledger.db-wal"):
        (copy / name).write_bytes((house.state / name).read_bytes())
    ledger = Ledger(copy / "ledger.db", this_boot=lambda: house.boot, ballast=life.ballast)
    assert ledger.fact("mute") == "local"
    ledger.close()


def test_what_the_store_does_not_know_is_said(house: House) -> None:
    reply = ask(begun(house), "dance")
    assert reply.error == CommandError("unknown", "the store knows no 'dance'")


def test_the_spool_is_shown_and_what_is_purged_has_its_end(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    speak(life, 2)
    assert [item["seq"] for item in ask(life, "spool", verb="ls").result["utterances"]] == [1, 2]
    assert life.uplink.drain() == [Kept(utterance(1)), Kept(utterance(2))]
    assert ask(life, "spool", verb="purge", ids=[1]).result == {"purged": 1}
    assert life.uplink.drain() == [Gone(utterance(1), Outcome.EVICTED)]
    assert files(house) == ["2 sealed run"]
    assert ask(life, "spool", verb="dance").error is not None


# What earlier runs left


def test_what_was_recovered_is_handed_on_delivery_first(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    life.post(final(2))
    life.stop(next_seq=3)
    life = begun(house)
    waiting = Recovered(started(1), ended(1, PIECE), PIECE)
    assert [life.delivery.get(SOON), life.delivery.get(SOON)] == [waiting, final(2)]
    assert life.uplink.get(SOON) == waiting
    assert life.store.report.recovered == 2
    life.post(Load(utterance(1)), Delivered(utterance(2), 2))
    assert life.uplink.get(SOON) == Loaded(utterance(1), speech(1, PIECE))
    life.post(final(1), Delivered(utterance(1), 1))
    life.stop(next_seq=3)
    found = house.life().recovery
    assert (found.recovered, tuple(found.unpublished)) == ((), ())


def test_more_than_a_mailbox_holds_is_handed_on_as_there_is_room(house: House) -> None:
    house.life().ledger.settle([final(seq) for seq in range(1, 41)])
    life = house.life()
    narrow: Mailbox[Any] = Mailbox(limit=3)
    life.start_with(delivery=narrow)
    found: list[Any] = []

    def all_there() -> bool:
        found.extend(narrow.drain())
        return len(found) == 40

    eventually(all_there)
    assert numbers(found) == list(range(1, 41))


# A disk that does not do


def test_a_full_disk_costs_no_word_and_is_over_by_itself(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        life = begun(house)
        life.post(LinkWell(False), final(1))
        ask(life, "restate")
        (disk.path / "ballast").unlink()
        disk.fill()
        speak(life, 2)
        speak(life, 3)
        life.post(*(final(seq, "word " * 4000) for seq in (2, 3)))
        eventually(lambda: life.store.report.unsettled == 2)
        alert = life.supervisor.get(SOON)
        assert isinstance(alert, Alert)
        assert alert.code in {"disk_error", "spool_full"}
        assert [name.split()[0] for name in files(house)] == ["2", "3"]
        life.post(Delivered(utterance(2), 2))
        eventually(lambda: [name.split()[0] for name in files(house)] == ["3"])
        command = Command("mute", {}, local=True, answer=life.asker, token=7)
        life.post(Remember("mute", "x" * 20_000, command))
        reply = life.asker.get(SOON)
        assert isinstance(reply, Reply)
        assert reply.error is not None
        assert "not for a restart to remember" in reply.error.message
        disk.clear()
        house.now += 61.0
        life.post(LinkWell(False))
        eventually(lambda: life.store.report.unsettled == 0)
        eventually(lambda: files(house) == [])
        assert ask(life, "restate").result == {"items": 3}
        assert life.store.report.undelivered == 2
        last = {item.code: item for item in life.supervisor.drain()}
        assert all(isinstance(item, AlertCleared) for item in last.values())
        assert life.ballast.held
        life.stop(next_seq=4)
        life = house.life()
        assert life.recovery.facts == {"mute": "x" * 20_000}
        assert numbers(list(life.recovery.unpublished)) == [1, 3]


def test_a_file_that_would_be_missed_stays_until_the_ledger_knows(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        life = begun(house)
        life.post(LinkWell(False))
        speak(life, 1)
        house.now += LAZY_S
        ask(life, "restate")
        assert files(house) == ["1 sealed state"]
        (disk.path / "ballast").unlink()
        disk.fill()
        life.post(final(1, "word " * 4000))
        eventually(lambda: life.store.report.unsettled == 1)
        life.post(Delivered(utterance(1), 1))
        eventually(lambda: (house.runtime / "acked").read_text() == "1\n")
        ask(life, "restate")
        assert [name.split()[0] for name in files(house)] == ["1"]
        life.stop()
        disk.clear()
        life = begun(house)
        assert (life.recovery.recovered, tuple(life.recovery.unpublished)) == ((), ())
        assert files(house) == []
        assert life.ledger.waiting() == []


def test_words_that_the_broker_has_fill_no_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    with small_house(tmp_path) as (disk, house):
        life = begun(house)
        ask(life, "restate")
        (disk.path / "ballast").unlink()
        disk.fill()
        words = "word " * 4000
        for seq in range(1, SPARE + 21):
            life.post(final(seq, words), Delivered(utterance(seq), seq))
        life.post(final(SPARE + 21, words))
        eventually(lambda: life.store.report.unsettled == SPARE + 1)
        eventually(lambda: life.store.report.unrestatable == 20)
        assert life.store.report.dropped == 0
        disk.clear()
        house.now += 61.0
        life.post(LinkWell(True))
        eventually(lambda: life.store.report.unsettled == 0)
        assert ask(life, "restate").result == {"items": SPARE + 1}
        eventually(lambda: life.store.report.undelivered == 1)


def test_a_disk_that_may_only_be_read_is_used_again_when_it_may_be_written(tmp_path: Path) -> None:
    with small_house(tmp_path, "ext4") as (disk, house):
        life = begun(house)
        life.post(final(1))
        eventually(lambda: life.store.report.undelivered == 1)
        with read_only(disk.path):
            life.ledger.close()  # what is open goes on
            life.post(LinkWell(False))
            speak(life, 2)
            life.post(final(2), Reserve(20))
            assert life.capture.get(SOON) == SeqReserved(20 + BLOCK)
            eventually(lambda: life.store.report.ledger_trouble)
            eventually(lambda: files(house) == ["2 answered run"])
        house.now += 61.0
        life.post(LinkWell(False))
        eventually(lambda: life.store.report.ledger_trouble is None)
        eventually(lambda: files(house) == [])
        assert ask(life, "restate").result == {"items": 2}
        assert (disk.path / "seq").read_text() == f"{20 + BLOCK} 20 dirty\n"


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Whatever is opened there may only be read."""
    for options in (["--bind", path], ["-o", "remount,bind,ro"]):
        subprocess.run(["mount", *options, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


# The thread


def test_a_disk_that_is_well_is_not_talked_about_and_an_idle_store_sleeps(house: House) -> None:
    life = begun(house)
    speak(life, 1)
    life.post(final(1), Delivered(utterance(1), 1))
    ask(life, "restate")
    house.now += LAZY_S
    ask(life, "restate")
    house.now += 4000.0
    eventually(lambda: ask(life, "restate").result == {"items": 0})
    assert life.supervisor.drain() == []
    eventually(lambda: life.store._due() == pytest.approx(house.now + 60.0))
    assert not life.store.stuck


def test_what_was_asked_before_the_end_is_done_before_the_end(house: House) -> None:
    life = house.life()
    store: Store = life.start()
    for item in (Reserve(100), Reserve(150), final(1), Close(160)):
        store.inbox.put(item)
    assert life.supervisor.get(SOON) == Finished("store")
    assert life.capture.drain() == [SeqReserved(100 + BLOCK), SeqReserved(150 + BLOCK)]
    store.join(SOON)
    assert life.ledger.undelivered() == [final(1)]


def test_an_end_without_a_number_is_an_end_too(house: House) -> None:
    life = begun(house)
    life.post(Stop())
    assert life.supervisor.get(SOON) == Finished("store")
    life.store.join(SOON)
    assert life.ledger.waiting() == list[Waiting]()
