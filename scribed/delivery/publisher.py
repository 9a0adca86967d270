"""What to say to the broker, when, and in which words: accounts, outbox and payloads. Pure.

The worker feeds it what happens and writes what it offers.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from scribed.delivery import payloads
from scribed.delivery.accounts import Accounts
from scribed.delivery.outbox import Durable, Outbox, Parcel, Retained, Transient
from scribed.delivery.payloads import Moment, encode
from scribed.delivery.schemas import Message as Named
from scribed.delivery.schemas import State
from scribed.delivery.topics import ALERT_CODES, MUTED_OFF, ONLINE, RULES, Message, route
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Event,
    Final,
    Identity,
    Partial,
    UtteranceEnded,
    UtteranceStarted,
)
from scribed.text import clean

Item = UtteranceStarted | UtteranceEnded | Final | Closed | Event | Alert | AlertCleared | State

LEAN_AFTER = 3
"""A final whose connection was lost so often is sent without its words: it may be too large."""


class Offer(NamedTuple):
    """A message to write now, and where it came from."""

    parcel: Parcel
    message: Message
    text: Message | None = None  #: to be written right after it, once
    too_large: bool = False  #: for this broker


class Published(NamedTuple):
    """What the broker acknowledged."""

    topic: str
    item: Durable | None = None  #: the final or end, where it was one
    latency_ms: int | None = None  #: from the end of speech to when it was written


class Publisher:
    """See the module. Owned by one thread; all times are of the boot clock."""

    def __init__(self, identity: Identity, stale_after_s: float) -> None:
        self.published: Counter[str] = Counter()  #: messages by topic
        self.dropped: Counter[str] = Counter()  #: what never reached the broker, by cause
        self.accounts = Accounts()
        self.outbox = Outbox()
        self._identity, self._stale_after_s = identity, stale_after_s
        self._alerts_since: dict[str, float] = {}
        self._highest_seq = self._text_seq = 0
        self._max_payload: int | None = None
        self._in_flight: Published | None = None  # the final or end in flight
        self.outbox.retain("status", ONLINE)
        self.outbox.retain("muted", MUTED_OFF)
        for code in ALERT_CODES:
            self.outbox.retain(f"alert/{code}", b"")

    # What happens

    def take(self, item: Item, moment: Moment) -> str | None:
        """Queue what `item` has to say; return in words what had to be dropped, or None."""
        match item:
            case UtteranceStarted():
                self.accounts.start(item)
                self._tell_speech(item, True, moment)
            case UtteranceEnded():
                started = self.accounts.end(item)
                if started is not None:
                    self._tell_speech(started, False, moment)
            case Final() | Closed():
                return self._settle(item)
            case Event():
                self._tell("event", payloads.event(item, self._identity, moment), moment)
            case Alert():
                since = self._alerts_since.setdefault(item.code, moment.now)
                message = payloads.alert(item, since, self._identity, moment)
                self.outbox.retain(f"alert/{item.code}", encode(message))
            case AlertCleared():
                self._alerts_since.pop(item.code, None)
                self.outbox.retain(f"alert/{item.code}", b"")
            case State():
                self.outbox.retain("state", encode(payloads.state(item, self._identity, moment)))
        return None

    def abandon(self) -> None:
        """Nothing more comes: what is owed an end ends as failed."""
        for closed in self.accounts.abandon():
            self.outbox.post(closed)

    def connected(self, window: int, max_payload: int | None) -> None:
        """A new connection: everything retained is written again, `online` first."""
        self._max_payload = max_payload
        self.outbox.retain("status", ONLINE)
        self.outbox.connected(window)

    def lost(self) -> None:
        """The connection is gone."""
        self.outbox.lost()
        self._in_flight = None

    # What to write

    def partial(self, said: Partial, moment: Moment) -> Message | None:
        """A partial to be written at once or never; None where it is out of date or empty."""
        if said.started.id not in self.accounts or not clean(said.text):
            return None
        payload = encode(payloads.partial(said, self._identity, moment))
        return Message("partial", payload, RULES["partial"].expiry_s)

    def offer(self, moment: Moment) -> Offer | None:
        """What to write at `moment`: then call `written()`, or `set_aside()` if it is too large."""
        parcel = self.outbox.offer(moment.now)
        match parcel:
            case None:
                return None
            case Final():
                return self._final(parcel, moment)
            case Closed():
                payload = encode(payloads.ended(parcel, self._identity, moment))
                return self._offer(parcel, Message("ended", payload))
            case Transient():
                left_s = max(round(parcel.until - moment.now), 1)
                return self._offer(parcel, Message(parcel.topic, parcel.payload, left_s))
            case Retained():
                return self._offer(parcel, Message(parcel.topic, parcel.payload))

    def written(self, offer: Offer, mid: int, moment: Moment) -> None:
        """`offer` was written under the packet identifier `mid`."""
        parcel = offer.parcel
        self.outbox.sent(mid, parcel, moment.now)
        if isinstance(parcel, Closed):
            self._in_flight = Published("ended", parcel)
        elif isinstance(parcel, Final):
            topic = offer.message.topic
            self._in_flight = Published(topic, parcel, payloads.age_ms(parcel, moment))
            if topic == "transcript":
                self._highest_seq = parcel.started.seq
            if offer.text is not None:
                self._text_seq = parcel.started.seq

    def set_aside(self, offer: Offer, retry_at: float) -> None:
        """`offer` is too large for this broker: a final stays, all else is dropped."""
        self.outbox.too_large(offer.parcel, retry_at)

    # What the broker says

    def acknowledged(self, mid: int) -> Published | None:
        """The broker has the message; None: its PUBACK says nothing new."""
        published = self._name(self.outbox.acknowledged(mid))
        if published is not None:
            self.published[published.topic.partition("/")[0]] += 1
        return published

    def refused(self, mid: int, retry_at: float) -> Published | None:
        """The broker does not take it: a final is offered again from `retry_at`, all else goes."""
        return self._name(self.outbox.refused(mid, retry_at))

    def _name(self, parcel: Parcel | None) -> Published | None:
        if parcel is None:
            return None
        if isinstance(parcel, (Transient, Retained)):
            return Published(parcel.topic)
        published, self._in_flight = self._in_flight, None
        return published

    # In which words

    def _final(self, final: Final, moment: Moment) -> Offer:
        offer = self._worded(final, moment, with_words=self.outbox.losses < LEAN_AFTER)
        return self._worded(final, moment, with_words=False) if offer.too_large else offer

    def _worded(self, final: Final, moment: Moment, *, with_words: bool) -> Offer:
        seq = final.started.seq
        way = route(final, moment.now, self._highest_seq, self._stale_after_s)
        said = payloads.transcript(
            final,
            self._identity,
            moment,
            way,
            more_speech=self.accounts.youngest > seq,
            with_words=with_words,
        )
        text = None
        if way.topic == "transcript" and not said.caution and seq > self._text_seq:
            text = Message("text", said.text.encode(), way.expiry_s)
        return self._offer(final, Message(way.topic, encode(said), way.expiry_s), text)

    def _offer(self, parcel: Parcel, message: Message, text: Message | None = None) -> Offer:
        limit = self._max_payload
        too_large = limit is not None and len(message.payload) > limit
        return Offer(parcel, message, text, too_large)

    def _settle(self, item: Durable) -> str | None:
        if not self.accounts.settle(item.started):
            self.dropped["repeated"] += 1
            return f"utterance {item.started.seq} had its end before; the second one is dropped"
        victim = self.outbox.post(item)
        return None if victim is None else "the outbox is full; its oldest finals are dropped"

    def _tell_speech(self, started: UtteranceStarted, active: bool, moment: Moment) -> None:
        self._tell("speech", payloads.speech(started, active, self._identity, moment), moment)

    def _tell(self, topic: str, message: Named, moment: Moment) -> None:
        until = moment.now + (RULES[topic].expiry_s or 0)
        self.outbox.tell(Transient(topic, encode(message), until))
