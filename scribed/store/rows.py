"""The ledger's tables, and how one row of each is written and read.

Times are of CLOCK_BOOTTIME; the `boot` table says what that is on the wall clock, for rows that are
read after the next boot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from scribed.model import Closed, EarlierBoot, Final, Outcome, UtteranceId, UtteranceStarted
from scribed.store import records
from scribed.store.database import Row, salvage
from scribed.store.records import Packed, Waiting
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
        ("ALTER TABLE waiting ADD COLUMN crc INTEGER",),
    ),
)
FINALS = "SELECT seq, id, boot, body, crc FROM final "
WAITING = "SELECT seq, id, boot, record, crc FROM waiting ORDER BY seq"
BOOTS = "SELECT id, unix_offset, synced FROM boot"
FACTS = "SELECT key, value FROM fact"
BOOTS_KEPT = 64
"""So many are kept that no row is of."""
BOOT = "boot"
"""The fact that says in which boot the ledger was last open."""

_WAITING_OF_VERSION_1 = "SELECT seq, id, boot, record, NULL, crashes FROM waiting"
_TAKEN_OVER = (
    (
        "SELECT seq, id, boot, body, crc, delivered FROM final",
        "INSERT OR IGNORE INTO final(seq, id, boot, body, crc, delivered) "
        "VALUES (?, ?, ?, ?, ?, ?)",
    ),
    (
        "SELECT seq, id, boot, record, crc, crashes FROM waiting",
        "INSERT OR IGNORE INTO waiting(seq, id, boot, record, crc, crashes) "
        "VALUES (?, ?, ?, ?, ?, ?)",
    ),
    (FACTS, "INSERT OR IGNORE INTO fact(key, value) VALUES (?, ?)"),
    (BOOTS, "INSERT OR IGNORE INTO boot(id, unix_offset, synced) VALUES (?, ?, ?)"),
)


# Writing


def settle(run: Writer, item: Final | Closed | Packed, boot: str) -> bool:
    """Note a final or an end; False: its utterance has one, or another has its number."""
    if isinstance(item, Packed):
        id_, seq, body = item.id, item.seq, item.body
    else:
        id_, seq, body = item.started.id, item.started.seq, records.encode(item)
    row = (seq, id_, boot, body, records.checksum(seq, id_, boot, body))
    new = run("INSERT OR IGNORE INTO final(seq, id, boot, body, crc) VALUES (?, ?, ?, ?, ?)", row)
    run("DELETE FROM waiting WHERE id = ?1 AND EXISTS (SELECT 1 FROM final WHERE id = ?1)", (id_,))
    return bool(new)


def replace_by(run: Writer, end: Packed, boot: str) -> None:
    """The end of an utterance takes the place of its text; where that was of an earlier boot the
    end says so itself."""
    crc = records.checksum(end.seq, end.id, boot, end.body)
    found = "UPDATE final SET body = ?, crc = ?, boot = ? WHERE seq = ? AND id = ?"
    run(found, (end.body, crc, boot, end.seq, end.id))


def wait(run: Writer, record: Waiting, boot: str) -> None:
    """Note an utterance that waits in a file, or that it has ended meanwhile."""
    started, body = record.started, records.encode_waiting(record)
    crc = records.checksum(started.seq, started.id, boot, body)
    run(
        "INSERT INTO waiting(seq, id, boot, record, crc, crashes) VALUES (?, ?, ?, ?, ?, 0) "
        "ON CONFLICT DO UPDATE SET boot = excluded.boot, record = excluded.record, "
        "crc = excluded.crc WHERE id = excluded.id AND seq = excluded.seq",
        (started.seq, started.id, boot, body, crc),
    )


def crashed(run: Writer, id: UtteranceId) -> None:
    run("UPDATE waiting SET crashes = crashes + 1 WHERE id = ?", (id,))


def deliver(run: Writer, seq: int, now: float) -> None:
    """The broker has it: its file is not missed any more, though the text may be unknown here."""
    run("DELETE FROM waiting WHERE seq = ?", (seq,))
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
    run(
        "DELETE FROM boot WHERE rowid <= (SELECT max(rowid) FROM boot) - ? "
        "AND id NOT IN (SELECT boot FROM final UNION SELECT boot FROM waiting)",
        (BOOTS_KEPT,),
    )


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
        found = salvage(path, select)
        if "INTO waiting" in insert:
            found = found or salvage(path, _WAITING_OF_VERSION_1)
            found = [row for row in found if _plausible(row)]
        elif "INTO final" in insert:
            found = [row for row in found if _intact(row)]
        for row in found:
            run(insert, row)


# Reading


class Boots:
    """The boots that are known, and which of them is this one."""

    def __init__(self, found: Iterable[Row], here: str) -> None:
        """`found` is what `BOOTS` says."""
        self._here = here
        self._known = {
            id_: EarlierBoot(id_, float(offset), None if synced is None else bool(synced))
            for id_, offset, synced in found
            if isinstance(id_, str) and isinstance(offset, (int, float)) and id_ != here
        }

    def get(self, id: str) -> EarlierBoot | None:
        """How an earlier boot's clock stood; None: that is not known, or it is this one."""
        return self._known.get(id)

    def dated(self, started: UtteranceStarted, boot: object) -> UtteranceStarted:
        """As heard in `boot`, unless it is older still.

        Of a boot that nobody remembers it is only known that it is not this one: what was said
        there is never new.
        """
        if boot == self._here or started.boot is not None:
            return started
        name = str(boot)
        return replace(started, boot=self.get(name) or EarlierBoot(name, 0.0, None))


def item_of(row: Row, boots: Boots) -> Final | Closed:
    """What one of `FINALS` says; a damaged one is the end of an utterance: no more is known."""
    seq, id_, boot, body, _ = row
    item: Final | Closed | None = None
    if _intact(row):
        with contextlib.suppress(ValueError):  # of a later version, with other fields
            item = records.decode(body)
    if item is None:
        item = Closed(records.bare(str(id_), seq, str(boot)), None, Outcome.FAILED)
    return replace(item, started=boots.dated(item.started, boot))


def waiting_of(row: Row, boots: Boots) -> Waiting:
    """What one of `WAITING` says; of a damaged one no more than who it is about is known."""
    seq, id_, boot, record, _ = row
    said: Waiting | None = None
    if _plausible(row):
        with contextlib.suppress(TypeError, ValueError):
            said = records.decode_waiting(record)
    if said is None:
        said = Waiting(records.bare(str(id_), seq, str(boot)))
    return Waiting(boots.dated(said.started, boot), said.ended)


def _intact(row: Row) -> bool:
    """Whether a row of `final` or `waiting` is as it was written."""
    seq, id_, boot, body, crc, *_ = row
    return isinstance(body, bytes) and crc == records.checksum(seq, id_, boot, body)


def _plausible(row: Row) -> bool:
    """Whether a row of `waiting` is: one that version 1 wrote has no checksum."""
    return row[4] is None or _intact(row)
