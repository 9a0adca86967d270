"""How the state directory is: whether it takes audio now, and what to tell a human if not."""

from __future__ import annotations

import errno
from collections.abc import Callable

from scribed.model import Alert
from scribed.store.places import Place

RETRY_S = 5.0
"""How often a state directory that failed is tried again."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SPARE_BYTES = 2 << 20
"""How much more than the least must be free before it counts as enough again."""
_EASED = 0.9  # of the cap: below it nothing is about to be evicted


class Disk:
    """The condition of `place`; at least `min_free_bytes` of its file system stay free.

    Nothing raises.
    """

    def __init__(self, place: Place, min_free_bytes: int, now: Callable[[], float]) -> None:
        self.min_free_bytes = min_free_bytes
        self._place, self._now = place, now
        self._error: OSError | None = None
        self._low = False
        self._capped = False
        self._retry_at = 0.0
        self._relieve_at = 0.0

    @property
    def trouble(self) -> Alert | None:
        """The worst of what is wrong."""
        where = self._place.directory
        if self._error is not None and self._error.errno not in NO_ROOM:
            return Alert(
                "disk_error",
                f"{where} does not take audio: {self._error.strerror or self._error}; "
                "it is kept in memory only, the oldest goes first",
                "check the disk, or remount the file system writable",
            )
        if self._error is not None or self._low:
            return Alert(
                "spool_full",
                f"the file system of {where} is full: audio is kept in memory only, "
                "the oldest goes first",
                "free space, or lower spool.min_free_mb",
            )
        if self._capped:
            return Alert(
                "spool_full",
                f"{where} holds as much as it may: the oldest utterances go",
                "restore the link to the provider, or raise spool.max_mb",
            )
        return None

    def takes(self, nbytes: int) -> bool:
        """Whether it is worth trying to write `nbytes`."""
        return (self._error is None or self._now() >= self._retry_at) and not self._lacks(nbytes)

    def failed(self, exc: OSError) -> None:
        """It did not take something."""
        self._error = exc
        self._retry_at = self._now() + RETRY_S

    def capped(self) -> None:
        """Something went because the cap was reached."""
        self._capped = True

    def relief(self) -> int:
        """Bytes that should go now for enough to be free.

        It is not asked again for `RETRY_S`: file systems count freed space with a delay.
        """
        if self._now() < self._relieve_at:
            return 0
        missing = self.min_free_bytes - self._free()
        if missing > 0:
            self._low = True
            self._relieve_at = self._now() + RETRY_S
        return max(0, missing)

    def check(self) -> None:
        """Find out what is over."""
        self._capped = self._capped and self._place.used > _EASED * self._place.max_bytes
        if self._low:
            self._lacks(0)
        if self._error is None or self._now() < self._retry_at:
            return
        try:
            self._place.probe()
        except OSError as exc:
            self.failed(exc)
        else:
            self._error = None

    def _lacks(self, nbytes: int) -> bool:
        """Whether too little stays free after `nbytes` more."""
        spare = SPARE_BYTES if self._low else 0
        self._low = self._free() - nbytes < self.min_free_bytes + spare
        return self._low

    def _free(self) -> int:
        try:
            return self._place.free()
        except OSError as exc:
            self.failed(exc)
            return 0
