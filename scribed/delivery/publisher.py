"""What to say to the broker, when, and in which words: accounts, outbox and payloads. Pure.

The worker feeds it what happens and writes what it offers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from scribed import latency
from scribed.config import Echo, Mqtt, TranscriptSection
from scribed.delivery import cautions, payloads
from scribed.delivery.accounts import Accounts
from scribed.delivery.events import Asked, Heard
from scribed.delivery.fastwords import FastWords
from scribed.delivery.finals import Durable
from scribed.delivery.fits import Fits
from scribed.delivery.moment import Moment
from scribed.delivery.outbox import Outbox
from scribed.delivery.parcels import Again, Answer, Parcel, Raised, Retained, Transient
from scribed.delivery.payloads import encode
from scribed.delivery.replies import Replies
from scribed.delivery.schemas import Message as Named
from scribed.delivery.schemas import Metrics, Muted, State
from scribed.delivery.topics import (
    ALERT_CODES,
    MUTED_OFF,
    MUTED_ON,
    ONLINE,
    RESTATED,
    RULES,
    Message,
    route,
)
from scribed.intervals import Doings, together
from scribed.latency import Parts
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Event,
    Final,
    Identity,
    Outcome,
    Partial,
    Recovered,
    RobotDid,
    RobotDoes,
    UtteranceEnded,
    UtteranceStarted,
)
from scribed.text import clean

Item = (
    UtteranceStarted
    | UtteranceEnded
    | Recovered
    | Final
    | Closed
    | Event
    | Alert
    | AlertCleared
    | State
    | Muted
)


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
    spent: Parts | None = None  #: of a final: where its time went until it was written
    outcome: Outcome | None = None  #: of an utterance that ended without text
    size: int = 0  #: of its payload, in bytes

    @property
    def instead(self) -> Closed | None:
        """The end that was published of an utterance which had a text."""
        item, outcome = self.item, self.outcome
        if item is None or outcome is None:
            return None
        had_text = isinstance(item, Final) or outcome is Outcome.EVICTED
        return Closed(item.started, item.ended, outcome) if had_text else None


class Publisher:
    """See the module. Owned by one thread; all times are of the boot clock.

    `config` is the section [transcript]; `commands` are those that may be asked for; `languages`
    those that are spoken here, none: any; `echo` is the section [echo], `mqtt` says which other
    stacks are spoken to; earlier runs have delivered nothing above `highest_seq`, and announced
    scribed at `standing`.
    """

    def __init__(
        self,
        identity: Identity,
        config: TranscriptSection,
        *,
        commands: Collection[str] = (),
        languages: Collection[str] = (),
        echo: Echo = Echo(),  # noqa: B008 -- frozen
        mqtt: Mqtt = Mqtt(),  # noqa: B008 -- frozen
        highest_seq: int = 0,
        standing: Collection[str] = (),
    ) -> None:
        self.published: Counter[str] = Counter()  #: messages by topic, restated ones by themselves
        self.dropped: Counter[str] = Counter()  #: what never reached the broker, by cause
        self.latencies = latency.NONE_YET  #: of the texts on `transcript`, by part
        self.accounts = Accounts()
        self.outbox = Outbox(config.stale_after_s)
        self.fits = Fits(identity, mqtt, standing)
        self.replies = Replies(identity, commands, self.outbox, template=mqtt.topic)
        self._identity = identity
        self._robot = Doings(echo)
        self._choose(config, languages)
        self._fast_words = FastWords(config.fast_words)
        self._alerts_since: dict[str, float] = {}
        self._highest_seq, self._text_seq = highest_seq, 0
        self._max_payload: int | None = None
        self._in_flight: Published | None = None  # the final or end in flight
        self.outbox.retain("status", ONLINE)
        self.outbox.retain("muted", MUTED_OFF)
        for code in ALERT_CODES:
            self.outbox.retain(f"alert/{code}", b"")
        self._announce()

    def retune(
        self,
        identity: Identity,
        config: TranscriptSection,
        *,
        commands: Collection[str],
        languages: Collection[str],
        echo: Echo,
        mqtt: Mqtt,
    ) -> None:
        """Go by these from now on; all of `identity` but its ids may be another one on a new
        connection only."""
        self._identity = identity
        self._choose(config, languages)
        self._fast_words.choose(config.fast_words)
        self._robot.retune(echo)
        self.outbox.retune(config.stale_after_s)
        self.replies.retune(identity, commands, template=mqtt.topic)
        self.fits.retune(identity, mqtt)
        self._announce()

    def _choose(self, config: TranscriptSection, languages: Collection[str]) -> None:
        self._stale_after_s, self._languages = config.stale_after_s, languages
        self._drop_late = config.late == "drop"  # then what would go to `late` ends as expired

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
            case Recovered():
                self.accounts.recover(item.started, item.ended)
            case Final() | Closed():
                return self._settle(item, moment)
            case Event():
                self._tell("event", payloads.event(item, self._identity, moment), moment)
            case Alert() | AlertCleared():
                self._alert(item, moment)
            case State():
                self.outbox.retain("state", encode(payloads.state(item, self._identity, moment)))
            case Muted():
                self.outbox.retain("muted", MUTED_ON if item.on else MUTED_OFF)
        return None

    def robot_does(self, does: RobotDoes) -> None:
        """The robot speaks or moves: texts are judged by that when they are written."""
        self._robot.take(does)

    def heard(self, heard: Heard) -> list[Asked]:
        """Another stack says something: what it asks for, if it does."""
        if self.fits.is_birth(heard):
            self._announce()
        return self.fits.asked(heard)

    def hear(self, said: Partial, moment: Moment) -> None:
        """Queue the fast words in a text that may still change."""
        overtaken = said.started.seq < self._highest_seq
        if not self._fast_words or overtaken or not self._is_live(said, moment):
            return
        robot, more = self._robot.during(said.started.at, moment.now), self.accounts.youngest
        caution = cautions.of_partial(said, moment, robot, more_speech=more > said.started.seq)
        for message in self._fast_words.messages(said, caution, robot, self._identity, moment):
            self.outbox.tell(message)

    def _is_live(self, said: Partial, moment: Moment) -> bool:
        return self.accounts.live(said.started.id, moment.now - self._stale_after_s)

    def close(self, *, keep: bool) -> None:
        """Nothing more comes: what is owed an end is kept by the store, or ends as failed."""
        self.replies.close()
        self.outbox.release()
        if not keep:
            for closed in self.accounts.abandon():
                self.outbox.post(closed)

    def connected(self, window: int, max_payload: int | None) -> None:
        """A new connection: everything retained is written again, `online` first."""
        self._max_payload = max_payload
        self.outbox.retain("status", ONLINE)
        self.outbox.connected(window)

    @property
    def deadly(self) -> Published | None:
        """What is put aside if the connection is lost now: it was lost with it again and again."""
        return None if self.outbox.deadly is None else self._in_flight

    def lost(self, retry_at: float = 0.0) -> None:
        """The connection is gone; what is `deadly` is not offered before `retry_at`."""
        if self.outbox.lost(retry_at):
            self.replies.refused()
        self._in_flight = None

    # What to write

    def partial(self, said: Partial, moment: Moment) -> Message | None:
        """A partial to be written at once or never; None where it is empty, no live speech, or more
        than the broker takes."""
        if not self._is_live(said, moment) or not clean(said.text):
            return None
        robot = self._robot.during(said.started.at, moment.now)
        told = payloads.partial(said, self._identity, moment, robot)
        expiry_s, about = RULES["partial"].expiry_s, (said.started.id, said.started.seq)
        beside = self._small(self.fits.partial(told))
        message = Message("partial", encode(told), expiry_s, beside=beside, utterance=about)
        return message if self._small((message,)) else None

    def metrics(self, said: Metrics, own: dict[str, float], moment: Moment) -> Message | None:
        """The daemon's figures and delivery's `own`, to be written at once or never; None where the
        broker does not take so many."""
        payload = encode(payloads.metrics({**said.values, **own}, self._identity, moment))
        message = Message("metrics", payload, RULES["metrics"].expiry_s)
        return message if self._small((message,)) else None

    def offer(self, moment: Moment) -> Offer | None:
        """What to write at `moment`: then call `written()`, or `set_aside()` if it is too large."""
        parcel = self.outbox.offer(moment.now)
        match parcel:
            case None:
                return None
            case Final():
                return self._final(parcel, moment)
            case Again():
                return self._again(parcel, moment)
            case _:
                return self._offer(parcel, self._plain(parcel, moment))

    def written(self, offer: Offer, mid: int, moment: Moment) -> None:
        """`offer` was written under the packet identifier `mid`."""
        parcel, topic, size = offer.parcel, offer.message.topic, offer.message.size
        self.outbox.sent(mid, parcel, moment.now)
        if isinstance(parcel, Closed):
            self._in_flight = Published(topic, parcel, outcome=parcel.outcome, size=size)
        elif isinstance(parcel, Final) and topic == "ended":
            self._in_flight = Published(topic, parcel, outcome=Outcome.EXPIRED, size=size)
        elif isinstance(parcel, Final):
            spent = payloads.spent(parcel, moment)
            self._in_flight = Published(topic, parcel, spent, size=size)
            if topic == "transcript":
                self._highest_seq = parcel.started.seq
            if offer.text is not None:
                self._text_seq = parcel.started.seq

    def set_aside(self, offer: Offer, retry_at: float) -> Published | None:
        """`offer` is too large for this broker: a final stays, all else goes, as in `refused()`."""
        self.outbox.too_large(offer.parcel, retry_at)
        item = offer.parcel if isinstance(offer.parcel, (Final, Closed)) else None
        named = Published(offer.message.topic, item, size=offer.message.size)
        return self._not_taken(offer.parcel, named)

    # What the broker says

    def acknowledged(self, mid: int) -> Published | None:
        """The broker has the message; None: its PUBACK says nothing about our own topics."""
        parcel = self.outbox.acknowledged(mid)
        published = self._name(parcel)
        if isinstance(parcel, (Answer, Again)):
            self.published["reply" if isinstance(parcel, Answer) else "restated"] += 1
        elif published is not None:
            self.published[published.topic.partition("/")[0]] += 1
            if self.fits.is_gone(published.topic):
                self.outbox.forget(published.topic)
            if published.topic == "transcript" and published.spent is not None:
                self.latencies = latency.counted(self.latencies, published.spent)
        return published

    def make_lean(self, mid: int) -> bool:
        """The final written under `mid` was too large: offer its text alone if it had more."""
        lean = self.outbox.make_lean(mid)
        if lean:
            self._in_flight = None
        return lean

    def refused(self, mid: int, retry_at: float, *, alone: bool = False) -> Published | None:
        """The broker does not take it: a final is offered again from `retry_at`, all else goes.

        `alone`: those behind it may be taken. None: it is none of our own topics, but one that an
        asker named.
        """
        parcel = self.outbox.refused(mid, retry_at, alone=alone)
        return self._not_taken(parcel, self._name(parcel))

    def _not_taken(self, parcel: Parcel | None, published: Published | None) -> Published | None:
        if isinstance(parcel, Again):
            self.replies.refused()
            return published if self.replies.address.topic is None else None
        foreign = isinstance(parcel, Answer) and parcel.address.topic is not None
        return None if foreign else published

    def _name(self, parcel: Parcel | None) -> Published | None:
        match parcel:
            case None:
                return None
            case Transient() | Retained():
                return Published(parcel.topic)
            case Answer():
                return Published("reply") if parcel.address.topic is None else None
            case Again():
                return Published("late") if self.replies.address.topic is None else None
            case _:
                published, self._in_flight = self._in_flight, None
                return published

    # In which words

    def _final(self, final: Final, moment: Moment) -> Offer:
        offer = self._worded(final, moment, lean=self.outbox.lean(final))
        return self._worded(final, moment, lean=True) if offer.too_large else offer

    def _worded(self, final: Final, moment: Moment, *, lean: bool) -> Offer:
        seq = final.started.seq
        way = route(final, moment.now, self._highest_seq, self._stale_after_s)
        if way.topic == "late" and self._drop_late:
            end = Closed(final.started, final.ended, Outcome.EXPIRED)
            return self._offer(final, self._end(end, moment))
        said = payloads.transcript(
            final,
            self._identity,
            moment,
            way,
            more_speech=self.accounts.youngest > seq,
            languages=self._languages,
            robot=self._robot_during(final),
            lean=lean,
        )
        text, about = None, (final.started.id, seq)
        first = seq > self._text_seq and self.accounts.began_here(final.started.id)
        if way.topic == "transcript" and not said.caution and first:
            # Only what nobody can have said before: a plain text has no `seq` to tell.
            beside = self._small(self.fits.text(said, way.expiry_s))
            payload = said.text.encode()
            text = Message("text", payload, way.expiry_s, beside=beside, utterance=about)
        message = Message(way.topic, encode(said), way.expiry_s, utterance=about)
        return self._offer(final, message, text)

    def _again(self, again: Again, moment: Moment) -> Offer:
        offer = self._offer(again, self._restated(again.item, moment, lean=False))
        if not offer.too_large:
            return offer
        return self._offer(again, self._restated(again.item, moment, lean=True))

    def _restated(self, item: Durable, moment: Moment, *, lean: bool) -> Message:
        topic, correlation = self.replies.address.topic, self.replies.address.correlation
        if isinstance(item, Closed):
            return self._end(item, moment)._replace(address=topic, correlation=correlation)
        more = self.accounts.youngest > item.started.seq
        said = payloads.transcript(
            item,
            self._identity,
            moment,
            RESTATED,
            more_speech=more,
            languages=self._languages,
            robot=self._robot_during(item),
            lean=lean,
        )
        about = (item.started.id, item.started.seq)
        return Message("late", encode(said), None, topic, correlation, utterance=about)

    def _robot_during(self, final: Final) -> RobotDid:
        """What was known when the utterance ended, and what the robot has said since then."""
        started, ended = final.started, final.ended
        if started.boot is not None:  # by another clock
            return ended.robot
        return together(ended.robot, self._robot.during(started.at, ended.at))

    def _plain(self, parcel: Closed | Transient | Retained | Answer, moment: Moment) -> Message:
        """The message of what is always said in the same words."""
        match parcel:
            case Closed():
                return self._end(parcel, moment)
            case Transient():
                left_s, about = _left_s(parcel.until, moment), parcel.utterance
                return Message(parcel.topic, parcel.payload, left_s, utterance=about)
            case Answer():
                left_s, address = _left_s(parcel.until, moment), parcel.address
                return Message("reply", parcel.payload, left_s, address.topic, address.correlation)
            case Retained():
                said = parcel.payload
                if isinstance(said, Raised):
                    said = encode(payloads.alert(said.alert, said.since, self._identity, moment))
                return Message(parcel.topic, said)

    def _end(self, closed: Closed, moment: Moment) -> Message:
        about = (closed.started.id, closed.started.seq)
        payload = encode(payloads.ended(closed, self._identity, moment))
        return Message("ended", payload, utterance=about)

    def _offer(self, parcel: Parcel, message: Message, text: Message | None = None) -> Offer:
        limit = self._max_payload
        too_large = limit is not None and message.size > limit
        return Offer(parcel, message, text, too_large)

    def _settle(self, item: Durable, moment: Moment) -> str | None:
        if not self.accounts.settle(item.started):
            self.dropped["repeated"] += 1
            return f"utterance {item.started.seq} had its end before; the second one is dropped"
        if isinstance(item, Final) and self._fast_words:
            self._tell_words(item, moment)
        victim = self.outbox.post(item)
        return None if victim is None else "the outbox is full; its oldest finals end as evicted"

    def _tell_words(self, final: Final, moment: Moment) -> None:
        """Tell the fast words of a text that goes to `transcript`, and that no run told before."""
        way = route(final, moment.now, self._highest_seq, self._stale_after_s)
        if way.expiry_s is None or not self.accounts.began_here(final.started.id):
            return
        robot = self._robot_during(final)
        caution = self._cautions(final, moment, robot)
        fast = self._fast_words.messages(
            final, caution, robot, self._identity, moment, fresh_s=way.expiry_s
        )
        for message in fast:
            self.outbox.tell(message)

    def _cautions(self, final: Final, moment: Moment, robot: RobotDid) -> list[str]:
        more = self.accounts.youngest > final.started.seq
        return cautions.of_final(
            final, moment, more_speech=more, languages=self._languages, robot=robot
        )

    def _alert(self, news: Alert | AlertCleared, moment: Moment) -> None:
        if isinstance(news, Alert):
            since = self._alerts_since.setdefault(news.code, moment.now)
            self.outbox.retain(f"alert/{news.code}", Raised(news, since))
        else:
            self._alerts_since.pop(news.code, None)
            self.outbox.retain(f"alert/{news.code}", b"")

    def _tell_speech(self, started: UtteranceStarted, active: bool, moment: Moment) -> None:
        told = payloads.speech(started, active, self._identity, moment)
        self._tell("speech", told, moment, (started.id, started.seq))
        said = self.fits.speech(started, active=active)
        if said is not None:
            until = moment.now + (RULES["speech"].expiry_s or 0)
            self.outbox.tell(Transient(said.topic, said.payload, until))

    def _announce(self) -> None:
        for said in self.fits.announced():
            self.outbox.retain(said.topic, said.payload)

    def _small(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Those that this broker takes."""
        limit = self._max_payload
        small = tuple(m for m in messages if limit is None or m.size <= limit)
        self.dropped["too_large"] += len(messages) - len(small)
        return small

    def _tell(
        self, topic: str, message: Named, moment: Moment, about: tuple[str, int] | None = None
    ) -> None:
        until = moment.now + (RULES[topic].expiry_s or 0)
        self.outbox.tell(Transient(topic, encode(message), until, about))


def _left_s(until: float, moment: Moment) -> int:
    """The expiry of a message that nobody wants after `until`."""
    return max(round(until - moment.now), 1)
