"""Whether a SQLite file is ours and whole, and of which version; bringing it to this one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")
Writer = Callable[[str, Sequence[Any]], int]
"""Carries out one statement with its arguments; returns the number of rows it changed."""

NO_VERSION = 1000
"""A higher `user_version` is damage: so many there will not be."""
_MAGIC = b"SQLite format 3\0"


class Unusable(Exception):
    """What lies there is not ours to use; `str()` says why."""


class Later(Exception):
    """What lies there is of a later version."""


class Schema(Struct, frozen=True):
    """`migrations[n]` are the statements from version n to n + 1; `mark` is the application id."""

    mark: int
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        return len(self.migrations)


def inspect(path: Path, schema: Schema) -> None:
    """Look at a file before SQLite does, who would write to it.

    Raises `Unusable`, `Later`, or `OSError` where the disk cannot be read.
    """
    if not path.is_symlink() and not path.exists():
        return
    if path.is_symlink() or not path.is_file():
        raise Unusable("it is not a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise Unusable("it may not be read and written by this user")
    with path.open("rb") as file:
        first = file.read(100)
    if not first.startswith(_MAGIC):
        return  # empty, or damage that SQLite finds
    version, mark = (int.from_bytes(first[at : at + 4], "big") for at in (60, 68))
    if mark == schema.mark and schema.version < version <= NO_VERSION:
        raise Later
    if max(first[18], first[19]) > 2:  # SQLite would take it for one that may only be read
        raise Unusable("it is damaged: its first page is not of SQLite's making")


def transact(connection: sqlite3.Connection, change: Callable[[Writer], T]) -> T:
    """Carry out `change` in one transaction. Raises `sqlite3.Error`."""

    def run(sql: str, arguments: Sequence[Any] = ()) -> int:
        return connection.execute(sql, arguments).rowcount

    connection.execute("BEGIN IMMEDIATE")
    try:
        result = change(run)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def migrate(connection: sqlite3.Connection, schema: Schema, *, thoroughly: bool = True) -> None:
    """Check what is there, and bring it to this version in one transaction.

    `thoroughly`: every page, which takes as long as reading the file.
    Raises `Unusable`, `Later`, `sqlite3.Error`.
    """
    version, mark = _number(connection, "user_version"), _number(connection, "application_id")
    made = _made(connection)
    if version == 0 and not made:
        mark = schema.mark
    if mark != schema.mark or not 0 <= version <= NO_VERSION or (version == 0 and made):
        raise Unusable("it is not a ledger of scribed")
    if version > schema.version:
        raise Later
    if thoroughly:
        problems = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if problems != [("ok",)]:
            raise Unusable(f"it is damaged: {one_line(problems[0][0])}")
    if made != _expected(schema.migrations[:version]):
        raise Unusable("it is damaged: its tables are not as they should be")
    if version < schema.version:
        transact(connection, lambda run: _bring_up(run, schema, version))
        # An older version looks into the file alone to see that it may not touch it.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def one_line(text: object) -> str:
    """`text` for a log line."""
    return " ".join(str(text).split())[:200]


def _bring_up(run: Writer, schema: Schema, version: int) -> None:
    for statements in schema.migrations[version:]:
        for statement in statements:
            run(statement, ())
    run(f"PRAGMA application_id={schema.mark}", ())
    run(f"PRAGMA user_version={schema.version}", ())


def _expected(migrations: Iterable[tuple[str, ...]]) -> list[Any]:
    """The tables and indexes, in words, that a file has after `migrations`."""
    connection = sqlite3.connect(":memory:")
    try:
        for statements in migrations:
            for statement in statements:
                connection.execute(statement)
        return _made(connection)
    finally:
        connection.close()


def _made(connection: sqlite3.Connection) -> list[Any]:
    return [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master ORDER BY name")]


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
