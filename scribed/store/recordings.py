"""Flight recordings on the disk: written in pieces between other work, capped in size and age."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import stat
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from scribed import config, kinds
from scribed.model import CommandError, Reply, seconds
from scribed.recording import KeepRecording, encode
from scribed.store.places import write_all

logger = logging.getLogger(__name__)

DIRECTORY = "recordings"
"""Under the state directory."""
PIECE_BYTES = 64 << 10
"""Two seconds of sound: the store has the audio of utterances to write as well."""
LOOK_S = 600.0
"""How often it is looked whether something is too old."""
_PART = "now.part"


class Recordings:
    """Nothing raises. For the store's thread; one recording is written at a time.

    `now` is that of `scribed.clock`; ages count by the wall clock, as files have it.
    `min_free_bytes` are left to others.
    """

    def __init__(
        self,
        state: Path,
        limits: config.Recorder,
        *,
        min_free_bytes: int,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._directory, self._min_free = state / DIRECTORY, min_free_bytes
        self._max_bytes, self._max_age_s = limits.max_mb << 20, limits.max_age_h * 3600
        self._now, self._wall = now, wall
        self._keep: KeepRecording | None = None  # what is being written
        self._rest = memoryview(b"")
        self._fd = -1
        self._name = ""
        self._are_any = self._directory.is_dir()
        self._look_at = 0.0

    @property
    def due_at(self) -> float | None:
        """When there is something to do; None: nothing."""
        if self._keep is not None:
            return 0.0
        return self._look_at if self._are_any else None

    def begin(self, keep: KeepRecording) -> None:
        """Begin to write; whoever waits for it is answered when it is whole, or cannot be."""
        self.close()
        self._keep, recording = keep, keep.recording
        heard_at = recording.at + self._wall() - self._now()
        self._rest = memoryview(encode(recording, _rfc3339(heard_at)))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._are_any = True
            self._make_room(len(self._rest))
            self._name = self._free_name(heard_at, recording.trigger)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._directory / _PART, flags, 0o600)
        except OSError as exc:
            self._failed(exc)

    def look_after(self) -> bool:
        """Write a piece of what is being written, or delete what is too old; whether a recording
        has ended by that, well or not."""
        if self._keep is None:
            self._tidy()
            return False
        if self._fd >= 0:
            self._go_on(self._keep)
        if self._fd >= 0:
            return False
        self._keep = None
        return True

    def close(self) -> None:
        """Finish what is being written."""
        while self._keep is not None:
            self.look_after()

    def _go_on(self, keep: KeepRecording) -> None:
        try:
            write_all(self._fd, bytes(self._rest[:PIECE_BYTES]))
            self._rest = self._rest[PIECE_BYTES:]
            if self._rest:
                return
            path = self._directory / self._name
            (self._directory / _PART).rename(path)
        except OSError as exc:
            self._failed(exc)
            return
        self._let_go()
        audio_ms = round(seconds(len(keep.recording.pcm)) * 1000)
        trigger = f"{keep.recording.trigger} {keep.recording.about}".strip()
        extra = kinds.RECORDED(path=path, reason=trigger, audio_ms=audio_ms)
        logger.info("recorded %d ms (%s): %s", audio_ms, trigger, path, extra=extra)
        self._answer({"name": path.name, "path": str(path), "audio_ms": audio_ms})

    def _tidy(self) -> None:
        """Delete what is too old, and what a crash left."""
        if not self._are_any or self._now() < self._look_at:
            return
        self._look_at = self._now() + LOOK_S
        with contextlib.suppress(OSError):
            (self._directory / _PART).unlink(missing_ok=True)
            self._make_room(0)

    def _make_room(self, nbytes: int) -> None:
        """Raises `OSError` where there is none."""
        if nbytes > self._max_bytes:
            raise OSError(f"{nbytes} bytes are more than recorder.max_mb")
        files = self._files()
        used = sum(size for _, _, size in files)
        for changed_at, path, size in files:
            if used + nbytes <= self._max_bytes and self._wall() - changed_at <= self._max_age_s:
                break
            path.unlink(missing_ok=True)
            used -= size
        if not nbytes:
            return
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize - nbytes < self._min_free:
            raise OSError("the disk is full (spool.min_free_mb)")

    def _files(self) -> list[tuple[float, Path, int]]:
        """When each was written, its path and size, the oldest first; what somebody deletes
        meanwhile, and what is no file, is none of ours."""
        found = []
        for path in self._directory.glob("*.wav"):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append((status.st_mtime, path, status.st_size))
        return sorted(found)

    def _free_name(self, heard_at: float, trigger: str) -> str:
        stem = f"{datetime.fromtimestamp(heard_at, timezone.utc):%Y%m%dT%H%M%SZ}-{trigger}"
        names = (f"{stem}{f'-{n}' if n else ''}.wav" for n in itertools.count())
        return next(name for name in names if not (self._directory / name).exists())

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._rest = -1, memoryview(b"")

    def _failed(self, exc: OSError) -> None:
        self._let_go()
        with contextlib.suppress(OSError):
            (self._directory / _PART).unlink(missing_ok=True)
        why = exc.strerror or str(exc)
        extra = kinds.NOT_RECORDED(path=self._directory, error=why)
        logger.warning("no recording in %s: %s", self._directory, why, extra=extra)
        self._answer(CommandError("failed", f"the recording could not be written: {why}"))

    def _answer(self, said: dict[str, Any] | CommandError) -> None:
        command = None if self._keep is None else self._keep.command
        if command is None:
            return
        if isinstance(said, CommandError):
            command.answer.put(Reply(command.token, error=said))
        else:
            command.answer.put(Reply(command.token, said))


def _rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(unix, timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
