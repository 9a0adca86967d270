"""What a service remarks beside its answers, once each and no more than anybody would read."""

from __future__ import annotations

from scribed.interfaces import Warned
from scribed.masking import masked

MAX_REASON = 200
MAX_WARNINGS = 24
"""A service that always has a new one is not listened to for ever."""
MAX_UNKNOWN = 32
"""Types of message that are counted each for itself; the others are together."""
MAX_TYPE = 64
"""Characters of such a type: a longer one is none that anybody would look up."""
OTHERS = "(others)"


def printable(reason: str, *secrets: str) -> str:
    """One short line that holds none of the secrets, whatever the peer sent."""
    reason = "".join(char if char.isprintable() else " " for char in reason)
    reason = " ".join(reason.split())
    return masked(reason, *secrets)[:MAX_REASON]


class Remarks:
    """The warnings of one connection, and the messages that nobody acts on, by type."""

    def __init__(self) -> None:
        self.unknown: dict[str, int] = {}
        self._told: set[str] = set()
        self._since_answer: list[str] = []

    def warned(self, reason: str, alert: str | None = None) -> Warned | None:
        """What to say of a reason to warn; None: it has been said."""
        if reason in self._told or len(self._told) >= MAX_WARNINGS:
            return None
        self._told.add(reason)
        return Warned(reason, alert)

    def note(self, warning: str) -> None:
        """Keep a warning for the next answer."""
        if warning not in self._since_answer and len(self._since_answer) < MAX_WARNINGS:
            self._since_answer.append(warning)

    def take(self) -> tuple[str, ...]:
        """The warnings since the last answer."""
        warnings, self._since_answer = tuple(self._since_answer), []
        return warnings

    def count(self, kind: str) -> None:
        """A message came that nobody acts on."""
        full = kind not in self.unknown and len(self.unknown) >= MAX_UNKNOWN
        if full or len(kind) > MAX_TYPE:
            kind = OTHERS
        self.unknown[kind] = self.unknown.get(kind, 0) + 1
