"""What to say to the broker, and when: accounts, outbox and wording brought together. Pure.

The worker feeds it what happens and writes what it offers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from scribed import latency
from scribed.config import Echo, Mqtt, TranscriptSection
from scribed.delivery import cautions, payloads
from scribed.delivery.accounts import Accounts
from scribed.delivery.events import Asked, Heard
from scribed.delivery.fastwords import FastWords
from scribed.delivery.finals import Durable
from scribed.delivery.fits import Fits
from scribed.delivery.moment import Moment
from scribed.delivery.offers import Offer, Published
from scribed.delivery.outbox import Outbox
from scribed.delivery.parcels import Again, Answer, Parcel, Raised, Retained, Transient
from scribed.delivery.payloads import encode
from scribed.delivery.posts import Item
from scribed.delivery.replies import Replies
from scribed.delivery.schemas import Message as Named
from scribed.delivery.schemas import Metrics, Muted, State
from scribed.delivery.topics import (
    ALERT_CODES,
    MUTED_OFF,
    MUTED_ON,
    ONLINE,
    RULES,
    Message,
)
from scribed.delivery.wording import Wording
from scribed.intervals import Doings
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
    RobotDoes,
    UtteranceEnded,
    UtteranceStarted,
)
from scribed.text import clean


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
        self._wording = Wording(
            identity,
            config,
            languages,
            accounts=self.accounts,
            robot=self._robot,
            fits=self.fits,
            dropped=self.dropped,
            highest_seq=highest_seq,
        )
        self._stale_after_s = config.stale_after_s
        self._fast_words = FastWords(config.fast_words)
        self._alerts_since: dict[str, float] = {}
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
        self._identity, self._stale_after_s = identity, config.stale_after_s
        self._wording.retune(identity, config, languages)
        self._fast_words.choose(config.fast_words)
        self._robot.retune(echo)
        self.outbox.retune(config.stale_after_s)
        self.replies.retune(identity, commands, template=mqtt.topic)
        self.fits.retune(identity, mqtt)
        self._announce()

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
        overtaken = said.started.seq < self._wording.highest_seq
        if not self._fast_words or overtaken or not self._is_live(said, moment):
            return
        robot = self._robot.during(said.started.at, moment.now)
        more = self._wording.more_speech(said.started.seq)
        caution = cautions.of_partial(said, moment, robot, more_speech=more)
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
        self._wording.max_payload = max_payload
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
        return self._wording.partial(said, moment)

    def metrics(self, said: Metrics, own: dict[str, float], moment: Moment) -> Message | None:
        """The daemon's figures and delivery's `own`, to be written at once or never; None where the
        broker does not take so many."""
        return self._wording.metrics({**said.values, **own}, moment)

    def offer(self, moment: Moment) -> Offer | None:
        """What to write at `moment`: then call `written()`, or `set_aside()` if it is too large."""
        parcel = self.outbox.offer(moment.now)
        if parcel is None:
            return None
        lean = isinstance(parcel, Final) and self.outbox.lean(parcel)
        return self._wording.offer(parcel, moment, lean=lean, address=self.replies.address)

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
        if isinstance(parcel, Final):
            self._wording.written(offer)

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
        way = self._wording.route(final, moment)
        if way.expiry_s is None or not self.accounts.began_here(final.started.id):
            return
        robot = self._wording.robot_during(final)
        caution = self._wording.cautions(final, moment, robot)
        fast = self._fast_words.messages(
            final, caution, robot, self._identity, moment, fresh_s=way.expiry_s
        )
        for message in fast:
            self.outbox.tell(message)

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

    def _tell(
        self, topic: str, message: Named, moment: Moment, about: tuple[str, int] | None = None
    ) -> None:
        until = moment.now + (RULES[topic].expiry_s or 0)
        self.outbox.tell(Transient(topic, encode(message), until, about))
