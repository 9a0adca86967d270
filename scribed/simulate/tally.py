"""Keeps what the simulator has seen: written by the server's thread, read by any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scribed.simulate.recording import CommitRecord, SessionRecord, Stats

LIMIT = 10_000  # sessions, and commits, that are remembered; `Stats` counts all

Record = Callable[[SessionRecord | CommitRecord], None]


class Tally:
    """Immutable values that are replaced whole, so that a reader needs no lock."""

    def __init__(self, record: Record | None) -> None:
        self._record = record
        self.stats = Stats()
        self.commits: tuple[CommitRecord, ...] = ()
        self._entries: tuple[Entry, ...] = ()

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        return tuple(entry.session for entry in self._entries)

    def open(self, session: SessionRecord) -> Entry:
        """Begin the account of one connection."""
        entry = Entry(self, session)
        self._entries = (*self._entries, entry)[-LIMIT:]
        self.stats = replace(self.stats, connections=self.stats.connections + 1)
        self.report(session)
        return entry

    def report(self, record: SessionRecord | CommitRecord) -> None:
        """Tell whoever listens."""
        if self._record is not None:
            self._record(record)

    def commit(self, commit: CommitRecord) -> None:
        """Note a commit when it is taken, and again when it is answered."""
        stats = self.stats
        if commit.answered_at is None:
            self.commits = (*self.commits, commit)[-LIMIT:]
            self.stats = replace(stats, commits=stats.commits + 1)
        else:
            self.commits = tuple(commit if same(commit, old) else old for old in self.commits)
            self.stats = replace(stats, answers=stats.answers + 1)
        self.report(commit)


class Entry:
    """The account of one connection."""

    def __init__(self, tally: Tally, session: SessionRecord) -> None:
        self._tally = tally
        self.session = session

    def received(self, *, messages: int, wire_bytes: int, audio_bytes: int) -> None:
        """Note how much has arrived on this connection by now."""
        old, stats = self.session, self._tally.stats
        self.session = replace(
            old, messages=messages, wire_bytes=wire_bytes, audio_bytes=audio_bytes
        )
        self._tally.stats = replace(
            stats,
            messages=stats.messages + messages - old.messages,
            wire_bytes=stats.wire_bytes + wire_bytes - old.wire_bytes,
            audio_bytes=stats.audio_bytes + audio_bytes - old.audio_bytes,
        )

    def committed(self, commits: list[CommitRecord]) -> None:
        """Note commits that were taken or answered."""
        for commit in commits:
            if commit.answered_at is None:
                self.session = replace(self.session, commits=self.session.commits + 1)
            self._tally.commit(commit)

    def closed(self, *, close: tuple[int, str] | None, refused: str | None, now: float) -> None:
        """Note the end."""
        self.session = replace(self.session, close=close, refused=refused, closed_at=now)
        if refused is not None:
            stats = self._tally.stats
            self._tally.stats = replace(stats, refused=stats.refused + 1)
        self._tally.report(self.session)


def same(a: CommitRecord, b: CommitRecord) -> bool:
    return (a.session_id, a.number) == (b.session_id, b.number)
