"""Finals and ends that the broker does not have yet: none is lost, fresh ones go first. Pure.

In order: speech that may still be obeyed, then what was put aside because the broker does not take
it, if it is due, and last what an outage or an earlier run left behind. All but the first few are
held packed: 10 000 finals of 25 words are 9 MiB (tests/delivery/test_finals.py).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections import deque
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from scribed.model import Closed, Final, Outcome

LIMIT = 10_000
"""Finals that wait at most; beyond, the oldest end as evicted, of which so many may wait again."""
PLAIN = 64
"""So many are not packed: while all goes well none is."""

Durable = Final | Closed
_Held = Final | Closed | bytes

_encode = msgspec.json.Encoder().encode
_final = msgspec.json.Decoder(Final).decode
_closed = msgspec.json.Decoder(Closed).decode


def pack(item: Durable) -> bytes:
    """`item` as few bytes that live as long as this process."""
    return (b"F" if isinstance(item, Final) else b"C") + zlib.compress(_encode(item), 1)


def unpack(packed: bytes) -> Durable:
    """The reverse of `pack()`."""
    decode = _final if packed[:1] == b"F" else _closed
    return decode(zlib.decompress(packed[1:]))


def _unpacked(held: _Held) -> Durable:
    return unpack(held) if isinstance(held, bytes) else held


class _Waiting(Struct, frozen=True):
    place: int  # in the order of its lane and of those beside it
    stale_at: float
    held: _Held


class _Lane(Struct, eq=False):
    """Of one kind and in order; not touched before `hold`: the broker refused the first."""

    queue: deque[_Waiting] = field(default_factory=deque)
    hold: float = 0.0


class Finals:
    """See the module. At most one is `flying`: written, and not acknowledged.

    What is refused holds up its own kind only, finals or ends: they have topics of their own. What
    is refused for its own sake is put aside, where it holds up nobody and takes turns with others.
    """

    def __init__(self, stale_after_s: float, limit: int = LIMIT) -> None:
        self.flying: Durable | None = None
        self.stale_after_s, self._limit = stale_after_s, limit
        self._fresh, self._late = (_Lane(), _Lane()), (_Lane(), _Lane())  # finals, ends
        self._evicted, self._aside = _Lane(), _Lane()
        self._places = itertools.count()
        self._next = self._evicted  # where `peek()` looked last
        self._flown: tuple[_Lane, _Waiting] | None = None  # where the one that flies came from

    def __len__(self) -> int:
        return sum(len(lane.queue) for lane in self._lanes()) + (self.flying is not None)

    @property
    def aside(self) -> int:
        """How many were put aside."""
        flying = self._flown is not None and self._flown[0] is self._aside
        return len(self._aside.queue) + flying

    def post(self, item: Durable) -> tuple[Durable | None, bool]:
        """Queue `item`; return what had to end as evicted for it, and whether an end was lost."""
        evictable = ((self._aside,), self._late, self._fresh)
        waiting = sum(len(lane.queue) for lanes in evictable for lane in lanes)
        held: _Held = item if waiting < PLAIN else pack(item)
        spoken_at = item.started.at if item.ended is None else item.ended.at
        lanes = self._fresh if item.started.boot is None else self._late
        lane = lanes[isinstance(item, Closed)]
        lane.queue.append(_Waiting(next(self._places), spoken_at + self.stale_after_s, held))
        if waiting < self._limit:
            return None, False
        oldest = next(lane for lane in map(_first, evictable) if lane is not None)
        victim = _unpacked(oldest.queue.popleft().held)
        end = victim
        if isinstance(victim, Final):
            end = Closed(victim.started, victim.ended, Outcome.EVICTED)
        self._evicted.queue.append(_Waiting(next(self._places), 0.0, pack(end)))
        lost = len(self._evicted.queue) > self._limit
        if lost:
            self._evicted.queue.popleft()
        return victim, lost

    def peek(self, now: float) -> Durable | None:
        """What to write now; it stays here. Only while none is flying."""
        self._age(now)
        for lanes in (self._fresh, (self._aside,), (self._evicted,), self._late):
            lane = _first(lanes, now)
            if lane is not None:
                first = lane.queue[0]
                item = _unpacked(first.held)
                lane.queue[0] = replace(first, held=item)
                self._next = lane
                return item
        return None

    def fly(self, item: Durable) -> None:
        """`item`, which `peek()` gave last, was written."""
        self.flying, self._flown = item, (self._next, self._next.queue.popleft())

    def land(self) -> None:
        """The broker has the one that flies; if that was put aside, the next such one is due."""
        if self._flown is not None and self._flown[0] is self._aside:
            self._aside.hold = 0.0
        self.flying = self._flown = None

    def back(self, retry_at: float = 0.0) -> None:
        """The one that flies goes back to the head; its kind is held until `retry_at`."""
        if self._flown is not None:
            lane, waiting = self._flown
            lane.queue.appendleft(waiting)
            lane.hold = retry_at
        self.flying = self._flown = None

    def put_aside(self, retry_at: float, *, hold: float = 0.0) -> None:
        """The one that flies waits by itself until `retry_at`, its kind until `hold`."""
        if self._flown is not None:
            lane, waiting = self._flown
            lane.hold = hold
            self._aside.queue.append(replace(waiting, held=pack(_unpacked(waiting.held))))
            self._aside.hold = retry_at
        self.flying = self._flown = None

    def release(self) -> None:
        """Hold nothing back any more, but for what was put aside."""
        for lane in (*self._fresh, *self._late, self._evicted):
            lane.hold = 0.0

    def release_aside(self) -> None:
        """Hold nothing back any more of what was put aside."""
        self._aside.hold = 0.0

    def held_until(self, now: float) -> float | None:
        """When something that is held back is due again; None: nothing is."""
        holds = (lane.hold for lane in self._lanes() if lane.queue and lane.hold > now)
        return min(holds, default=None)

    def _lanes(self) -> tuple[_Lane, ...]:
        return (*self._fresh, *self._late, self._evicted, self._aside)

    def _age(self, now: float) -> None:
        """What was fresh joins the others, without the hold: it gets another topic."""
        while True:
            stale = [lane for lane in self._fresh if lane.queue and lane.queue[0].stale_at < now]
            lane = _first(stale)
            if lane is None:
                return
            waiting = replace(lane.queue.popleft(), place=next(self._places))
            lane.hold = 0.0
            self._late[self._fresh.index(lane)].queue.append(waiting)


def _first(lanes: Iterable[_Lane], now: float = math.inf) -> _Lane | None:
    """The lane whose head was there first, of those that are not empty nor held at `now`."""
    due = (lane for lane in lanes if lane.queue and now >= lane.hold)
    return min(due, key=lambda lane: lane.queue[0].place, default=None)
