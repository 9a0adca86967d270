"""Extras on their way to the texts that they follow. Pure."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from scribed.text import clean
from scribed.uplink.providers.elevenlabs_extras import Extra
from scribed.uplink.providers.pending import Part

EXTRA_S = 0.3
"""How long an answer waits for what was asked for beside its text."""
MISSES = 3
"""An extra that did not come so many times in a row is not waited for any more, until one comes."""
MAX_MISSED = 32
MAX_EARLY = 8


class Following:
    """What of the types of message in `kinds` is missing, came too early, or too late.

    Each repeats the text that it belongs to.
    """

    def __init__(self, kinds: frozenset[str]) -> None:
        self.late = 0  #: extras that came when nobody waited for them any more
        self._kinds = kinds
        self._misses = dict.fromkeys(kinds, 0)
        self._missed: collections.deque[tuple[str, str]] = collections.deque(maxlen=MAX_MISSED)
        self._early: collections.deque[tuple[str, str, Extra]] = collections.deque(maxlen=MAX_EARLY)

    def came(self, kind: str, extra: Extra, parts: Iterable[Part]) -> None:
        """An extra for the first of `parts` with the same text that lacks it."""
        if kind not in self._kinds:
            return
        key = clean(extra.text or "")
        self._misses[kind] = 0
        for part in parts:
            if part.key == key and kind not in part.extras:
                part.extras[kind] = extra
                return
        if (kind, key) in self._missed:
            self._missed.remove((kind, key))
            self.late += 1
            return
        self._early.append((kind, key, extra))

    def join(self, part: Part) -> None:
        """Give a new part what came before it."""
        for early in [early for early in self._early if early[1] == part.key]:
            part.extras.setdefault(early[0], early[2])
            self._early.remove(early)

    def due(self, part: Part) -> float:
        """How long to wait for what `part` lacks."""
        waits = any(self._misses[kind] < MISSES for kind in self._missing(part))
        return part.since + EXTRA_S if waits else float("-inf")

    def left(self, part: Part) -> None:
        """The answer was given without waiting any longer."""
        for kind in self._missing(part):
            self._missed.append((kind, part.key))
            self._misses[kind] += 1

    def _missing(self, part: Part) -> frozenset[str]:
        """What did not come; nothing belongs to silence."""
        return self._kinds.difference(part.extras) if part.key else frozenset()
