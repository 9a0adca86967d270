"""The ledger's tables, and how one row of each is written and read.

Times are of CLOCK_BOOTTIME; the `boot` table says what that is on the wall clock, for rows that are
read after the next boot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from scribed.model import Closed, EarlierBoot, Final, Outcome, UtteranceId, UtteranceStarted
from scribed.store import records
from scribed.store.database import Row, salvage
from scribed.store.records import Waiting
from scribed.store.schema import Schema, Writer

SCHEMA = Schema(
    mark=0x73637262,  # "scrb"
    migrations=(
        (
            "CREATE TABLE final(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
            "boot TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL, delivered REAL)",
            "CREATE INDEX final_delivered ON final(delivered)",
            "CREATE TABLE waiting(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
            "boot TEXT NOT NULL, record BLOB NOT NULL, crashes INTEGER NOT NULL)",
            "CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
            "CREATE TABLE boot(id TEXT PRIMARY KEY, unix_offset REAL NOT NULL, synced INTEGER)",
        ),
    ),
)
FINALS = "SELECT seq, id, boot, body, crc FROM final "
WAITING = "SELECT seq, id, boot, record FROM waiting ORDER BY seq"
BOOTS = "SELECT id, unix_offset, synced FROM boot"
FACTS = "SELECT key, value FROM fact"
BOOTS_KEPT = 64
BOOT = "boot"
"""The fact that says in which boot the ledger was last open."""

_TAKEN_OVER = (
    (
        "SELECT seq, id, boot, body, crc, delivered FROM final",
        "INSERT OR IGNORE INTO final(seq, id, boot, body, crc, delivered) "
        "VALUES (?, ?, ?, ?, ?, ?)",
    ),
    (
        "SELECT seq, id, boot, record, crashes FROM waiting",
        "INSERT OR IGNORE INTO waiting(seq, id, boot, record, crashes) VALUES (?, ?, ?, ?, ?)",
    ),
    (FACTS, "INSERT OR IGNORE INTO fact(key, value) VALUES (?, ?)"),
    (BOOTS, "INSERT OR IGNORE INTO boot(id, unix_offset, synced) VALUES (?, ?, ?)"),
)


# Writing


def settle(run: Writer, item: Final | Closed, boot: str) -> bool:
    """Note a final or an end; False: its utterance has one."""
    started, body = item.started, records.encode(item)
    crc = records.checksum(started.seq, started.id, boot, body)
    run("DELETE FROM waiting WHERE id = ?", (started.id,))
    row = (started.seq, started.id, boot, body, crc)
    new = run("INSERT OR IGNORE INTO final(seq, id, boot, body, crc) VALUES (?, ?, ?, ?, ?)", row)
    return bool(new)


def wait(run: Writer, record: Waiting, boot: str) -> None:
    """Note an utterance that waits in a file, or that it has ended meanwhile."""
    started = record.started
    run(
        "INSERT INTO waiting(seq, id, boot, record, crashes) VALUES (?, ?, ?, ?, 0) "
        "ON CONFLICT DO UPDATE SET record = excluded.record WHERE id = excluded.id",
        (started.seq, started.id, boot, records.encode_waiting(record)),
    )


def crashed(run: Writer, id: UtteranceId) -> None:
    run("UPDATE waiting SET crashes = crashes + 1 WHERE id = ?", (id,))


def deliver(run: Writer, seq: int, now: float) -> None:
    run("UPDATE final SET delivered = ? WHERE seq = ? AND delivered IS NULL", (now, seq))


def remember(run: Writer, key: str, value: str | None) -> None:
    """A fact; None forgets it."""
    if value is None:
        run("DELETE FROM fact WHERE key = ?", (key,))
    else:
        run("INSERT OR REPLACE INTO fact(key, value) VALUES (?, ?)", (key, value))


def note_boot(run: Writer, boot: EarlierBoot) -> None:
    """How this boot's clock stands just now."""
    run(
        "INSERT INTO boot(id, unix_offset, synced) VALUES (?, ?, ?) ON CONFLICT(id) DO UPDATE "
        "SET unix_offset = excluded.unix_offset, synced = excluded.synced",
        (boot.id, boot.unix_offset, boot.clock_synced),
    )


def begin(run: Writer, boot: EarlierBoot) -> None:
    """In a new boot, what was delivered before it counts as delivered when it began."""
    same_boot = "SELECT 1 FROM fact WHERE key = ? AND value = ?"
    old = "UPDATE final SET delivered = 0 WHERE delivered > 0 AND NOT EXISTS "
    run(f"{old}({same_boot})", (BOOT, boot.id))
    remember(run, BOOT, boot.id)
    note_boot(run, boot)
    run("DELETE FROM boot WHERE rowid <= (SELECT max(rowid) FROM boot) - ?", (BOOTS_KEPT,))


def forget(run: Writer, before: float, keep: int) -> tuple[int, int]:
    """Delete what is too old and too much; how many delivered and undelivered ones."""
    surplus = "DELETE FROM final WHERE seq IN (SELECT seq FROM final WHERE delivered IS {} "
    surplus += "ORDER BY seq DESC LIMIT -1 OFFSET ?)"
    gone = run("DELETE FROM final WHERE delivered < ?", (before,))
    gone += run(surplus.format("NOT NULL"), (keep,))
    return gone, run(surplus.format("NULL"), (keep,))


def take_over(run: Writer, path: Path) -> None:
    """All rows that can be read, and believed, of another file."""
    for select, insert in _TAKEN_OVER:
        for row in salvage(path, select):
            if "INTO final" not in insert or _intact(row):
                run(insert, row)


# Reading


def item_of(row: Row, boots: Mapping[str, EarlierBoot]) -> Final | Closed:
    """What one of `FINALS` says; a damaged one is the end of an utterance: no more is known."""
    seq, id_, boot, body, _ = row
    item: Final | Closed | None = None
    if _intact(row):
        with contextlib.suppress(ValueError):  # of a later version, with other fields
            item = records.decode(body)
    if item is None:
        item = Closed(records.bare(str(id_), seq, str(boot)), None, Outcome.FAILED)
    return replace(item, started=_of_boot(item.started, boots.get(boot)))


def waiting_of(row: Row, boots: Mapping[str, EarlierBoot]) -> Waiting:
    """What one of `WAITING` says."""
    seq, id_, boot, record = row
    try:
        said = records.decode_waiting(record)
    except (TypeError, ValueError):
        said = Waiting(records.bare(str(id_), seq, str(boot)))
    return Waiting(_of_boot(said.started, boots.get(boot)), said.ended)


def boots_of(rows: Iterable[Row]) -> dict[str, EarlierBoot]:
    """What `BOOTS` says, by id."""
    return {
        id_: EarlierBoot(id_, float(offset), None if synced is None else bool(synced))
        for id_, offset, synced in rows
        if isinstance(id_, str) and isinstance(offset, (int, float))
    }


def _intact(row: Row) -> bool:
    seq, id_, boot, body, crc, *_ = row
    return isinstance(body, bytes) and crc == records.checksum(seq, id_, boot, body)


def _of_boot(started: UtteranceStarted, boot: EarlierBoot | None) -> UtteranceStarted:
    """As heard in `boot`, unless it is older still or of this one."""
    return replace(started, boot=boot) if boot is not None and started.boot is None else started
