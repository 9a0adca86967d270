"""The state directory, looked at without touching it: no lock is taken, nothing is written."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import re
import sqlite3
from pathlib import Path

from scribed.doctor.machine import Store
from scribed.store.audiofile import NAME
from scribed.store.rows import SCHEMA
from scribed.store.schema import Later, Unusable, inspect, one_line

LOCKS = Path("/proc/locks")
MAX_FILES = 10_000
_LOCK = re.compile(r"\d+: FLOCK +\S+ +WRITE (-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) ")
_SELDOM = 64 << 20
"""A ledger over so many bytes is looked at by its first page only: that takes seconds."""


def look(state: Path, runtime: Path) -> Store:
    """How the store is; the daemon may be running meanwhile."""
    path = str(state)
    try:
        stat = state.stat()
        names = {each.name for each in state.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return Store(path, is_there=False)
    except OSError:
        return Store(path, is_there=True, may_look=False)
    held_by = lock_holder(state / "lock")
    has_journal = _size(state / "ledger.db-wal") > 0
    # While the daemon runs its pages change under whoever reads without its lock.
    is_still = held_by is None and not has_journal and "ledger.db" in names
    return Store(
        path,
        is_there=True,
        is_read_only=_is_read_only(state),
        owner=(_name(stat.st_uid), stat.st_uid),
        held_by=held_by,
        ledger=_ledger(state / "ledger.db") if is_still else "",
        has_journal=has_journal,
        waiting=sum(_count(directory / "audio", NAME) for directory in (state, runtime)),
        quarantined=_count(state / "quarantine", NAME),
    )


def lock_holder(lock: Path, locks: Path = LOCKS) -> int | None:
    """The process that holds `lock`, by the kernel's list: to try it would be to take it."""
    try:
        inode = lock.stat().st_ino
        text = locks.read_text("ascii", "replace")
    except OSError:
        return None
    held = (match for line in text.splitlines() if (match := _LOCK.match(line)))
    return next((int(match[1]) for match in held if int(match[2]) == inode), None)


def _ledger(path: Path) -> str:
    """What is wrong with a ledger that nobody uses, "" where nothing is."""
    try:
        inspect(path, SCHEMA)
        if _size(path) > _SELDOM:
            return ""
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
    except Later:
        return "is of a later version of scribed"
    except (Unusable, sqlite3.Error, OSError) as exc:
        return f"is damaged: {one_line(exc)}"
    return "" if said == ("ok",) else f"is damaged: {one_line(said[0])}"


def _is_read_only(directory: Path) -> bool:
    try:
        flags = os.statvfs(directory).f_flag
    except OSError:
        return False
    return bool(flags & os.ST_RDONLY) or not os.access(directory, os.W_OK | os.X_OK)


def _count(directory: Path, name: re.Pattern[str]) -> int:
    try:
        with os.scandir(directory) as entries:
            some = itertools.islice(entries, MAX_FILES)
            return sum(1 for each in some if name.fullmatch(each.name))
    except OSError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
