"""What was said and who was told: finals and ends until the broker has them and a while longer.

One small SQLite file of the store. It also notes which utterances wait in files, so that one that
vanished is missed, and facts that must survive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scribed.model import Closed, EarlierBoot, Final, UtteranceId
from scribed.store import rows
from scribed.store.ballast import Ballast
from scribed.store.database import Database, LedgerError
from scribed.store.records import Packed, Waiting
from scribed.store.rows import BOOT, Boots
from scribed.store.schema import Writer

__all__ = ["BOOT", "SEQ_END", "Ledger", "LedgerError", "Waiting"]

KEPT = 10_000
"""Finals and ends that were delivered, and as many that were not: the outbox holds no more."""
VACUUM_PAGES = 256
"""Pages given back to the disk at once, 1 MiB."""
SEQ_END = "seq_end"
"""The fact that says up to where numbers were reserved."""


Item = Final | Closed | Packed


class Ledger:
    """See the module; `path` is the database file, `this_boot` how its clock stands just now.

    One owner at a time. The constructor never fails for what lies on the disk: `news` says what was
    set aside, and where the disk does not do, every call tries anew and raises `LedgerError`.
    """

    def __init__(
        self, path: Path, *, this_boot: Callable[[], EarlierBoot], ballast: Ballast
    ) -> None:
        self._this_boot = this_boot
        self._database = Database(path, rows.SCHEMA, ballast, self._begin)
        with contextlib.suppress(LedgerError):
            self._database.read("SELECT 1")

    @property
    def path(self) -> Path:
        """The file in use: another than was asked for where that is of a later version."""
        return self._database.path

    @property
    def news(self) -> tuple[str, ...]:
        """What was found wrong and done about it, a line each; it grows."""
        return tuple(self._database.news)

    def commit(
        self,
        *,
        waiting: Iterable[Waiting] = (),
        crashes: Iterable[UtteranceId] = (),
        items: Iterable[Item] = (),
        instead: Iterable[Packed] = (),
        delivered: Iterable[int] = (),
        now: float = 0.0,
        facts: Mapping[str, str | None] | None = None,
    ) -> list[Item]:
        """Note all of this in one durable transaction, in this order. Raises `LedgerError`.

        `waiting` are utterances in files of the state directory, `crashes` those of them in whose
        sending the daemon ended once more. `items` are finals and ends, which end the waiting;
        those that were new are returned, for an utterance has only one. `instead` are the ends that
        were published of some that have a text here, and replace it. `delivered` are numbers that
        the broker acknowledged (at `now`), which ends the waiting too; `facts` are values to
        remember; None forgets.
        """
        parts = tuple(waiting), tuple(crashes), tuple(items), tuple(instead), tuple(delivered)
        boot = self._this_boot()

        def change(run: Writer) -> list[Item]:
            waiting, crashes, items, instead, delivered = parts  # a second time the same
            rows.note_boot(run, boot)
            for record in waiting:
                rows.wait(run, record, boot.id)
            for id_ in crashes:
                rows.crashed(run, id_)
            new = [item for item in items if rows.settle(run, item, boot.id)]
            for end in instead:
                rows.replace_by(run, end, boot.id)
            for seq in delivered:
                rows.deliver(run, seq, now)
            for key, value in (facts or {}).items():
                rows.remember(run, key, value)
            return new

        return self._database.write(change)

    def settle(self, items: Iterable[Item]) -> list[Item]:
        """`commit()` of finals and ends alone."""
        return self.commit(items=items)

    def set_fact(self, key: str, value: str | None) -> None:
        """`commit()` of one fact alone."""
        self.commit(facts={key: value})

    def forget(self, before: float, keep: int = KEPT) -> tuple[int, int]:
        """Delete what was delivered before `before`, and all but the newest `keep`.

        Also the oldest undelivered beyond `keep`. How many of each. Raises `LedgerError`.
        """
        gone = self._database.write(lambda run: rows.forget(run, before, keep))
        if self._database.read("PRAGMA freelist_count")[0][0] > VACUUM_PAGES:
            self._database.shrink(VACUUM_PAGES)
        return gone

    # Reading; each raises `LedgerError`

    def undelivered(self) -> list[Final | Closed]:
        """All that the broker has not acknowledged, `KEPT` at most."""
        return self.finals(self.undelivered_numbers())

    def undelivered_numbers(self) -> list[int]:
        """The oldest `KEPT` numbers that the broker has not acknowledged, in order."""
        sql = "SELECT seq FROM final WHERE delivered IS NULL ORDER BY seq LIMIT ?"
        return [int(seq) for (seq,) in self._database.read(sql, (KEPT,))]

    def finals(self, numbers: list[int]) -> list[Final | Closed]:
        """Those with these numbers that there are, in order; `KEPT` at most.

        `started.boot` is set in those that were spoken in another boot, here and below.
        """
        marks = ",".join("?" * len(numbers))
        boots = self._boots()
        found = self._database.read(
            f"{rows.FINALS}WHERE seq IN ({marks}) ORDER BY seq",
            tuple(numbers),
        )
        return [rows.item_of(row, boots) for row in found]

    def highest_delivered(self) -> int:
        """The highest number that the broker has acknowledged; 0: none."""
        found = self._database.read("SELECT max(seq) FROM final WHERE delivered IS NOT NULL")
        return int(found[0][0] or 0)

    def numbers_since(self, seq: int) -> list[int]:
        """The oldest `KEPT` numbers above `seq`, delivered or not, in order."""
        sql = "SELECT seq FROM final WHERE seq > ? ORDER BY seq LIMIT ?"
        return [int(found) for (found,) in self._database.read(sql, (seq, KEPT))]

    def since(self, seq: int) -> list[Final | Closed]:
        """Those of `numbers_since()`, all at once."""
        return self.finals(self.numbers_since(seq))

    def count_undelivered(self) -> int:
        """How many finals and ends the broker has not acknowledged."""
        return int(self._database.read("SELECT count(*) FROM final WHERE delivered IS NULL")[0][0])

    def count(self) -> int:
        """How many finals and ends are kept."""
        return int(self._database.read("SELECT count(*) FROM final")[0][0])

    def has(self, id: UtteranceId) -> bool:
        """Whether an utterance has its final or its end."""
        return bool(self._database.read("SELECT 1 FROM final WHERE id = ?", (id,)))

    def waiting(self) -> list[Waiting]:
        """Utterances that should be in files, in order."""
        boots = self._boots()
        return [rows.waiting_of(row, boots) for row in self._database.read(rows.WAITING)]

    def crashes(self, id: UtteranceId) -> int:
        """How often the daemon ended while it sent that utterance."""
        found = self._database.read("SELECT crashes FROM waiting WHERE id = ?", (id,))
        return int(found[0][0]) if found else 0

    def fact(self, key: str) -> str | None:
        """A value that was remembered."""
        found = self._database.read("SELECT value FROM fact WHERE key = ?", (key,))
        return str(found[0][0]) if found else None

    def facts(self) -> dict[str, str]:
        """All values that are remembered."""
        return {str(key): str(value) for key, value in self._database.read(rows.FACTS)}

    def boot(self, id: str) -> EarlierBoot | None:
        """How an earlier boot's clock stood when it was last noted."""
        return self._boots().get(id)

    def highest(self) -> int:
        """The highest number of an utterance that is noted here; 0: none."""
        found = self._database.read("SELECT max(seq) FROM final UNION SELECT max(seq) FROM waiting")
        return max(seq or 0 for (seq,) in found)

    # The numbers' second home

    def reserved(self) -> int | None:
        """The first number that was not reserved when that was last noted, where it is known."""
        text = self.fact(SEQ_END) or ""
        return int(text) if text.isdecimal() and len(text) <= 15 else None

    def note_reserved(self, end: int) -> None:
        """Numbers below `end` may be used. Raises `LedgerError`."""
        self.set_fact(SEQ_END, str(end))

    def close(self) -> None:
        """Put everything into the one file and give it free; a later call opens it again."""
        self._database.close()

    def _begin(self, run: Writer, others: list[Path]) -> None:
        for path in others:
            rows.take_over(run, path)
        rows.begin(run, self._this_boot())

    def _boots(self) -> Boots:
        return Boots(self._database.read(rows.BOOTS), self._this_boot().id)
