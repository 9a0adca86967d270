"""What waits for the broker, and what it has not yet acknowledged. Pure.

Three kinds of parcels, each with its own promise:

* finals and ends of utterances: never lost, in order, exactly one in flight;
* transients (speech, events): worth something for seconds only, they expire by themselves;
* retained slots (status, state, muted, alerts): only the newest value counts, and all of them are
  written again on every new connection.

A parcel leaves with its PUBACK. What was in flight when a connection is lost goes back to where it
was; the topic of a final is chosen by whoever writes it, each time anew.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from scribed.model import Closed, Final

FINALS = 10_000
TRANSIENTS = 64
WINDOW = 16
"""Messages in flight at most; paho would start a queue of its own beyond 20."""

Durable = Final | Closed


@dataclass(frozen=True, slots=True)
class Transient:
    """A message that nobody wants after `until`."""

    topic: str
    payload: bytes
    until: float


@dataclass(frozen=True, slots=True)
class Retained:
    """The value of a retained topic; an empty payload removes it."""

    topic: str
    payload: bytes


Parcel = Final | Closed | Transient | Retained


@dataclass(frozen=True, slots=True)
class _Sent:
    parcel: Parcel
    at: float


class Outbox:
    """See the module. `first` is the retained topic that precedes all else on a connection."""

    def __init__(
        self, *, first: str = "status", finals: int = FINALS, transients: int = TRANSIENTS
    ) -> None:
        self.dropped: Counter[str] = Counter()  #: finals, transients (no room), expired, refused
        self.refusals = 0  #: messages that the broker did not take, finals kept for later included
        self.losses = 0  #: connections lost while the oldest final was in flight
        self._first, self._limit, self._transient_limit = first, finals, transients
        self._finals: deque[Durable] = deque()
        self._transients: deque[Transient] = deque()
        self._slots: dict[str, bytes] = {}
        self._unwritten: dict[str, None] = {}  # the slots to write, in order
        self._flight: dict[int, _Sent] = {}  # by packet identifier, in the order of writing
        self._window = WINDOW
        self._final_in_flight = False
        self._hold_until = 0.0

    # What comes in

    def post(self, item: Durable) -> Durable | None:
        """Queue a final or an end; return the one that had to go where there was no room."""
        self._finals.append(item)
        if len(self._finals) <= self._limit:
            return None
        self.dropped["finals"] += 1
        oldest = 1 if self._final_in_flight else 0
        victim = self._finals[oldest]
        del self._finals[oldest]
        return victim

    def tell(self, transient: Transient) -> None:
        """Queue a transient; the oldest goes where there are too many."""
        self._transients.append(transient)
        if len(self._transients) > self._transient_limit:
            self._transients.popleft()
            self.dropped["transients"] += 1

    def retain(self, topic: str, payload: bytes) -> None:
        """Set the value of a retained topic."""
        self._slots[topic] = payload
        self._unwritten[topic] = None

    # What goes out

    def connected(self, window: int) -> None:
        """A new connection, on which the peer takes `window` unacknowledged messages."""
        self._window = max(min(window, WINDOW), 1)
        self._unwritten = dict.fromkeys(self._slots)

    def offer(self, now: float) -> Parcel | None:
        """What to write now; it stays here until `sent()` says that it was written."""
        self._expire(now)
        room = self._window - len(self._flight)
        if room < 1:
            return None
        if self._first in self._unwritten:
            return self._slot(self._first)
        if self._finals and not self._final_in_flight and now >= self._hold_until:
            return self._finals[0]
        if room == 1 and self._window > 1 and not self._final_in_flight:
            return None  # the last place is kept for the next final
        if self._transients:
            return self._transients[0]
        return self._slot(next(iter(self._unwritten))) if self._unwritten else None

    def sent(self, mid: int, parcel: Parcel, now: float) -> None:
        """`parcel`, which `offer()` gave, was written under the packet identifier `mid`."""
        self._flight[mid] = _Sent(parcel, now)
        if isinstance(parcel, Transient):
            self._transients.popleft()
        elif isinstance(parcel, Retained):
            del self._unwritten[parcel.topic]
        else:
            self._final_in_flight = True

    def acknowledged(self, mid: int) -> Parcel | None:
        """The broker has it; None: it was not one of ours."""
        sent = self._flight.pop(mid, None)
        if sent is None:
            return None
        if isinstance(sent.parcel, (Final, Closed)):
            self._finals.popleft()
            self._final_in_flight = False
            self.losses = 0
        return sent.parcel

    def refused(self, mid: int, retry_at: float) -> Parcel | None:
        """The broker does not take it. A final stays, and is not offered before `retry_at`."""
        sent = self._flight.pop(mid, None)
        if sent is None:
            return None
        self.refusals += 1
        if isinstance(sent.parcel, (Final, Closed)):
            self._final_in_flight = False
            self._hold_until = retry_at
        else:
            self.dropped["refused"] += 1
        return sent.parcel

    def too_large(self, parcel: Parcel, retry_at: float) -> None:
        """`parcel`, which `offer()` gave, is larger than this broker takes: as `refused()`."""
        self.sent(-1, parcel, retry_at)
        self.refused(-1, retry_at)

    def release(self) -> None:
        """Offer a refused final again at once."""
        self._hold_until = 0.0

    def lost(self) -> None:
        """The connection is gone: what was not acknowledged goes back, in order."""
        again = [s.parcel for s in self._flight.values() if isinstance(s.parcel, Transient)]
        self._transients.extendleft(reversed(again))
        self.losses += self._final_in_flight
        self._final_in_flight = False
        self._hold_until = 0.0
        self._flight.clear()

    # How it stands

    @property
    def finals(self) -> int:
        """Finals and ends that the broker has not acknowledged."""
        return len(self._finals)

    @property
    def empty(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return not (self._finals or self._transients or self._unwritten or self._flight)

    def unwritten(self, topic: str) -> bool:
        """Whether the newest value of a retained topic is still to be written."""
        return topic in self._unwritten

    def pending(self, topic: str) -> bool:
        """Whether the newest value of a retained topic is not acknowledged yet."""
        newest = Retained(topic, self._slots[topic])
        return topic in self._unwritten or any(s.parcel == newest for s in self._flight.values())

    def oldest_sent(self) -> float | None:
        """When the longest unacknowledged message was written."""
        return next(iter(self._flight.values())).at if self._flight else None

    def held_until(self) -> float | None:
        """When a refused final is due again."""
        return self._hold_until if self._finals and self._hold_until else None

    def _expire(self, now: float) -> None:
        fresh = [transient for transient in self._transients if transient.until > now]
        self.dropped["expired"] += len(self._transients) - len(fresh)
        self._transients = deque(fresh)

    def _slot(self, topic: str) -> Retained:
        return Retained(topic, self._slots[topic])
