"""How long to wait before trying again: exponential backoff with full jitter."""

from __future__ import annotations

import random


class Backoff:
    """Delays drawn uniformly from 0 to a cap that doubles up to `max_s`.

    Full jitter, so that a fleet that lost the same server does not come back at the same moment
    (Brooker, "Exponential Backoff And Jitter", 2015). `reset()` only after proven success: a
    transcript, an acknowledged message, never a handshake.
    """

    def __init__(self, initial_s: float, max_s: float, rng: random.Random | None = None) -> None:
        self._initial_s, self._max_s = initial_s, max_s
        self._rng = rng or random.Random()
        self.failures = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        cap = min(self._max_s, self._initial_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return self._rng.uniform(0.0, cap)

    def reset(self) -> None:
        """Start again from `initial_s`."""
        self.failures = 0
