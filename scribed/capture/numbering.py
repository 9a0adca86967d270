"""Who an utterance is: its id, and a number that no other has."""

from __future__ import annotations

from collections.abc import Callable

from scribed import clock
from scribed.model import SeqReserved, UtteranceId, UtteranceStarted

SEQ_LOW = 32
"""Ask for more numbers when so few are left."""


class Numbering:
    """Gives each utterance the next number; asks for more in time, and waits for none.

    `want_numbers` is told the next number when few of the reserved ones are left.
    """

    def __init__(
        self,
        new_id: Callable[[], UtteranceId],
        next_seq: int,
        reserved: SeqReserved,
        want_numbers: Callable[[int], object],
    ) -> None:
        self.next_seq = next_seq
        self.detected = 0  #: numbers given
        self._new_id, self._want_numbers = new_id, want_numbers
        self._reserved_end, self._asked_at = reserved.end, -1

    def reserve(self, end: int) -> None:
        """Numbers below `end` may be used."""
        self._reserved_end = end

    def identify(self, at: float, continues: UtteranceId | None) -> UtteranceStarted:
        """An utterance whose first sample was heard at `at`."""
        seq = self.next_seq
        self.next_seq += 1
        self.detected += 1
        if self._reserved_end - self.next_seq < SEQ_LOW and self._asked_at < self._reserved_end:
            self._asked_at = self._reserved_end
            self._want_numbers(self.next_seq)
        return UtteranceStarted(
            self._new_id(), seq, at, clock.mono_offset(), continues, gate_at=clock.now()
        )
