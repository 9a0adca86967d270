"""How the capture thread sleeps: as long as no decision can fall due."""

from __future__ import annotations

import select
from typing import Any

from scribed.interfaces import Source
from scribed.model import RATE, SAMPLE_BYTES, Block
from scribed.worker import Mailbox

READ_S = 0.1
"""How much is heard at once where no decision can fall due: a chunk, a fifth of the wake-ups."""
MORE_WAITS_BYTES = RATE * SAMPLE_BYTES // 2
"""A file or pipe that gave so much at once has more: read on without sleeping."""


class Waits:
    """How to sleep until there is something to read or mail to take."""

    def __init__(self, inbox: Mailbox[Any], source: Source, frame_s: float) -> None:
        self._live, self._frame_s = source.live, frame_s
        self._mail, self._both = select.poll(), select.poll()
        self._mail.register(inbox, select.POLLIN)
        self._both.register(inbox, select.POLLIN)
        self._pollable = source.pollable()
        for fd, events in self._pollable:
            self._both.register(fd, events)

    def wait(self, block: Block | None, patience_s: float) -> bool:
        """Sleep while no decision can fall due, `patience_s`; whether there may be mail.

        Only for the last frame before a decision is it woken by the source itself.
        """
        if block is not None and not self._live and len(block.pcm) >= MORE_WAITS_BYTES:
            return bool(self._mail.poll(0))
        if block is not None and self._pollable and patience_s < 2 * self._frame_s:
            return bool(self._both.poll(READ_S * 1000))
        if patience_s < READ_S:
            patience_s = max(self._frame_s, patience_s - self._frame_s)
        return bool(self._mail.poll(min(patience_s, READ_S) * 1000))
