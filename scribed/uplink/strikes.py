"""Which utterance is what the service cannot take, and when it is given up. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from scribed.uplink.entry import Entry

STRIKES, STRIKES_UNPROVEN = 2, 5
"""Failures of one utterance before it goes behind the others: refusals, and connections that ended
while it was the next to be answered, which may as well be the link's fault."""
PATIENCE_S = 30.0
"""Where nothing else is answered, refusals say as much about the service as about the utterance: it
is given up so long after the first, and not sent meanwhile."""


class Verdict(enum.Enum):
    """What a strike makes of an utterance."""

    STAYS = "stays"
    DEFERRED = "deferred"  # it goes behind all others
    HELD = "held"  # it is not sent any more


class Strikes:
    """Failures on account of one utterance, weighed against answers to others."""

    def __init__(self, max_attempts: int) -> None:
        self.max_attempts = max_attempts
        self._answers = 0

    def answered(self) -> None:
        """Some utterance has its text: the service is well."""
        self._answers += 1

    def strike(self, entry: Entry, now: float, *, refused: bool) -> Verdict:
        """A connection ended on account of `entry`: the service has `refused` it, or has only left
        it without an answer, which counts where another was answered since its last strike."""
        entry.strikes += 1
        proven = 0 <= entry.answers_then < self._answers
        if entry.answers_then < 0:
            entry.answers_before = self._answers
        if refused or proven:
            entry.refused_at = entry.refused_at if entry.refusals else now
            entry.refusals += 1
        entry.answers_then = self._answers
        if entry.ended is None:
            return Verdict.STAYS
        if entry.refusals >= self.max_attempts:
            return Verdict.HELD
        enough = proven or entry.strikes >= (STRIKES if refused else STRIKES_UNPROVEN)
        return Verdict.DEFERRED if enough else Verdict.STAYS

    def condemned(self, held: Iterable[Entry], now: float) -> list[Entry]:
        """Those of `held` of whom it is plain that it is for their own sake: another was answered
        meanwhile, or nothing was for `PATIENCE_S`."""
        return [
            entry
            for entry in held
            if self._answers > entry.answers_before or now >= entry.refused_at + PATIENCE_S
        ]

    def condemned_at(self, held: Iterable[Entry]) -> float | None:
        """When `condemned()` has something at the latest."""
        first = min((entry.refused_at for entry in held), default=None)
        return None if first is None else first + PATIENCE_S
