"""The delivery thread: hands text to the broker until the broker has it.

One selector waits on socket and mailbox. The broker may be away for any time: its absence costs an
attempt now and then and a line in the log, and what must not be lost waits in the outbox.
"""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scribed import clock
from scribed.backoff import Backoff
from scribed.config import Config
from scribed.delivery.attempts import INITIAL_S, MAX_S, STABLE_S, Loss
from scribed.delivery.link import BrokerLink, LinkEvent, Lost
from scribed.delivery.mqtt import CONNECT_S, Acknowledged, Connected
from scribed.delivery.payloads import Moment
from scribed.delivery.publisher import Item, Offer, Published, Publisher
from scribed.delivery.refusals import News, Refusals
from scribed.delivery.report import Complaints, Report
from scribed.delivery.topics import OFFLINE, Message
from scribed.model import Closed, Identity, Partial
from scribed.text import clean
from scribed.worker import Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

IDLE_S = 5.0
"""How long to sleep where nothing happens; the heartbeat needs no more."""
GOODBYE_S = 0.5
"""What is kept of a deadline for `offline` and the goodbye."""
STOP_S = 1.0
"""The deadline of a plain `Stop`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more comes: publish what is owed until `deadline`, and say goodbye."""

    deadline: float


Post = Item | Partial | Finish | Stop


