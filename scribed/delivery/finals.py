"""Finals and ends that the broker does not have yet: none is lost, fresh ones go first. Pure.

Two queues, each in order: speech that may still be obeyed, and what an outage or an earlier run
left behind, which must not stand before it. All but the first few are held packed: 10 000 finals of
25 words are 9 MiB (tests/delivery/test_finals.py).
"""

from __future__ import annotations

import zlib
from collections import deque

import msgspec

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


class Finals:
    """See the module. At most one is `flying`: written, and not acknowledged."""

    def __init__(self, stale_after_s: float, limit: int = LIMIT) -> None:
        self.flying: Durable | None = None
        self._stale_after_s, self._limit = stale_after_s, limit
        self._fresh: deque[tuple[float, _Held]] = deque()  # with the time when each is stale
        self._late: deque[_Held] = deque()
        self._evicted: deque[bytes] = deque()
        self._flying_until: float | None = None  # when it is stale, where it came from `_fresh`
        self._hold_fresh = self._hold_late = 0.0

    def __len__(self) -> int:
        waiting = len(self._fresh) + len(self._late) + len(self._evicted)
        return waiting + (self.flying is not None)

    def post(self, item: Durable) -> tuple[Durable | None, bool]:
        """Queue `item`; return what had to end as evicted for it, and whether an end was lost."""
        waiting = len(self._fresh) + len(self._late)
        held: _Held = item if waiting < PLAIN else pack(item)
        spoken_at = item.started.at if item.ended is None else item.ended.at
        if item.started.boot is None:
            self._fresh.append((spoken_at + self._stale_after_s, held))
        else:
            self._late.append(held)
        if waiting < self._limit:
            return None, False
        victim = _unpacked(self._late.popleft() if self._late else self._fresh.popleft()[1])
        end = victim
        if isinstance(victim, Final):
            end = Closed(victim.started, victim.ended, Outcome.EVICTED)
        self._evicted.append(pack(end))
        lost = len(self._evicted) > self._limit
        if lost:
            self._evicted.popleft()
        return victim, lost

    def peek(self, now: float) -> Durable | None:
        """What to write now; it stays here. Only while none is flying."""
        while self._fresh and self._fresh[0][0] < now:
            self._late.append(self._fresh.popleft()[1])
        if self._fresh and now >= self._hold_fresh:
            until, held = self._fresh[0]
            item = _unpacked(held)
            self._fresh[0] = until, item
            return item
        if now < self._hold_late:
            return None
        if self._evicted:
            return unpack(self._evicted[0])
        if self._late:
            item = self._late[0] = _unpacked(self._late[0])
            return item
        return None

    def fly(self, item: Durable) -> None:
        """`item`, which `peek()` gave, was written."""
        self.flying, self._flying_until = item, None
        if self._fresh and self._fresh[0][1] is item:
            self._flying_until, _ = self._fresh.popleft()
        elif self._evicted:
            self._evicted.popleft()
        else:
            self._late.popleft()

    def land(self) -> None:
        """The broker has the one that flies."""
        self.flying = None

    def back(self, retry_at: float = 0.0) -> None:
        """The one that flies goes back to the head; its queue is held until `retry_at`."""
        item, self.flying = self.flying, None
        if item is None:
            return
        if self._flying_until is not None:
            self._fresh.appendleft((self._flying_until, item))
            self._hold_fresh = retry_at
        else:
            self._late.appendleft(item)
            self._hold_late = retry_at

    def release(self) -> None:
        """Hold nothing back any more."""
        self._hold_fresh = self._hold_late = 0.0

    def held_until(self, now: float) -> float | None:
        """When a queue that is held back is due again; None: none is."""
        return min(
            (hold for hold in (self._hold_fresh, self._hold_late) if hold > now), default=None
        )
