"""The store thread: owns what is on disk, so that nobody else waits for a disk.

So far that is the numbering of utterances.
"""

from __future__ import annotations

import logging
import select
from dataclasses import dataclass
from typing import Any

from scribed.model import Alert, AlertCleared, SeqReserved
from scribed.store.sequence import BLOCK, Sequence
from scribed.worker import Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

REST_S = 60.0
DISK_S = 60.0
"""How long a worn SD card may take for one fsync before the thread counts as stuck."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Capture runs low: make the numbers from `next_seq` on safe to use."""

    next_seq: int


class Store(Worker):
    """See the module. `capture` gets a `SeqReserved` for each `Reserve`."""

    def __init__(
        self, *, sequence: Sequence, capture: Mailbox[Any], supervisor: Mailbox[Any]
    ) -> None:
        super().__init__("store", supervisor)
        self.inbox: Mailbox[Reserve | Stop] = Mailbox()
        self._sequence, self._capture = sequence, capture
        self._broken = False

    def work(self) -> None:
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        while True:
            self.beat(REST_S)
            poller.poll(REST_S * 1000)
            for item in self.inbox.drain():
                if isinstance(item, Stop):
                    return
                self.beat(DISK_S)
                self._reserve(item.next_seq)

    def _reserve(self, next_seq: int) -> None:
        try:
            end = self._sequence.reserve(next_seq)
        except OSError as exc:
            # Speech goes on with numbers that a crash could give again; better than no speech.
            end = next_seq + BLOCK
            self._broken = True
            logger.error("the state directory cannot be written: %s", exc.strerror)  # noqa: TRY400
            self.supervisor.put(
                Alert(
                    "disk_error",
                    f"the state directory cannot be written: {exc.strerror}",
                    "free space, or remount the file system writable",
                )
            )
        else:
            if self._broken:
                self._broken = False
                self.supervisor.put(AlertCleared("disk_error"))
        self._capture.put(SeqReserved(end))
