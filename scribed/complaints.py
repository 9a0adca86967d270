"""Which troubles are news, so that the log has one line of what lasts for hours. Pure."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

REPEAT_S = 300.0
"""The same trouble is worth a line again only after so long, with how often it came meanwhile."""
FLAP_S = 60.0
"""The same where it was over meanwhile, and that more often than `FLAPS` times."""
FLAPS = 3
MAX_STORIES = 256
"""So many different ones are known; of more the oldest is forgotten, and may be told again."""

_FIGURE = re.compile(
    r"\d+(\.\d+)?(?= ?(%|ms|s|kB|MB|MiB|bytes|dB|dBFS|Hz|finals?|utterance|connections?|times?|"
    r"waiting|more)\b)"
)
"""A figure that says how much: two texts that differ in it alone are the same trouble."""


class Untold(Struct, Generic[T], frozen=True):
    """What came, and was not said."""

    about: str
    item: T  #: as it came last
    times: int


class _Story(Generic[T]):
    """One trouble: when it was told, and how often it came since."""

    __slots__ = ("came_at", "item", "overs", "told_at", "untold", "window_s")

    def __init__(self, item: T, now: float) -> None:
        self.item, self.told_at, self.came_at = item, now, now
        self.untold, self.overs, self.window_s = 0, 0, REPEAT_S

    def is_due(self, now: float) -> bool:
        return now - self.told_at >= self.window_s

    def tell(self, now: float) -> int:
        """It is told now; how often it came since it was told last."""
        if now - self.told_at >= REPEAT_S:
            self.overs = 0
        times, self.untold, self.told_at, self.window_s = self.untold, 0, now, REPEAT_S
        return times

    def end(self) -> None:
        """It is over: what comes next is news sooner."""
        self.overs += 1
        self.window_s = 0.0 if self.overs <= FLAPS else FLAP_S


class Complaints(Generic[T]):
    """What was said about each subject, and when; for one thread. `T` is what stands for a text."""

    def __init__(self) -> None:
        self._stories: dict[tuple[str, str], _Story[T]] = {}

    def times(self, about: str, text: str, item: T, now: float) -> int:
        """`text` came: how often since it was said last, this time included, if it is to be said
        now; else 0, and `due()` says when."""
        key = (about, _FIGURE.sub("#", text))
        story = self._stories.get(key)
        if story is None:
            while len(self._stories) >= MAX_STORIES:
                del self._stories[next(iter(self._stories))]
            self._stories[key] = _Story(item, now)
            return 1
        story.item, story.came_at = item, now
        story.untold += 1
        return story.tell(now) if story.is_due(now) else 0

    def over(self, about: str, *, told: bool) -> int:
        """It is well again, and that is `told`: how often the trouble had come untold, which then
        is told with it. What comes next is news sooner."""
        times = 0
        for (of, _), story in self._stories.items():
            if of != about:
                continue
            if told:
                times += story.untold
                story.untold = 0
            story.end()
        return times

    def due(self, now: float, *, everything: bool = False) -> list[Untold[T]]:
        """What came since it was said and may be said again (or all that came), in the order in
        which it came last: it counts as said now."""
        late = [
            (about, story)
            for (about, _), story in self._stories.items()
            if story.untold and (everything or story.is_due(now))
        ]
        late.sort(key=lambda each: each[1].came_at)
        return [Untold(about, story.item, story.tell(now)) for about, story in late]
