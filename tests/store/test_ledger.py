"""What is in the ledger is there after a kill; what lies in its place never prevents a start."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scribed.model import Answer, Closed, EarlierBoot, Entity, Outcome, RobotDid, Word
from scribed.store import records
from scribed.store.ballast import BALLAST_BYTES, Ballast
from scribed.store.ledger import Ledger, LedgerError, Waiting
from scribed.store.rows import BOOTS_KEPT
from tests.store.machine import started, utterance
from tests.store.talk import NEXT_BOOT, THIS_BOOT, closed, final, numbers, open_ledger
from tests.store.volumes import volume

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path)
    yield ledger
    ledger.close()


def reopened(ledger: Ledger, boot: EarlierBoot = THIS_BOOT) -> Ledger:
    ledger.close()
    return open_ledger(ledger.path.parent, boot)


# What it remembers


def test_what_was_settled_comes_back_in_order_until_it_is_delivered(ledger: Ledger) -> None:
    assert ledger.settle([final(2), closed(1)]) == [final(2), closed(1)]
    assert ledger.undelivered() == [closed(1), final(2)]
    assert ledger.count_undelivered() == 2
    ledger.commit(delivered=[1], now=50.0)
    again = reopened(ledger)
    assert again.undelivered() == [final(2)]
    assert again.since(0) == [closed(1), final(2)]
    assert again.since(1) == [final(2)]
    assert again.has(utterance(1))
    assert not again.has(utterance(3))
    again.close()


def test_an_utterance_has_one_final_and_a_number_one_utterance(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    assert ledger.settle([final(1, "Something else.")]) == []
    assert ledger.settle([final(1, id=utterance(9))]) == []
    assert ledger.settle([final(2, id=utterance(1))]) == []
    assert ledger.since(0) == [final(1)]


def test_a_transaction_is_done_whole_or_not_at_all(ledger: Ledger) -> None:
    impossible = replace(final(2).started, seq=1 << 70)
    with pytest.raises(OverflowError):
        ledger.settle([final(1), replace(final(2), started=impossible)])
    assert ledger.undelivered() == []


def test_facts_survive(ledger: Ledger) -> None:
    ledger.set_fact("mute", '["mqtt"]')
    ledger.commit(facts={"other": "1", "third": "x"})
    ledger.set_fact("third", None)
    again = reopened(ledger)
    assert (again.fact("mute"), again.fact("other"), again.fact("third")) == ('["mqtt"]', "1", None)
    again.close()


def test_an_utterance_waits_until_it_is_settled(ledger: Ledger) -> None:
    ledger.commit(waiting=[Waiting(started(1)), Waiting(started(2))])
    ledger.commit(waiting=[Waiting(started(2), final(2).ended)])
    ledger.commit(crashes=[utterance(2)])
    ledger.commit(waiting=[Waiting(started(2), final(2).ended)], crashes=[utterance(2)])
    assert ledger.waiting() == [Waiting(started(1)), Waiting(started(2), final(2).ended)]
    assert (ledger.crashes(utterance(1)), ledger.crashes(utterance(2))) == (0, 2)
    assert ledger.highest() == 2
    ledger.settle([final(2)])
    assert ledger.waiting() == [Waiting(started(1))]


def test_reserved_numbers_are_known_here_too(ledger: Ledger) -> None:
    assert (ledger.reserved(), ledger.highest()) == (None, 0)
    ledger.note_reserved(65)
    assert ledger.reserved() == 65
    ledger.set_fact("seq_end", "-3")
    assert ledger.reserved() is None


def test_what_was_delivered_long_ago_is_forgotten(ledger: Ledger) -> None:
    ledger.settle([final(n) for n in range(1, 5)])
    ledger.commit(delivered=[1], now=100.0)
    ledger.commit(delivered=[2, 3], now=200.0)
    assert ledger.forget(150.0) == (1, 0)
    assert numbers(ledger.since(0)) == [2, 3, 4]


def test_no_more_are_kept_than_the_outbox_holds(ledger: Ledger) -> None:
    ledger.settle([final(n) for n in range(1, 11)])
    ledger.commit(delivered=range(1, 6), now=100.0)
    assert ledger.forget(0.0, keep=3) == (2, 2)
    assert numbers(ledger.since(0)) == [3, 4, 5, 8, 9, 10]


def test_what_is_forgotten_gives_its_room_back(ledger: Ledger) -> None:
    ledger.settle([final(n, "word " * 400) for n in range(1, 2001)])
    ledger.commit(delivered=range(1, 2001), now=100.0)
    big = reopened(ledger)
    size = big.path.stat().st_size
    for _ in range(size // 1_000_000):
        big.forget(101.0)
    small = reopened(big)
    assert small.path.stat().st_size < size - 3_000_000
    small.close()


# Other boots


def test_after_a_reboot_it_is_said_when_that_was(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    ledger.commit(waiting=[Waiting(started(2))])
    again = reopened(ledger, NEXT_BOOT)
    (said,) = again.undelivered()
    assert said == replace(final(1), started=replace(final(1).started, boot=THIS_BOOT))
    assert again.waiting()[0].started.boot == THIS_BOOT
    assert again.boot(THIS_BOOT.id) == THIS_BOOT
    again.close()


def test_the_clock_that_was_set_after_the_words_dates_them(tmp_path: Path) -> None:
    boot = replace(THIS_BOOT, unix_offset=3.0, clock_synced=False)
    ledger = Ledger(tmp_path / "ledger.db", this_boot=lambda: boot, ballast=Ballast(tmp_path))
    ledger.settle([final(1)])
    boot = THIS_BOOT
    ledger.commit(facts={"any": "thing"})
    again = reopened(ledger, NEXT_BOOT)
    assert again.undelivered()[0].started.boot == THIS_BOOT
    again.close()


def test_an_utterance_of_an_older_boot_still_says_so(ledger: Ledger) -> None:
    old = replace(final(1), started=replace(final(1).started, boot=NEXT_BOOT))
    ledger.settle([old])
    assert ledger.undelivered() == [old]
    again = reopened(ledger, EarlierBoot("third", 0.0, None))
    assert again.undelivered() == [old]
    again.close()


def test_words_of_a_boot_that_nobody_remembers_are_not_of_this_one(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    ledger.commit(waiting=[Waiting(started(2))])
    ledger.close()
    with sqlite3.connect(ledger.path) as shell:
        shell.execute("DELETE FROM boot")
    shell.close()
    again = open_ledger(ledger.path.parent, NEXT_BOOT)
    forgotten = EarlierBoot(THIS_BOOT.id, 0.0, None)
    assert again.undelivered()[0].started.boot == forgotten
    assert again.since(0)[0].started.boot == forgotten
    assert again.waiting()[0].started.boot == forgotten
    with contextlib.closing(reopened(again, THIS_BOOT)) as once_more:
        assert once_more.undelivered() == [final(1)]


def test_a_boot_is_remembered_as_long_as_a_row_is_of_it(tmp_path: Path) -> None:
    boots = [EarlierBoot(f"{n:036}", 1000.0 * n, clock_synced=True) for n in range(BOOTS_KEPT + 9)]
    for n, boot in enumerate(boots):
        ledger = open_ledger(tmp_path, boot)
        if n == 1:
            ledger.settle([final(1)])
        if n == 2:
            ledger.commit(waiting=[Waiting(started(2))])
        ledger.close()
    ledger = open_ledger(tmp_path, boots[-1])
    assert ledger.undelivered()[0].started.boot == boots[1]
    assert ledger.waiting()[0].started.boot == boots[2]
    assert (ledger.boot(boots[0].id), ledger.boot(boots[3].id)) == (None, None)
    assert ledger.boot(boots[-2].id) == boots[-2]
    ledger.close()


def test_after_a_reboot_what_was_delivered_is_kept_from_its_start(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    ledger.commit(delivered=[1], now=90_000.0)
    again = reopened(ledger, NEXT_BOOT)
    assert again.forget(-1.0) == (0, 0)
    assert again.forget(1.0) == (1, 0)
    again.close()


# The format

GOLDEN_FINAL = (
    b'{"final":{"started":{"id":"01JX0000000000000000000001","seq":1,"at":10.0,"mono_offset":-0.5,'
    b'"continues":null,"boot":null},"ended":{"id":"01JX0000000000000000000001","at":11.5,'
    b'"reason":"commit","audio_ms":1500,"lost_ms":0,"level_dbfs":-31.25,"snr_db":null},"rev":3,'
    b'"answer":{"text":"Turn left, please.","words":[{"text":"Turn","start_ms":40,"end_ms":210,'
    b'"confidence":0.95},{"text":"left","start_ms":230,"end_ms":500,"confidence":null}],'
    b'"language":"en","language_source":null,"confidence":null},"final_reason":"commit",'
    b'"attempt":1,"provider":{"name":"elevenlabs","model":"scribe_v2_realtime",'
    b'"session_id":"session"},"provider_s":0.31,"first_partial_s":null,"committed_at":11.8}}'
)
GOLDEN_CLOSED = (
    b'{"closed":{"started":{"id":"01JX0000000000000000000002","seq":2,"at":20.0,"mono_offset":-0.5,'
    b'"continues":null,"boot":null},"ended":{"id":"01JX0000000000000000000002","at":21.5,'
    b'"reason":"commit","audio_ms":1500,"lost_ms":0,"level_dbfs":-31.25,"snr_db":null},'
    b'"outcome":"no_speech"}}'
)
GOLDEN_WAITING = (
    b'{"started":{"id":"01JX0000000000000000000002","seq":2,"at":20.0,"mono_offset":-0.5,'
    b'"continues":null,"boot":null},"ended":{"id":"01JX0000000000000000000002","at":21.5,'
    b'"reason":"commit","audio_ms":1500,"lost_ms":0,"level_dbfs":-31.25,"snr_db":null}}'
)
GOLDEN_LEDGER = (
    "CREATE TABLE final(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
    "boot TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL, delivered REAL)",
    "CREATE INDEX final_delivered ON final(delivered)",
    "CREATE TABLE waiting(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
    "boot TEXT NOT NULL, record BLOB NOT NULL, crashes INTEGER NOT NULL)",
    "CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE boot(id TEXT PRIMARY KEY, unix_offset REAL NOT NULL, synced INTEGER)",
    "PRAGMA application_id=1935897186",
    "PRAGMA user_version=1",
)


GOLDEN_ANSWER = (
    b'"answer":{"text":"Turn left, please.","words":[{"text":"Turn","start_ms":40,"end_ms":210,'
    b'"confidence":0.95,"speaker":"speaker_1"}],"language":"en","language_source":"detected",'
    b'"confidence":0.9,"guessed":true,"entities":[{"text":"left","type":"side","start":5,"end":9}],'
    b'"redacted_text":"Turn [SIDE], please.","edited_text":"Left!","warnings":["faint"]}'
)
"""With all that was added since."""
ADDED = (
    (b'"boot":null}', b'"boot":null,"trigger":"always","onset":null,"gate_at":null}'),
    (
        b'"committed_at":11.8}',
        b'"committed_at":11.8,"moments":{"onset":null,"gate":null,"first_byte":null,'
        b'"commit":null,"text":null}}',
    ),
    (b'"snr_db":null}', b'"snr_db":null,"robot":{"speaking":null,"moving":null,"said":[]}}'),
)
"""What stands there now, and version 1 did not write."""


def as_written_now(golden: bytes) -> bytes:
    for before, now in ADDED:
        golden = golden.replace(before, now)
    return golden


def test_the_bytes_of_version_1_are_still_read() -> None:
    assert records.decode(GOLDEN_FINAL) == final(1)
    assert records.encode(closed(2)) == as_written_now(GOLDEN_CLOSED)
    assert records.decode(GOLDEN_CLOSED) == closed(2)
    waiting = Waiting(started(2), final(2).ended)
    assert records.encode_waiting(waiting) == as_written_now(GOLDEN_WAITING)
    assert records.decode_waiting(GOLDEN_WAITING) == waiting


def test_all_that_a_service_says_is_kept() -> None:
    answer = Answer(
        "Turn left, please.",
        (Word("Turn", 40, 210, 0.95, "speaker_1"),),
        "en",
        "detected",
        0.9,
        guessed=True,
        entities=(Entity("left", "side", 5, 9),),
        redacted_text="Turn [SIDE], please.",
        edited_text="Left!",
        warnings=("faint",),
    )
    said = replace(final(1), answer=answer)
    before, _, after = GOLDEN_FINAL.partition(b'"answer":{')
    golden = before + GOLDEN_ANSWER + after[after.index(b',"final_reason"') :]
    assert records.encode(said) == as_written_now(golden)
    assert records.decode(golden) == said
    assert records.decode(records.encode(final(1))) == final(1)


def test_what_the_robot_did_meanwhile_is_kept_with_a_final_and_an_end(tmp_path: Path) -> None:
    one, other = final(1), closed(2)
    begun, did = replace(one.started, trigger="listen"), RobotDid(True, False, ("Turning left.",))
    one = replace(one, started=begun, ended=replace(one.ended, robot=did))
    assert other.ended is not None
    other = replace(other, ended=replace(other.ended, robot=did))
    ledger = open_ledger(tmp_path)
    ledger.commit(items=[one, other])
    ledger.close()
    with contextlib.closing(open_ledger(tmp_path)) as again:
        assert again.undelivered() == [one, other]


def write_version_1(path: Path) -> None:
    """A ledger as version 1 left it."""
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        for statement in GOLDEN_LEDGER:
            old.execute(statement)
        row = (utterance(1), THIS_BOOT.id, GOLDEN_FINAL, 1236903855)
        old.execute("INSERT INTO final VALUES (1, ?, ?, ?, ?, NULL)", row)
        old.execute("INSERT INTO fact VALUES ('mute', 'x')")
        waits = (utterance(2), THIS_BOOT.id, GOLDEN_WAITING)
        old.execute("INSERT INTO waiting VALUES (2, ?, ?, ?, 1)", waits)
    old.close()


@pytest.mark.parametrize("name", ["ledger.db", "ledger-1.db"])
def test_a_ledger_of_version_1_is_read(tmp_path: Path, name: str) -> None:
    write_version_1(tmp_path / name)
    ledger = open_ledger(tmp_path)
    assert ledger.news == ()
    assert ledger.undelivered() == [final(1)]
    assert ledger.fact("mute") == "x"
    assert ledger.waiting() == [Waiting(started(2), final(2).ended)]
    assert ledger.crashes(utterance(2)) == 1
    ledger.commit(waiting=[Waiting(started(3))])
    again = reopened(ledger)
    assert [each.started for each in again.waiting()] == [started(2), started(3)]
    again.close()


def test_the_tables_of_this_version(ledger: Ledger) -> None:
    ledger.close()
    with sqlite3.connect(ledger.path) as shell:
        (sql,) = shell.execute("SELECT sql FROM sqlite_master WHERE name = 'waiting'").fetchone()
        (version,) = shell.execute("PRAGMA user_version").fetchone()
    shell.close()
    assert sql == GOLDEN_LEDGER[2][:-1] + ", crc INTEGER)"
    assert version == 2


def test_a_note_whose_bits_flipped_says_no_more_than_who_waits(ledger: Ledger) -> None:
    ledger.commit(waiting=[Waiting(started(1)), Waiting(started(2))])
    ledger.commit(waiting=[Waiting(started(2), final(2).ended)])
    ledger.close()
    with sqlite3.connect(ledger.path) as shell:
        flip = "UPDATE waiting SET record = CAST(replace(CAST(record AS TEXT), ?, ?) AS BLOB)"
        shell.execute(flip + " WHERE seq = 1", ('"at":10.0', '"at":90.0'))
    shell.close()
    again = open_ledger(ledger.path.parent)
    assert again.waiting() == [
        Waiting(records.bare(utterance(1), 1, THIS_BOOT.id)),
        Waiting(started(2), final(2).ended),
    ]
    again.close()


def test_what_the_broker_has_waits_no_more_though_its_text_is_unknown(ledger: Ledger) -> None:
    ledger.commit(waiting=[Waiting(started(1)), Waiting(started(2))])
    ledger.commit(delivered=[1])
    assert ledger.waiting() == [Waiting(started(2))]


def test_who_has_no_final_because_of_its_number_still_waits(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    ledger.commit(waiting=[Waiting(replace(started(2), id=utterance(9)))])
    assert ledger.settle([final(1, id=utterance(9))]) == []
    assert [each.started.id for each in ledger.waiting()] == [utterance(9)]


def test_what_is_packed_for_a_while_is_written_as_it_was(ledger: Ledger) -> None:
    packed = records.pack(final(1, "word " * 500))
    assert len(packed.deflated) < len(packed.body) / 3
    assert ledger.settle([packed]) == [packed]
    assert ledger.undelivered() == [final(1, "word " * 500)]


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    added = GOLDEN_FINAL.replace(b'"rev":3', b'"rev":3,"mood":["happy"]')
    assert records.decode(added) == final(1)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"final":{}}', GOLDEN_FINAL[:-20], b"\xff"])
def test_nonsense_is_no_final(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        records.decode(body)


def test_the_files_are_for_this_user_alone(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    files = list(ledger.path.parent.iterdir())
    assert {path.name for path in files} == {"ledger.db", "ledger.db-wal"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


# A later version, and back


def bring_to_version(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE later(x)")
        connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def test_a_later_ledger_is_left_as_it_is_and_another_used(ledger: Ledger) -> None:
    ledger.settle([final(1)])
    ledger.close()
    bring_to_version(ledger.path, 3)
    before = ledger.path.read_bytes()
    for seq in (5, 6):  # the second time it is there already
        older = open_ledger(ledger.path.parent)
        assert len(older.news) == 1
        assert "later version" in older.news[0]
        assert "ledger-2.db" in older.news[0]
        older.settle([final(seq)])
        assert numbers(older.since(0)) == list(range(5, seq + 1))
        older.close()
    assert ledger.path.read_bytes() == before


def test_what_was_said_meanwhile_is_taken_over_when_the_ledger_is_ours_again(
    ledger: Ledger,
) -> None:
    ledger.settle([final(1)])
    ledger.close()
    meanwhile = Ledger(
        ledger.path.with_name("ledger-1.db"),
        this_boot=lambda: THIS_BOOT,
        ballast=Ballast(ledger.path.parent),
    )
    meanwhile.commit(items=[final(2)], facts={"mute": "x"})
    meanwhile.close()
    again = open_ledger(ledger.path.parent)
    assert again.undelivered() == [final(1), final(2)]
    assert again.fact("mute") == "x"
    assert not meanwhile.path.exists()
    again.close()


# Damage


def test_a_damaged_ledger_is_kept_and_what_can_be_read_is_taken_over(ledger: Ledger) -> None:
    ledger.settle([final(n, "word " * 100) for n in range(1, 201)])
    ledger.commit(delivered=range(1, 101), now=5.0, facts={"mute": "x"})
    ledger.close()
    content = bytearray(ledger.path.read_bytes())
    for at in range(60_000, 64_000):
        content[at] = 0xA5
    ledger.path.write_bytes(content)
    again = open_ledger(ledger.path.parent)
    (news,) = again.news
    assert "ledger.damaged" in news
    assert ledger.path.with_name("ledger.damaged").read_bytes()[60_000:64_000] == b"\xa5" * 4000
    said = again.undelivered()
    assert len(said) > 80
    assert all(item == final(item.started.seq, "word " * 100) for item in said)
    assert again.fact("mute") == "x"
    again.close()


WRONG = {
    "empty": b"",
    "words": b"What is this?\n" * 500,
    "zeros": bytes(40_000),
    "a header alone": b"SQLite format 3\0" + bytes(84),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_whatever_lies_in_its_place_there_is_a_ledger(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(content)
    ledger = open_ledger(tmp_path)
    assert ledger.settle([final(1)])
    assert bool(ledger.news) == bool(content)
    if content:
        assert (tmp_path / "ledger.damaged").read_bytes() == content
    ledger.close()


def test_a_directory_a_link_or_a_strange_database_in_its_place_is_set_aside(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine(x)")
    other.close()
    path = tmp_path / "ledger.db"
    makers = (
        path.mkdir,
        lambda: path.symlink_to("elsewhere"),
        lambda: shutil.copy(tmp_path / "other.db", path),
    )
    for make in makers:
        make()
        ledger = open_ledger(tmp_path)
        assert ledger.settle([final(1)])
        assert len(ledger.news) == 1
        ledger.close()
        path.unlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_final_whose_bits_flipped_ends_as_failed_and_its_neighbours_are_whole(
    ledger: Ledger,
) -> None:
    ledger.settle([final(1), final(2), final(3)])
    ledger.close()
    content = ledger.path.read_bytes()
    at = content.index(b"Turn left", content.index(utterance(2).encode()))
    ledger.path.write_bytes(content[:at] + b"Burn" + content[at + 4 :])
    again = open_ledger(ledger.path.parent)
    first, second, third = again.undelivered()
    assert {first.started.seq, second.started.seq, third.started.seq} == {1, 2, 3}
    damaged = [item for item in (first, second, third) if isinstance(item, Closed)]
    assert [item.outcome for item in damaged] == [Outcome.FAILED]
    assert damaged[0].started.id == utterance(damaged[0].started.seq)
    again.close()


def damage(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    match dice.choice(["flip", "flips", "cut", "zero"]):
        case "flip":
            content[dice.randrange(min(len(content), dice.choice([100, 1 << 30])))] ^= 1 << (
                dice.randrange(8)
            )
        case "flips":
            for _ in range(8):
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        case "cut":
            del content[dice.randrange(len(content)) :]
        case _:
            at = dice.randrange(0, len(content), 4096)
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_prevents_a_start_or_makes_a_word_up(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    whole = tmp_path / "whole"
    whole.mkdir()
    ledger = open_ledger(whole)
    ledger.settle([final(n) for n in range(1, 60)])
    ledger.close()
    for n in range(60, 80):
        ledger.settle([final(n)])
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)  # with all that is only in its log
    ledger.close()
    for _ in range(60):
        shutil.rmtree(whole)
        shutil.copytree(killed, whole)
        damage(whole / dice.choice(["ledger.db", "ledger.db-wal"]), dice)
        again = open_ledger(whole)
        for item in (*again.undelivered(), *again.since(0)):
            assert isinstance(item, Closed) or item == final(item.started.seq)
        assert again.settle([final(1000)])
        again.close()


def test_every_page_is_looked_at_once_and_after_damage(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", 32) as disk:
        ledger = open_ledger(disk.path)
        ledger.settle([final(n, "word " * 2000) for n in range(1, 1001)])
        ledger.close()
        once = best(lambda: open_ledger(disk.path).close())

        def reopen() -> None:
            ledger.close()
            ledger.count_undelivered()

        again = best(reopen)
        assert again < once / 2, (again, once)
        ledger.close()
        content = bytearray(ledger.path.read_bytes())
        content[:100] = bytes(100)
        ledger.path.write_bytes(content)
        assert ledger.settle([final(1001)])
        assert len(ledger.news) == 1
        ledger.close()


def best(action: Callable[[], object]) -> float:
    """The least of the seconds that it takes."""
    found = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        found.append(time.perf_counter() - begun)
    return min(found)


def test_a_ledger_that_is_damaged_while_it_is_open_is_begun_anew(ledger: Ledger) -> None:
    ledger.settle([final(n, "word " * 500) for n in range(1, 3000)])
    ledger.close()
    assert ledger.count_undelivered() == 2999  # open again, and not all of it in memory
    with ledger.path.open("r+b") as file:
        for at in range(8192, ledger.path.stat().st_size, 4096):
            file.seek(at)
            file.write(b"\xff" * 64)
    ledger.settle([final(5000)])
    ledger.since(0)
    assert ledger.settle([final(5001)])
    assert [item for item in ledger.since(4000) if item.started.seq >= 5001] == [final(5001)]
    assert ledger.news


# Kills

SETTLER = """
import sys
from pathlib import Path
from tests.store.talk import final, open_ledger
ledger = open_ledger(Path(sys.argv[1]))
seq = ledger.highest()
while True:
    seq += 1
    ledger.commit(items=[final(seq, "word " * (seq % 40))], delivered=[seq - 5], now=1.0)
    print(seq, flush=True)
