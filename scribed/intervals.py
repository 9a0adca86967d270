"""When the robot spoke, or moved, as it says itself: what it never takes back ends by itself. Pure.

Each id is an interval of its own: from `lead_s` before the robot first said so until `tail_s` after
it said that it is over, or its time to live ran out. Saying it again renews that time, which is
never more than `max_s`. All times are of the clock that counts suspend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from scribed.config import Echo
from scribed.model import RobotDid, RobotDoes

KEEP_S = 120.0
"""Intervals are remembered for so long after their end: four times the longest utterance."""
MAX_ACTIVE = 64
"""Ids that may be going on at a time. Of more, the one that runs out first can no longer be ended
by its id: it lasts until then."""
MAX_PAST = 256
"""Intervals that are over, and remembered; of more, the two oldest are taken for one."""
MAX_TEXTS = 8
"""Different texts that one interval remembers: the last."""


class _Span(Struct, frozen=True):
    start: float
    end: float  #: when it is over, unless it is renewed
    texts: tuple[str, ...]


class Intervals:
    """The intervals of one thing that a robot does."""

    def __init__(self, *, lead_s: float, tail_s: float, max_s: float) -> None:
        self._lead_s, self._tail_s, self._max_s = lead_s, tail_s, max_s
        self._first: float | None = None  # when it was first heard of
        self._active: dict[str, _Span] = {}  # those that a command may still end
        self._past: list[_Span] = []
        #: when all that is known of will be over, tail and all; minus infinity: nothing is
        self.until = -math.inf

    def retune(self, *, lead_s: float, tail_s: float, max_s: float) -> None:
        """Go by other times from now on, also for what is known."""
        self._lead_s, self._tail_s, self._max_s = lead_s, tail_s, max_s
        self._look_ahead()

    def take(self, does: RobotDoes) -> None:
        """The robot says something; its commands come in the order of their times."""
        if self._first is None:
            self._first = does.at
        self._retire(does.at)
        before = self._active.pop(does.id, None)
        if not does.on:
            if before is not None:
                self._past.append(replace(before, end=does.at))
        else:
            end = does.at + min(does.ttl_s or self._max_s, self._max_s)
            start = does.at if before is None else before.start
            texts = () if before is None else before.texts
            self._active[does.id] = _Span(start, end, _with(texts, [does.text]))
        self._bound()
        self._look_ahead()

    def left_s(self, id: str, now: float) -> float:
        """The time to live that `id` has left."""
        span = self._active.get(id)
        return 0.0 if span is None else max(span.end - now, 0.0)

    def during(self, start: float, end: float) -> bool | None:
        """Whether any interval has a part of the time from `start` to `end`.

        None: unknown, as that was before the robot said anything at all.
        """
        if self._first is None or end <= self._first - self._lead_s:
            return None
        return any(True for _ in self._overlapping(start, end))

    def texts(self, start: float, end: float) -> tuple[str, ...]:
        """What the robot said in those that have a part of it, in the order of their beginnings."""
        found = sorted(self._overlapping(start, end), key=lambda span: span.start)
        return _with((), (text for span in found for text in span.texts))

    def _overlapping(self, start: float, end: float) -> Iterable[_Span]:
        for span in self._spans():
            if span.start - self._lead_s < end and start < span.end + self._tail_s:
                yield span

    def _spans(self) -> Iterable[_Span]:
        yield from self._active.values()
        yield from self._past

    def _look_ahead(self) -> None:
        tail_s = self._tail_s
        self.until = max((span.end + tail_s for span in self._spans()), default=-math.inf)

    def _retire(self, now: float) -> None:
        """What has run out is over; what nobody can ask for any more is forgotten."""
        over = [name for name, span in self._active.items() if span.end <= now]
        self._past += [self._active.pop(name) for name in over]
        self._past = [span for span in self._past if span.end + self._tail_s + KEEP_S > now]

    def _bound(self) -> None:
        while len(self._active) > MAX_ACTIVE:
            first = min(self._active, key=lambda name: self._active[name].end)
            self._past.append(self._active.pop(first))
        while len(self._past) > MAX_PAST:
            one, other, *rest = sorted(self._past, key=lambda span: span.end)
            start, end = min(one.start, other.start), max(one.end, other.end)
            self._past = [_Span(start, end, _with(one.texts, other.texts)), *rest]


def _with(texts: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """The last `MAX_TEXTS` of them, each once."""
    return tuple(dict.fromkeys(text for text in (*texts, *more) if text))[-MAX_TEXTS:]


class Doings:
    """All that a robot does that a microphone may hear."""

    def __init__(self, echo: Echo) -> None:
        self.speaking, self.moving = Intervals(**_times(echo)), Intervals(**_times(echo))

    def retune(self, echo: Echo) -> None:
        """Go by other times from now on."""
        self.speaking.retune(**_times(echo))
        self.moving.retune(**_times(echo))

    def take(self, does: RobotDoes) -> None:
        """The robot says what it does."""
        self.of(does).take(does)

    def of(self, does: RobotDoes) -> Intervals:
        """The intervals of what it does."""
        return self.speaking if does.what == "speaking" else self.moving

    def during(self, start: float, end: float) -> RobotDid:
        """What the robot did between `start` and `end`."""
        return RobotDid(
            self.speaking.during(start, end),
            self.moving.during(start, end),
            self.speaking.texts(start, end),
        )


def _times(echo: Echo) -> dict[str, float]:
    return {"lead_s": echo.lead_ms / 1000, "tail_s": echo.tail_ms / 1000, "max_s": echo.max_s}


def together(one: RobotDid, other: RobotDid) -> RobotDid:
    """What two know together who each knew a part: a yes counts more than a no, that more than
    nothing."""
    return RobotDid(
        _either(one.speaking, other.speaking),
        _either(one.moving, other.moving),
        _with(one.said, other.said),
    )


def _either(one: bool | None, other: bool | None) -> bool | None:
    return one if other is None else other if one is None else one or other
