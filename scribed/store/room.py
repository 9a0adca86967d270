"""Which audio file lies where, and which one goes when there is no room."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from scribed import kinds
from scribed.config import Spool
from scribed.model import UtteranceId
from scribed.store.audiofile import AudioFile
from scribed.store.disk import NO_ROOM, RETRY_S, Disk
from scribed.store.places import BLOCK_BYTES, Place
from scribed.store.wav import Meta

logger = logging.getLogger(__name__)

_MB = 1 << 20

Ids = list[UtteranceId]


class Room:
    """The two places, the files in them, and the limits of both.

    The file of an open utterance is never evicted. Nothing raises where nothing is said.
    """

    def __init__(
        self, state: Path, runtime: Path | None, spool: Spool, now: Callable[[], float]
    ) -> None:
        self.state = Place(state / "audio", durable=True, max_bytes=spool.max_mb * _MB)
        self.ring: Place | None = None
        """The place in memory."""
        if runtime is not None:
            ring_bytes = spool.runtime_max_mb * _MB
            self.ring = Place(runtime / "audio", durable=False, max_bytes=ring_bytes)
        self.places = [self.state] if self.ring is None else [self.ring, self.state]
        self.disk = Disk(self.state, spool.min_free_mb * _MB, now)
        self.files: dict[UtteranceId, AudioFile] = {}
        self._now = now
        self._evicted: Ids = []
        self._doomed: list[AudioFile] = []
        self._tidy_at = 0.0
        for place in self.places:
            try:
                place.make()
            except OSError as exc:
                self.failed(place, exc)

    def retune(self, spool: Spool) -> None:
        """Hold other limits on the disk from now on."""
        self.state.max_bytes = spool.max_mb * _MB
        self.disk.min_free_bytes = spool.min_free_mb * _MB

    def create(self, meta: Meta, *, durable: bool) -> AudioFile:
        """Begin a file; `durable`: in the state directory, if it can be. Raises `OSError`."""
        places = self._preference(durable=durable)
        error = OSError("no directory takes audio now")
        while True:
            for place in places:
                try:
                    file = self.files[meta.started.id] = AudioFile.create(place, meta)
                except OSError as exc:
                    error = exc
                    self.failed(place, exc)
                else:
                    return file
            if not self._give_way(error):
                raise error

    def elsewhere(self, file: AudioFile, exc: OSError) -> bool:
        """`file` could not be written where it is. True: try again, something has changed."""
        self.failed(file.place, exc)
        if file.place is self.ring:
            return self._to_state(file) or self._give_way(exc)
        if self.ring is None:
            return self._give_way(exc)
        while True:
            try:
                file.move(self.ring)
            except OSError as moving:
                if not self._give_way(moving):
                    return False
            else:
                return True

    def failed(self, place: Place, exc: OSError) -> None:
        """A file system did not take something."""
        if place is self.state:
            self.disk.failed(exc)
        else:
            why = exc.strerror or exc
            extra = kinds.AUDIO_UNWRITABLE(path=place.directory, error=why)
            logger.warning("%s does not take audio: %s", place.directory, why, extra=extra)

    def remove(self, id: UtteranceId) -> None:
        """Delete a file; where the disk does not let it, later."""
        file = self.files.pop(id, None)
        if file is None:
            return
        if not file.remove():
            self._doomed.append(file)
        extra = kinds.UTTERANCE_PURGED(utterance_id=id, seq=_seq(file))
        logger.debug("the audio of utterance %d is deleted", _seq(file), extra=extra)

    def secure(self) -> bool:
        """Move all to the state directory. True: all is there."""
        return all(file.place is self.state or self._to_state(file) for file in self.oldest_first())

    def hold(self, *, durable: bool) -> Ids:
        """Hold the limits, see what is better again; who was evicted since the last call."""
        self.disk.check()
        if self._now() >= self._tidy_at:
            self._tidy_at = self._now() + RETRY_S
            self._doomed = [file for file in self._doomed if not file.remove()]
            for file in self.files.values():
                file.tidy()
        self._hold_state()
        self._hold_ring()
        if durable and self.ring is not None and self.ring.used:
            self.secure()
        evicted, self._evicted = self._evicted, []
        return evicted

    def oldest_first(self) -> list[AudioFile]:
        """All files, by `seq`."""
        return sorted(self.files.values(), key=_seq)

    def _preference(self, *, durable: bool) -> list[Place]:
        """Where a new file may be, the best place first."""
        state = [self.state] if self.disk.takes(BLOCK_BYTES) else []
        ring = [] if self.ring is None else [self.ring]
        return state + ring if durable else ring + state

    def _hold_state(self) -> None:
        while self.state.used > self.state.max_bytes and self._evict_oldest(self.state):
            self.disk.capped()
        missing = self.disk.relief()
        while missing > 0 and (file := self._oldest(self.state)):
            missing -= file.room
            if not self._to_ring(file):
                self._evict(file)

    def _hold_ring(self) -> None:
        ring = self.ring
        while ring is not None and ring.used > ring.max_bytes and (file := self._oldest(ring)):
            if not self._to_state(file):
                self._evict(file)

    def _to_state(self, file: AudioFile) -> bool:
        """Move a file to the state directory; older ones there go where its cap is reached."""
        if file.room > self.state.max_bytes or not self.disk.takes(file.room):
            return False
        while self.state.used + file.room > self.state.max_bytes:
            oldest = self._oldest(self.state)
            if oldest is None or (not file.open and _seq(oldest) > _seq(file)):
                return False
            self._evict(oldest)
            self.disk.capped()
        try:
            self.state.make()
            file.move(self.state)
        except OSError as exc:
            self.disk.failed(exc)
            return False
        return True

    def _to_ring(self, file: AudioFile) -> bool:
        """Move a file back to memory; older ones there go where its cap is reached."""
        ring = self.ring
        if ring is None or file.room > ring.max_bytes:
            return False
        while ring.used + file.room > ring.max_bytes:
            oldest = self._oldest(ring)
            if oldest is None or _seq(oldest) > _seq(file):
                return False
            self._evict(oldest)
        try:
            file.move(ring)
        except OSError:
            return False
        return True

    def _give_way(self, exc: OSError) -> bool:
        """The last resort did not take something: if for want of room, make some."""
        return exc.errno in NO_ROOM and self._evict_oldest(self.ring or self.state)

    def _evict_oldest(self, place: Place) -> bool:
        file = self._oldest(place)
        if file is not None:
            self._evict(file)
        return file is not None

    def _evict(self, file: AudioFile) -> None:
        self.remove(file.meta.started.id)
        self._evicted.append(file.meta.started.id)

    def _oldest(self, place: Place) -> AudioFile | None:
        """The first to go there."""
        here = (file for file in self.files.values() if file.place is place and not file.open)
        return min(here, key=_seq, default=None)


def _seq(file: AudioFile) -> int:
    return file.meta.started.seq