"""


def test_what_was_settled_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    dice = random.Random(3)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", SETTLER, str(tmp_path)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(dice.random() * 0.05)  # the instant is what the test is about
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        ledger = open_ledger(tmp_path)
        assert ledger.news == ()
        found = numbers(ledger.since(0))
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= int(said[-1] if said else 0)
        assert numbers(ledger.undelivered()) == found[-5:]
        ledger.close()


# A disk that does not do


def takes(ledger: Ledger, seq: int) -> bool:
    try:
        ledger.settle([final(seq, "word " * 2000)])
    except LedgerError:
        return False
    return True


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_on_a_full_disk_the_ballast_lets_it_write(tmp_path: Path, kind: str) -> None:
    with volume(tmp_path / "volume", 16, kind) as disk:
        ballast = Ballast(disk.path)
        assert ballast.restore()
        ledger = open_ledger(disk.path)
        ledger.settle([final(1)])
        disk.fill()
        seq = 1
        while ballast.held:
            seq += 1
            ledger.settle([final(seq, "word " * 200)])
        for _ in range(50):  # and some room is left beyond the first need
            seq += 1
            ledger.settle([final(seq)])
        while takes(ledger, seq + 1):
            seq += 1
        with pytest.raises(LedgerError, match="cannot be written: database or disk is full"):
            ledger.settle([final(seq + 1, "word " * 2000)])
        assert len(ledger.undelivered()) == seq
        assert not ballast.restore()
        disk.clear()
        assert ledger.settle([final(seq + 1)])
        assert ballast.restore()
        ledger.close()
        again = open_ledger(disk.path)
        assert numbers(again.undelivered()) == list(range(1, seq + 2))
        again.close()


def test_a_disk_that_is_full_at_the_start_is_tried_again(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", 16) as disk:
        disk.fill()
        ledger = open_ledger(disk.path)
        with pytest.raises(LedgerError, match=r"ledger\.db cannot be written"):
            ledger.settle([final(1)])
        with pytest.raises(LedgerError, match=r"ledger\.db cannot be read"):
            ledger.undelivered()
        disk.clear()
        assert ledger.settle([final(1)])
        assert ledger.news == ()
        ledger.close()


def test_a_disk_that_may_only_be_read_is_tried_again(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", 16, "ext4") as disk:
        ledger = open_ledger(disk.path)
        ledger.settle([final(1)])
        ledger.close()
        disk.read_only(True)
        with pytest.raises(LedgerError):
            ledger.settle([final(2)])
        disk.read_only(False)
        assert ledger.settle([final(2)])
        assert (ledger.undelivered(), ledger.news) == ([final(1), final(2)], ())
        ledger.close()


def test_somebody_who_looks_into_it_is_waited_for_and_then_said(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.settle([final(1)])
    ledger.close()
    shell = sqlite3.connect(ledger.path, isolation_level=None)
    shell.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="cannot be written: database is locked"):
        ledger.settle([final(2)])
    shell.close()
    assert ledger.settle([final(2)])
    assert ledger.news == ()
    ledger.close()


def test_the_ballast_takes_its_room_once_and_only_where_there_is_plenty(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", 10) as disk:
        ballast = Ballast(disk.path)
        assert not ballast.give_up()
        assert ballast.restore()
        assert ballast.restore()
        assert (disk.path / "ballast").stat().st_blocks * 512 == BALLAST_BYTES
        assert (disk.path / "ballast").stat().st_mode & 0o777 == 0o600
        assert ballast.give_up()
        assert not ballast.held
        disk.fill(leave=4 << 20)
        assert not ballast.restore()
        assert not (disk.path / "ballast").exists()
