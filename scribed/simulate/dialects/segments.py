"""The audio of one connection, cut into segments by commits."""

from __future__ import annotations

import hashlib

from scribed.simulate.recording import CommitRecord


class Segments:
    """Counts, hashes and, if asked, keeps what a client sends."""

    def __init__(self, session_id: str, *, bytes_per_s: int, keep_audio: bool) -> None:
        self._session_id, self._bytes_per_s = session_id, bytes_per_s
        self._keep_audio = keep_audio
        self.nbytes = 0  # of the whole connection
        self.committed = 0  # segments; also the number, from 0, of the open one
        self._start = 0  # of the open segment, in bytes
        self._open()

    def _open(self) -> None:
        self._digest = hashlib.sha256()
        self._pcm = bytearray() if self._keep_audio else None

    @property
    def sent_s(self) -> float:
        """Seconds of audio sent on this connection."""
        return self.nbytes / self._bytes_per_s

    @property
    def uncommitted_s(self) -> float:
        """Seconds of audio since the last commit."""
        return (self.nbytes - self._start) / self._bytes_per_s

    def add(self, audio: bytes) -> None:
        """Append to the open segment."""
        self.nbytes += len(audio)
        self._digest.update(audio)
        if self._pcm is not None:
            self._pcm += audio

    def commit(self, now: float, *, asked: bool) -> CommitRecord:
        """End the open segment and begin the next."""
        self.committed += 1
        record = CommitRecord(
            session_id=self._session_id,
            number=self.committed,
            asked=asked,
            start_s=self._start / self._bytes_per_s,
            duration_s=self.uncommitted_s,
            audio_bytes=self.nbytes - self._start,
            sha256=self._digest.hexdigest(),
            pcm=None if self._pcm is None else bytes(self._pcm),
            received_at=now,
        )
        self._start = self.nbytes
        self._open()
        return record
