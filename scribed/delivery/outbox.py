"""What waits for the broker, and what it has not yet acknowledged. Pure.

Five kinds of parcels, each with its own promise, in the order in which they are offered:

* finals and ends of utterances (`finals.py`): never lost, exactly one in flight;
* transients (speech, events): worth something for seconds only, they expire by themselves;
* retained slots (status, state, muted, alerts): only the newest value counts, and all of them are
  written again on every new connection;
* replies to commands: like transients, but a flood of commands may not push out anything else;
* what `restate` asked for: packed, with nothing else to do.

A parcel leaves with its PUBACK. What was in flight when a connection is lost goes back to where it
was; the topic of a final is chosen by whoever writes it, each time anew.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct

from scribed.delivery.finals import LIMIT, Durable, Finals, pack, unpack
from scribed.delivery.parcels import Again, Answer, Parcel, Raised, Retained, Transient
from scribed.model import Closed, Final, UtteranceId

TRANSIENTS = REPLIES = 64
LEAN_AFTER = 3
"""A final with which the connection was lost so often is sent without its words: it may be too
large. Where that ends the connection, too, it is put aside."""
TRIES = 6
"""After so many refusals a final is put aside, so that another one has its turn."""
WINDOW = 16
"""Messages in flight at most; paho would start a queue of its own beyond 20."""


class _Sent(Struct, frozen=True):
    parcel: Parcel
    at: float


class Outbox:
    """See the module. `first` is the retained topic that precedes all else on a connection."""

    def __init__(
        self,
        stale_after_s: float,
        *,
        first: str = "status",
        finals: int = LIMIT,
        transients: int = TRANSIENTS,
    ) -> None:
        self.dropped: Counter[str] = (
            Counter()
        )  #: evicted, ends (lost), transients, expired, refused
        self.refusals = 0  #: messages that the broker did not take, finals kept for later included
        self._losses: Counter[UtteranceId] = Counter()  # connections lost with it in flight
        self._tries: Counter[UtteranceId] = Counter()  # refusals
        self._losses_again = 0  # connections lost while something was said again, but no final
        self._deadly = False  # something is aside because it ended connections
        self._first, self._transient_limit = first, transients
        self._finals = Finals(stale_after_s, finals)
        self._transients: deque[Transient] = deque()
        self._slots: dict[str, bytes | Raised] = {}
        self._unwritten: dict[str, None] = {}  # the slots to write, in order
        self._answers: deque[Answer] = deque()
        self._again: deque[bytes] = deque()
        self._flight: dict[int, _Sent] = {}  # by packet identifier, in the order of writing
        self._window = WINDOW

    def retune(self, stale_after_s: float) -> None:
        """What is queued from now on grows old after so long."""
        self._finals.stale_after_s = stale_after_s

    # What comes in

    def post(self, item: Durable) -> Durable | None:
        """Queue a final or an end; return the one that became an end for want of room."""
        victim, lost = self._finals.post(item)
        self.dropped["evicted"] += victim is not None
        self.dropped["ends"] += lost
        return victim

    def tell(self, transient: Transient) -> None:
        """Queue a transient; the oldest goes where there are too many."""
        self._transients.append(transient)
        if len(self._transients) > self._transient_limit:
            self._transients.popleft()
            self.dropped["transients"] += 1

    def retain(self, topic: str, payload: bytes | Raised) -> None:
        """Set the value of a retained topic."""
        self._slots[topic] = payload
        self._unwritten[topic] = None

    def forget(self, topic: str) -> None:
        """Say nothing on a retained topic any more: there is nothing left to remove."""
        self._slots.pop(topic, None)
        self._unwritten.pop(topic, None)

    def answer(self, answer: Answer) -> None:
        """Queue a reply; the oldest goes where there are too many."""
        self._answers.append(answer)
        if len(self._answers) > REPLIES:
            self._answers.popleft()
            self.dropped["replies"] += 1

    def restate(self, items: Iterable[Durable]) -> None:
        """Queue what is to be said again."""
        self._again.extend(map(pack, items))

    def forget_restated(self) -> None:
        """Say nothing again."""
        self._again.clear()

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
        item = self._finals.peek(now) if self._finals.flying is None else None
        if item is not None:
            return item
        if room == 1 and self._window > 1 and self._finals.flying is None:
            return None  # the last place is kept for the next final
        return self._lesser()

    def _lesser(self) -> Parcel | None:
        """What is written only while no final waits."""
        if self._transients:
            return self._transients[0]
        if self._unwritten:
            return self._slot(next(iter(self._unwritten)))
        if self._answers:
            return self._answers[0]
        return Again(unpack(self._again[0])) if self._again else None

    def sent(self, mid: int, parcel: Parcel, now: float) -> None:
        """`parcel`, which `offer()` gave, was written under the packet identifier `mid`."""
        self._flight[mid] = _Sent(parcel, now)
        match parcel:
            case Final() | Closed():
                self._finals.fly(parcel)
            case Transient():
                self._transients.popleft()
            case Retained():
                del self._unwritten[parcel.topic]
            case Answer():
                self._answers.popleft()
            case Again():
                self._again.popleft()

    def acknowledged(self, mid: int) -> Parcel | None:
        """The broker has it; None: it was not one of ours."""
        sent = self._flight.pop(mid, None)
        if sent is None:
            return None
        if isinstance(sent.parcel, (Final, Closed)):
            self._finals.land()
            del self._losses[sent.parcel.started.id], self._tries[sent.parcel.started.id]
            self._deadly = self._deadly and self.aside > 0
        elif isinstance(sent.parcel, Again):
            self._losses_again = 0
        return sent.parcel

    def refused(self, mid: int, retry_at: float, *, alone: bool = False) -> Parcel | None:
        """The broker does not take it. A final stays, and is not offered before `retry_at`.

        Nor are those behind it, unless it is refused `alone`, for what it is.
        """
        sent = self._flight.pop(mid, None)
        if sent is None:
            return None
        self.refusals += 1
        match sent.parcel:
            case Final() | Closed() if alone:
                self._finals.put_aside(retry_at)
            case Final() | Closed():
                self._tries[sent.parcel.started.id] += 1
                if self._tries[sent.parcel.started.id] < TRIES:
                    self._finals.back(retry_at)
                else:
                    self._finals.put_aside(retry_at, hold=retry_at)
            case _:
                self.dropped["refused"] += 1
        return sent.parcel

    def too_large(self, parcel: Parcel, retry_at: float) -> None:
        """`parcel`, which `offer()` gave, is larger than this broker takes: as `refused()`."""
        self.sent(-1, parcel, retry_at)
        self.refused(-1, retry_at, alone=True)

    def lean(self, item: Durable) -> bool:
        """Whether to say `item` in as few bytes as can be."""
        return self._losses[item.started.id] >= LEAN_AFTER

    def make_lean(self, mid: int) -> bool:
        """Offer the final that was written under `mid` again, lean; False: it was, or is none."""
        sent = self._flight.get(mid)
        if sent is None or not isinstance(sent.parcel, Final) or self.lean(sent.parcel):
            return False
        del self._flight[mid]
        self._losses[sent.parcel.started.id] = LEAN_AFTER
        self._finals.back()
        return True

    def release(self) -> None:
        """Offer a refused final again at once, but none that would end the connection."""
        self._finals.release()
        if not self._deadly:
            self._finals.release_aside()

    @property
    def deadly(self) -> Durable | None:
        """The lean one in flight: if the connection is lost now, it is put aside."""
        flying = self._finals.flying
        return flying if flying is not None and self.lean(flying) else None

    def lost(self, retry_at: float = 0.0) -> bool:
        """The connection is gone: what was not acknowledged goes back, in order.

        A `deadly` final is not offered before `retry_at`. A connection that is lost without any is
        a new story, in which all are tried again. Return whether something that `restate` asked
        for is given up, because it ended one connection after the other.
        """
        given_up = self._give_up_again()
        flying = self._finals.flying
        if flying is None:
            self._finals.release_aside()
        elif self.lean(flying):
            self._deadly = True
            self._finals.put_aside(retry_at)
        else:
            self._losses[flying.started.id] += 1
            self._finals.back()
        self._finals.release()
        for sent in reversed(self._flight.values()):
            match sent.parcel:
                case Transient():
                    self._transients.appendleft(sent.parcel)
                case Answer():
                    self._answers.appendleft(sent.parcel)
                case Again():
                    self._again.appendleft(pack(sent.parcel.item))
                case Retained() | Final() | Closed():
                    pass  # `connected()` and `back()` see to them
        self._flight.clear()
        return given_up

    def _give_up_again(self) -> bool:
        again = (mid for mid, sent in self._flight.items() if isinstance(sent.parcel, Again))
        first = next(again, None)
        self._losses_again += first is not None and self._finals.flying is None
        if first is None or self._losses_again <= LEAN_AFTER:
            return False
        del self._flight[first]
        self._losses_again = 0
        self.dropped["refused"] += 1
        return True

    # How it stands

    @property
    def finals(self) -> int:
        """Finals and ends that the broker has not acknowledged."""
        return len(self._finals)

    @property
    def laden(self) -> bool:
        """Whether a final or an end is in flight, for the first time or again."""
        return any(isinstance(s.parcel, (Final, Closed, Again)) for s in self._flight.values())

    @property
    def aside(self) -> int:
        """How many of them hold up nobody else, because the broker does not take them."""
        return self._finals.aside

    @property
    def restated(self) -> int:
        """What `restate` asked for and the broker has not acknowledged."""
        flying = sum(isinstance(sent.parcel, Again) for sent in self._flight.values())
        return len(self._again) + flying

    def done(self, now: float) -> bool:
        """Nothing is in flight, and nothing can be written now."""
        return not self._flight and self.offer(now) is None

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

    def held_until(self, now: float) -> float | None:
        """When a refused final is due again."""
        return self._finals.held_until(now)

    def _expire(self, now: float) -> None:
        transients = [transient for transient in self._transients if transient.until > now]
        answers = [answer for answer in self._answers if answer.until > now]
        gone = len(self._transients) - len(transients) + len(self._answers) - len(answers)
        if gone:
            self.dropped["expired"] += gone
            self._transients, self._answers = deque(transients), deque(answers)

    def _slot(self, topic: str) -> Retained:
        return Retained(topic, self._slots[topic])
