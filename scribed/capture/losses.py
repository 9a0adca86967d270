"""What was not heard, and why: every hole in the sound is told as one `audio_gap`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from scribed import clock, kinds
from scribed.model import RATE, Event

logger = logging.getLogger(__name__)

SUSPENDED_S = 0.2
"""A machine that sleeps does so for longer."""
WAKING_S = 5.0
"""So long after a suspend a jump of the position is the same sleep, as the device met it."""


class Losses:
    """Tells and counts what was lost, in samples. Used by the capture thread only.

    `last_heard` is when an earlier run of this boot heard its last frame; `mono_offset` as in
    `scribed.clock`: it falls by the length of each suspend.
    """

    def __init__(
        self,
        tell: Callable[[Event], object],
        *,
        last_heard: float | None = None,
        mono_offset: Callable[[], float] = clock.mono_offset,
    ) -> None:
        self.lost_samples = 0  #: that the device had and we did not get
        self.dropped_samples = 0  #: that we got and had no room for
        self._tell, self._last_heard, self._mono_offset = tell, last_heard, mono_offset
        self._awake_offset = self._settled_offset()
        self._slept_samples, self._slept_until = 0, 0.0
        self._dropping: int | None = None  # samples dropped since there is no room

    def heard(self, at: float) -> None:
        """A frame was heard at `at`: if it is the first, the time of the restart is over."""
        if self._last_heard is not None:
            missing_s, self._last_heard = at - self._last_heard, None
            if missing_s > 0:
                self._gap(missing_s, "restart")

    def jumped(self, samples: int) -> None:
        """So many samples are missing between two blocks of one source."""
        if time.monotonic() < self._slept_until:
            samples -= min(samples, self._slept_samples)
        self._slept_samples = 0
        if samples > 0:
            self.lost_samples += samples
            self._gap(samples / RATE, "overrun")

    def look_for_suspend(self) -> None:
        """Tell it if the machine has slept since the last look. Costs two readings of a clock."""
        if self._awake_offset - self._mono_offset() < SUSPENDED_S:
            return
        settled = self._settled_offset()
        slept_s = self._awake_offset - settled
        if slept_s < SUSPENDED_S:
            return
        self._awake_offset = settled
        self._slept_samples = round(slept_s * RATE)
        self._slept_until = time.monotonic() + WAKING_S
        self._gap(slept_s, "suspend")

    def drop(self, samples: int) -> bool:
        """There was no room for `samples`; whether they are the first."""
        first = self._dropping is None
        if first:
            words = "no room for more sound: the uplink is stuck; speech is dropped"
            logger.error(words, extra=kinds.SPEECH_DROPPED())
        self._dropping = (self._dropping or 0) + samples
        self.dropped_samples += samples
        return first

    def end_drop(self) -> None:
        """There is room again, or no sound: tell what was dropped."""
        if self._dropping is not None:
            dropped, self._dropping = self._dropping, None
            self._gap(dropped / RATE, "no_room")

    def listen_anew(self) -> None:
        """A source is opened: that the machine slept before it is no loss of its sound."""
        self._awake_offset = self._settled_offset()
        self._slept_samples = 0

    def waits_for_us(self) -> None:
        """The source is a file: it lost nothing while nobody read it."""
        self._last_heard = None

    def _settled_offset(self) -> float:
        """A thread that is interrupted between two clocks reads too little, never too much."""
        return max(self._mono_offset() for _ in range(3))

    def _gap(self, lost_s: float, cause: str) -> None:
        lost_ms = round(lost_s * 1000)
        extra = kinds.SOUND_LOST(lost_ms=lost_ms, reason=cause)
        logger.warning("lost %d ms of sound (%s)", lost_ms, cause, extra=extra)
        self._tell(Event("audio_gap", {"lost_ms": lost_ms, "cause": cause}))