class Delivery(Worker):
    """See the module. Others post to `inbox`; `echo` gets the line of each published final."""

    def __init__(
        self,
        *,
        config: Config,
        identity: Identity,
        password: str | None,
        supervisor: Mailbox[Any],
        clock_synced: Callable[[], bool | None],
        echo: Callable[[str], None] | None = None,
        now: Callable[[], float] = clock.now,
        wall: Callable[[], float] = clock.wall,
        mono_offset: Callable[[], float] = clock.mono_offset,
    ) -> None:
        super().__init__("delivery", supervisor)
        self.inbox: Mailbox[Post] = Mailbox()
        self.report = Report()
        self._config, self._identity, self._password = config, identity, password
        self._echo, self._now, self._wall = echo, now, wall
        self._mono_offset, self._clock_synced = mono_offset, clock_synced
        self._publisher = Publisher(identity, config.transcript.stale_after_s)
        self._retry = Backoff(INITIAL_S, MAX_S)  # of a final that the broker does not take
        self._link: BrokerLink
        self._last_error: str | None = None
        self._last_final_at: float | None = None
        self._complaints = Complaints()
        self._refusals = Refusals()
        self._away = True  # the log says so
        self._finish: Finish | None = None
        self._goodbye = False  # `offline` is the last thing to be written
        self._over = False

    def work(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.inbox, selectors.EVENT_READ)
            self._link = BrokerLink(
                self._config,
                self._identity,
                self._password,
                selector=selector,
                now=self._now,
                beat=self.beat,
            )
            try:
                while not self._over:
                    self._turn(selector)
            finally:
                self._link.close()

    def _turn(self, selector: selectors.BaseSelector) -> None:
        self.beat()
        selector.select(self._patience_s())
        for item in self.inbox.drain():
            self._take(item)
        within_s = CONNECT_S
        if self._finish is not None:
            within_s = min(CONNECT_S, max(self._finish.deadline - self._now(), 0.1))
        self._heed(self._link.service(self._publisher.outbox.oldest_sent(), within_s=within_s))
        if self._finish is not None:
            self._leave(self._finish)
        self._pump()
        self._heed(self._link.settle())
        self._tell_report()

    def _patience_s(self) -> float:
        """How long there is nothing to do but to wait for mailbox and socket."""
        now, outbox = self._now(), self._publisher.outbox
        until = [now + IDLE_S, self._link.wake_at(outbox.oldest_sent())]
        held = outbox.held_until()
        if held is not None and held > now:
            until.append(held)
        if self._finish is not None:
            until.append(self._finish.deadline - (0.0 if self._goodbye else GOODBYE_S))
        return max(min(until) - now, 0.0)

    # What happens on the link

    def _heed(self, events: list[LinkEvent]) -> None:
        for event in events:
            match event:
                case Connected():
                    self._connected(event)
                case Acknowledged():
                    self._acknowledged(event)
                case Lost():
                    self._lost(event)
        if self._link.online:
            self._notify(self._refusals.connected_since(self._link.since, self._now()))

    def _connected(self, event: Connected) -> None:
        mqtt, version = self._config.mqtt, self._link.version
        if self._away:
            logger.info("connected to %s port %d (MQTT %s)", mqtt.host, mqtt.port, version)
        self._last_error, self._away, self._goodbye = None, False, False
        self._publisher.connected(event.window, event.max_payload)
        self._notify(self._refusals.allow(""))

    def _lost(self, event: Lost) -> None:
        self._publisher.lost()
        text = self._last_error = str(event.error)
        if event.lasted_s >= STABLE_S:
            self._complaints.forget("broker")
        self._away = self._complain("broker", text) or self._away
        if event.loss is Loss.TAKEN_OVER:
            self._notify(self._refusals.taken_over(text, self._now()))
        elif event.error.denied:
            self._notify(self._refusals.deny("", text))

    def _acknowledged(self, event: Acknowledged) -> None:
        if event.refusal is None:
            published = self._publisher.acknowledged(event.mid)
            if published is not None:
                self._came_through(published)
            return
        retry_at = self._now() + self._retry.next_delay()
        refused = self._publisher.refused(event.mid, retry_at)
        if refused is not None:
            self._deny(refused.topic, f"is refused by the broker: {event.refusal}")

    def _deny(self, topic: str, why: str) -> None:
        root = topic.partition("/")[0]
        text = f"{self._identity.base}/{root} {why}"
        self._complain(root, text)
        self._notify(self._refusals.deny(root, text))

    def _notify(self, news: News) -> None:
        if news is not None:
            self.supervisor.put(news)

    def _complain(self, about: str, text: str) -> bool:
        """Log what goes wrong where it is news; say whether it was."""
        news = self._complaints.is_news(about, text, self._now())
        if news:
            logger.warning("%s (%d waiting)", text, self._publisher.outbox.finals)
        return news

    # Writing

    def _pump(self) -> None:
        """Write whatever may be written now; `offline` is the last thing to be written."""
        while self._link.writable:
            if self._goodbye and not self._publisher.outbox.unwritten("status"):
                return
            moment = self._moment()
            offer = self._publisher.offer(moment)
            if offer is None:
                return
            if offer.too_large:
                self._set_aside(offer)
                continue
            self._publisher.written(offer, self._link.publish(offer.message), moment)
            if offer.text is not None:
                self._write_loosely(offer.text)

    def _write_loosely(self, message: Message) -> None:
        """Write a message of QoS 0 now or never: nobody will say whether it came through."""
        if self._link.writable:
            self._link.publish(message)
            self._publisher.published[message.topic] += 1

    def _set_aside(self, offer: Offer) -> None:
        topic, size = offer.message.topic, len(offer.message.payload)
        self._publisher.set_aside(offer, self._now() + self._retry.next_delay())
        self._deny(topic, f"of {size} bytes is more than the broker takes in a message")

    def _came_through(self, published: Published) -> None:
        self._notify(self._refusals.allow(published.topic.partition("/")[0]))
        item = published.item
        if item is None:
            return
        self._link.proven()
        self._retry.reset()
        extra: dict[str, object] = {
            "SCRIBED_UTTERANCE_ID": item.started.id,
            "SCRIBED_SEQ": item.started.seq,
        }
        if isinstance(item, Closed):
            seq, outcome = item.started.seq, item.outcome.value
            logger.info("utterance %d ended: %s", seq, outcome, extra=extra)
            return
        self._last_final_at = self._now()
        text = clean(item.answer.text)
        extra["SCRIBED_LATENCY_MS"] = published.latency_ms
        logger.info(
            "utterance %d published on %s %d ms after its end%s",
            item.started.seq,
            published.topic,
            published.latency_ms,
            f": {text}" if self._config.transcript.log_text else "",
            extra=extra,
        )
        if self._echo is not None:
            self._echo(text)

    # The mailbox

    def _take(self, item: Post) -> None:
        match item:
            case Partial():
                self._partial(item)
            case Finish():
                self._begin_to_leave(item)
            case Stop():
                self._begin_to_leave(Finish(self._now() + STOP_S))
            case _:
                loss = self._publisher.take(item, self._moment())
                if loss is not None:
                    self._complain("loss", loss)

    def _partial(self, said: Partial) -> None:
        """Partials are live speech or nothing: never queued, not even behind a slow socket."""
        if self._link.writable and self._config.transcript.partials:
            message = self._publisher.partial(said, self._moment())
            if message is not None:
                self._write_loosely(message)

    # The end

    def _begin_to_leave(self, finish: Finish) -> None:
        self._finish = finish
        self._publisher.abandon()
        self._publisher.outbox.release()
        self._link.hurry()

    def _leave(self, finish: Finish) -> None:
        """Flush, say `offline`, say goodbye: each step as soon as the one before is done."""
        now, outbox = self._now(), self._publisher.outbox
        late = now >= finish.deadline - GOODBYE_S
        if not self._link.online:
            self._over = late or not outbox.finals
        elif now >= finish.deadline:
            self._over = True
        elif not self._goodbye and (late or outbox.empty or outbox.held_until() is not None):
            self._goodbye = True
            outbox.retain("status", OFFLINE)
        elif self._goodbye and not outbox.pending("status"):
            self._over = self._link.say_goodbye()
        if self._over and outbox.finals:
            why = self._last_error or "the broker was too slow"
            logger.error("%d finals were not published: %s", outbox.finals, why)

    # What others may look at

    def _moment(self) -> Moment:
        return Moment(self._now(), self._wall(), self._mono_offset(), self._clock_synced())

    def _tell_report(self) -> None:
        publisher, link = self._publisher, self._link
        self.report = Report(
            connected=link.online,
            since=link.since,
            last_error=self._last_error,
            detected=publisher.accounts.detected,
            open_accounts=len(publisher.accounts),
            queued=publisher.outbox.finals,
            published=dict(publisher.published),
            dropped=publisher.dropped + publisher.outbox.dropped,
            refused=publisher.outbox.refusals,
            last_final_at=self._last_final_at,
        )
