"""One SQLite file and its only connection: opened whatever lies there, written durably.

The exceptions of `sqlite3` stay in here. A file that is damaged, foreign or unreadable is set aside
as `<stem>.damaged` (one is kept) and a new one begun. One of a later version is left as it is, and
`<stem>-<version>.db` takes its place, until the later version comes back and takes that over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from scribed.store.ballast import Ballast
from scribed.store.schema import (
    Later,
    Schema,
    Unusable,
    Writer,
    inspect,
    migrate,
    one_line,
    transact,
)

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_S = 2.0
"""How long to wait for whoever has the file open: somebody with the sqlite3 shell."""
FIRST_PRAGMAS = ("PRAGMA auto_vacuum=INCREMENTAL",)  # what is forgotten gives its room back
PRAGMAS = (
    "PRAGMA locking_mode=EXCLUSIVE",  # before the file is first read: no shared memory file
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=256",  # a WAL of 1 MiB
    "PRAGMA journal_size_limit=1048576",
    "PRAGMA secure_delete=FAST",  # transcripts are personal data
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA cache_size=-1024",
)
_SIBLINGS = ("", "-wal", "-shm", "-journal")


class LedgerError(OSError):
    """The disk does not take a change, or the file cannot be read; `str()` says why in words."""


class Database:
    """See the module. One owner at a time; opened at the first use, and again after an error.

    `news` says in words what was found wrong and what was done instead. `on_open` is called within
    the first transaction of each connection, with the files whose rows are to be taken over.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        ballast: Ballast,
        on_open: Callable[[Writer, list[Path]], object],
    ) -> None:
        self.path = path
        self.news: list[str] = []
        self._home, self._schema, self._ballast, self._on_open = path, schema, ballast, on_open
        self._aside: list[Path] = []  # set aside, and not taken over yet
        self._connection: sqlite3.Connection | None = None
        self._begun = False
        self._trusted = False  # every page was looked at since it was last found damaged

    def write(self, change: Callable[[Writer], T]) -> T:
        """Carry out `change` in one durable transaction. Raises `LedgerError`.

        It may be called twice: on a full disk again without the ballast, on a damaged file again
        with a new one.
        """

        def act(connection: sqlite3.Connection) -> T:
            self._begin(connection)
            return transact(connection, change)

        return self._twice(act, "written")

    def read(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query. Raises `LedgerError`."""
        return self._twice(lambda connection: connection.execute(sql, arguments).fetchall(), "read")

    def shrink(self, pages: int) -> None:
        """Give at most so many unused pages back to the disk. Raises `LedgerError`."""
        # Not by execute(): that takes one step, which is one page.
        script = f"PRAGMA incremental_vacuum({pages})"
        self._twice(lambda connection: connection.executescript(script), "written")

    def close(self) -> None:
        """Put everything into the one file and give it free."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._drop()

    def _twice(self, action: Callable[[sqlite3.Connection], T], verb: str) -> T:
        try:
            return self._try(action)
        except (Unusable, sqlite3.DatabaseError, OSError) as exc:
            self._drop()  # after some errors a connection can only be read
            error = exc
        try:
            if self._mend(error):
                return self._try(action)
        except (Unusable, sqlite3.DatabaseError, OSError) as exc:
            self._drop()
            error = exc
        raise LedgerError(f"the ledger {self.path} cannot be {verb}: {_words(error)}") from error

    def _try(self, action: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._open()
        return action(self._connection)

    def _mend(self, error: Exception) -> bool:
        """Do what may help against `error`; False: nothing can be done now. Raises `OSError`."""
        if isinstance(error, sqlite3.OperationalError):
            return "full" in str(error) and self._ballast.give_up()
        if isinstance(error, OSError):
            return False
        self._set_aside(_words(error))
        return True

    # Opening

    def _open(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except Later:
            instead = self._home.with_name(f"{self._home.stem}-{self._schema.version}.db")
            self.news.append(
                f"{self.path} is of a later version of scribed; it is kept as it is, and "
                f"{instead.name} is used instead"
            )
            self.path = instead
        return self._open_file()

    def _open_file(self) -> sqlite3.Connection:
        inspect(self.path, self._schema)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.text_factory = _lenient
            for pragma in PRAGMAS if self.path.stat().st_size else (*FIRST_PRAGMAS, *PRAGMAS):
                connection.execute(pragma).fetchall()
            migrate(connection, self._schema, thoroughly=not self._trusted)
            self._trusted, self._begun = True, False
            with contextlib.suppress(sqlite3.OperationalError):
                self._begin(connection)  # on a full disk it can be read all the same
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Take over what is in other files, once for each connection, before it is written to."""
        if self._begun:
            return
        stood_in = self._stood_in()
        others = [*self._aside, *stood_in]
        transact(connection, lambda run: self._on_open(run, others))
        self._begun = True
        self._aside.clear()
        for path in stood_in:
            with contextlib.suppress(OSError):
                _remove(path)

    def _stood_in(self) -> list[Path]:
        """What this and older versions used while this file was of a later one."""
        if self.path != self._home:
            return []
        versions = range(1, self._schema.version + 1)
        names = (self._home.with_name(f"{self._home.stem}-{version}.db") for version in versions)
        return [path for path in names if path.is_file()]

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _set_aside(self, why: str) -> None:
        """Raises `OSError` where the directory does not let it."""
        self._trusted = False
        aside = self.path.with_name(f"{self.path.stem}.damaged")
        _remove(aside)
        for suffix in _SIBLINGS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        self._aside.append(aside)
        self.news.append(
            f"{self.path} cannot be used ({why}); it is kept as {aside.name}, and a new one begun"
        )


def salvage(path: Path, query: str) -> list[Row]:
    """The rows of `query` (which ends in its table's name) that can be read from a damaged file.

    From both ends, so that a bad page in the middle costs no more than itself. Never raises.
    """
    found: dict[Row, None] = {}
    for direction in ("ASC", "DESC"):
        if not path.is_file():
            break
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            connection.text_factory = _lenient
            for row in connection.execute(f"{query} NOT INDEXED ORDER BY rowid {direction}"):
                found[row] = None
        except sqlite3.Error:
            pass  # what was read until here is what there is
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
    return list(found)


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _remove(path: Path) -> None:
    """Delete a database and what SQLite puts beside it. Raises `OSError`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    for suffix in _SIBLINGS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or one_line(error)
