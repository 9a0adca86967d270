"""The audio of every utterance without an answer: one file each, in memory or on the disk.

This decides where each file is, what happens where a file system does not take it, and which goes
when there is no room; `audiofile` does it to one file, `rescue` finds what earlier runs left.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from scribed.config import Spool
from scribed.model import (
    Alert,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)
from scribed.store.audiofile import AudioFile, Kind
from scribed.store.disk import RETRY_S
from scribed.store.inventory import Info, Infos, Scan, SetAside, info
from scribed.store.quarantine import Quarantine
from scribed.store.rescue import rescue, shortened
from scribed.store.room import Ids, Room
from scribed.store.wav import Meta

__all__ = ["RETRY_S", "Info", "Scan", "SetAside", "Utterances"]

SYNC_S = 0.9
"""How often open audio is made durable with durability "power": a power cut may cost 1.1 s of it,
and 100 ms of that were still with the microphone, as many with the gate."""
TRIM_S = 60.0
MAX_WAITING_BYTES = 1 << 20
"""Audio of an open utterance that may wait in memory for a file: more than a whole one has."""


class _Open(Struct):
    """An utterance that is being spoken; `waiting` is audio that its file did not take yet."""

    meta: Meta
    file: AudioFile | None = None
    waiting: bytearray = field(default_factory=bytearray)


class Utterances:
    """The files in `<runtime>/audio` and `<state>/audio`; for one thread.

    `now`, `wall`: the clocks of `scribed.clock`; `synced`: whether the wall clock is right, as far
    as is known. `runtime` None: everything goes to `state`. With durability "memory" no file is
    made, but those of an earlier configuration are found and served.

    Nothing raises where nothing is said: a disk that does not take audio leads to `trouble`, to the
    other directory and to evictions. An id that is not known is ignored.
    """

    def __init__(
        self,
        state: Path,
        runtime: Path | None,
        *,
        spool: Spool,
        boot_id: str,
        now: Callable[[], float],
        wall: Callable[[], float],
        synced: Callable[[], bool | None],
    ) -> None:
        """Makes the directories where it can; reads nothing: `scan()` first."""
        self.well = True
        """Where new ones begin (durability "process"): True: runtime, False: state. Changing it
        moves nothing: call `secure()`."""
        self.unwritten_bytes = 0
        """Audio that no file took since the start; its utterances were sealed with False."""
        self.mismatches = 0
        """Files whose audio was not what was sealed, found by `scan` or `load`."""
        self._durability = spool.durability
        self._boot_id, self._now, self._wall, self._synced = boot_id, now, wall, synced
        self._room = Room(state, runtime, spool, now)
        self._files = self._room.files
        self._quarantine = Quarantine(state / "quarantine", wall, synced)
        self._open: dict[UtteranceId, _Open] = {}
        self._sync_at = self._trim_at = 0.0

    @property
    def trouble(self) -> Alert | None:
        """disk_error or spool_full while the state directory does not take all audio, else None.

        While it is set, call `make_room()` every `RETRY_S`: it finds out when it is over.
        """
        return self._room.disk.trouble

    def scan(self, progress: Callable[[], None] = lambda: None) -> Scan:
        """Take over what earlier runs left: once, before anything else. Never raises.

        Torn files are cut to whole samples and sealed, damaged ones go to `<state>/quarantine`,
        of two files of one utterance the more complete stays, all else is left alone. The
        checksums of the first `rescue.VERIFY_BYTES` are compared; of the rest when it is loaded.
        `progress` is called at each file.
        """
        result = rescue(self._room.places, self._quarantine, progress)
        self._files.update({file.meta.started.id: file for file in result.files})
        self.mismatches += len(result.mismatched)
        self._quarantine.trim()
        return Scan(
            tuple(info(file, self._boot_id) for file in result.files),
            tuple(result.torn),
            tuple(result.mismatched),
            tuple(result.damaged),
            result.foreign,
            tuple(result.problems),
        )

    def retune(self, spool: Spool) -> None:
        """Hold other limits on the disk from the next `make_room()` on."""
        self._room.retune(spool)

    def begin(self, started: UtteranceStarted) -> None:
        """Make its file."""
        if self._durability == "memory" or started.id in self._files or started.id in self._open:
            return
        meta = Meta(started, self._boot_id, self._wall() - self._now(), self._synced())
        utterance = self._open[started.id] = _Open(meta)
        self._write(utterance)
        self._sync_at = 0.0  # its first frames have waited for the gate

    def append(self, id: UtteranceId, pcm: bytes) -> None:
        """Its next piece, also of what is held back: one write(2), no fsync."""
        utterance = self._open.get(id)
        if utterance is None:
            return
        if utterance.file is not None and not utterance.waiting:
            try:
                written = utterance.file.append(pcm)
            except OSError:
                written = 0  # tried once more below, where it is decided what that means
            if written == len(pcm):
                return
            pcm = pcm[written:]
        room = MAX_WAITING_BYTES - len(utterance.waiting)
        self.unwritten_bytes += max(0, len(pcm) - room)
        utterance.waiting += pcm[:room]
        self._write(utterance)

    def cut(self, id: UtteranceId, nbytes: int) -> None:
        """The last `nbytes` of it belong to the next utterance, which has them already.

        Where a disk does not let them be taken away they stay: twice is better than never.
        """
        utterance = self._open.get(id)
        if utterance is None:
            return
        kept = max(0, len(utterance.waiting) - nbytes)
        nbytes -= len(utterance.waiting) - kept
        del utterance.waiting[kept:]
        file = utterance.file
        if file is None or nbytes <= 0:
            return
        if self._durability == "power":
            self._make_durable()  # the next one's: these are about to be its only copy
        kept = max(0, file.nbytes - nbytes)
        while file.nbytes > kept:
            try:
                file.shorten(kept)
            except OSError as exc:
                if not self._room.elsewhere(file, exc):
                    return

    def seal(self, ended: UtteranceEnded) -> bool:
        """It is complete. True: all its audio is in a file (on flash: durably).

        False: there is none, or a part only, which stays for a restart to find.
        """
        utterance = self._open.pop(ended.id, None)
        if utterance is None:
            return False
        whole = self._write(utterance)
        self.unwritten_bytes += len(utterance.waiting)
        file = utterance.file
        while file is not None:
            held = ended if whole else shortened(ended, file.nbytes)
            try:
                file.seal(held, self._wall() - self._now(), self._synced())
            except OSError as exc:
                if not self._room.elsewhere(file, exc):
                    file.release()
                    file.meta = replace(file.meta, ended=held)
                    return False
            else:
                return whole
        return False

    def discard(self, id: UtteranceId) -> None:
        """Delete its file; where the disk does not let it, later."""
        self._open.pop(id, None)
        self._room.remove(id)

    def load(self, id: UtteranceId) -> bytes:
        """Its audio. Raises `OSError` where it cannot be read, or is not known."""
        file = self._files.get(id)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, f"no file holds utterance {id}")
        pcm = file.read()
        if not file.open and not file.checked and not file.matches(pcm):
            self.mismatches += 1
        utterance = self._open.get(id)
        return pcm if utterance is None else pcm + utterance.waiting

    def mark_sending(self, id: UtteranceId, sending: bool) -> None:
        """It is being sent after a restart, or is not any more: a sealed file's name tells."""
        self._mark(id, Kind.SENDING if sending else Kind.SEALED)

    def mark_answered(self, id: UtteranceId) -> None:
        """It had its answer once, and stays so marked: it is never given up for a crash."""
        self._mark(id, Kind.ANSWERED)

    def _mark(self, id: UtteranceId, kind: Kind) -> None:
        file = self._files.get(id)
        if file is None or file.open or file.kind is Kind.ANSWERED:
            return
        try:
            file.rename(kind)
        except OSError as exc:
            self._room.failed(file.place, exc)

    def quarantine(self, id: UtteranceId, why: str) -> Path | None:
        """Set its file aside: it is none of ours then. Where it went; None: it is deleted."""
        self._open.pop(id, None)
        file = self._files.pop(id, None)
        if file is None:
            return None
        file.forget()
        file.tidy()
        return self._quarantine.take(file.path, why)

    def secure(self) -> bool:
        """Move all to the state directory, open ones too. True: all is there.

        What could not be moved stays and goes on in the runtime directory.
        """
        moved = self._room.secure()
        return moved and not any(utterance.waiting for utterance in self._open.values())

    def sync_at(self) -> float | None:
        """When `sync()` is due; None: nothing is open that it makes durable."""
        return self._sync_at if self._durability == "power" and self._open else None

    def sync(self, now: float) -> None:
        """With durability "power": make open files durable, as often as `SYNC_S` says."""
        if self._durability != "power" or now < self._sync_at:
            return
        self._sync_at = now + SYNC_S
        self._make_durable()

    def make_room(self) -> Ids:
        """Hold the limits; return those that were evicted since the last call, oldest first.

        Also finds out whether `trouble` is over, deletes what could not be deleted earlier, and
        ends old quarantine. Call it with each batch; without need it costs a `statvfs`.
        """
        now = self._now()
        if now >= self._trim_at:
            self._trim_at = now + TRIM_S
            self._quarantine.trim()
        return self._room.hold(durable=self._wants_durable())

    @property
    def nbytes(self) -> int:
        """Room that all files take, headers included, in bytes."""
        return sum(place.used for place in self._room.places)

    def list(self) -> Infos:
        """All there are, oldest first."""
        return [info(file, self._boot_id) for file in self._room.oldest_first()]

    def held(self, *, durable: bool) -> tuple[int, int]:
        """How many files are where a reboot spares them, or are not, and their bytes of audio."""
        found = [file.nbytes for file in self._files.values() if file.place.durable is durable]
        return len(found), sum(found)

    def get(self, id: UtteranceId) -> Info | None:
        """That one, or None."""
        file = self._files.get(id)
        return None if file is None else info(file, self._boot_id)

    def close(self) -> None:
        """Close the files; those of open utterances stay as a kill leaves them."""
        for file in self._files.values():
            file.release()
        self._open.clear()

    def _wants_durable(self) -> bool:
        return self._durability == "power" or not self.well

    def _make_durable(self) -> None:
        for utterance in self._open.values():
            if utterance.file is None:
                continue
            try:
                utterance.file.sync()
            except OSError as exc:
                self._room.elsewhere(utterance.file, exc)

    def _write(self, utterance: _Open) -> bool:
        """Bring what waits into its file, wherever there is room; False: there is none."""
        while True:
            try:
                if utterance.file is None:
                    utterance.file = self._room.create(
                        utterance.meta, durable=self._wants_durable()
                    )
                while utterance.waiting:
                    del utterance.waiting[: utterance.file.append(utterance.waiting)]
            except OSError as exc:
                if utterance.file is None or not self._room.elsewhere(utterance.file, exc):
                    return False
            else:
                return True
