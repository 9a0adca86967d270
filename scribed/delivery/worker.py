"""The delivery thread: hands text to the broker until the broker has it.

One selector waits on socket and mailbox. The broker may be away for any time: its absence costs an
attempt now and then and a line in the log, and what must not be lost waits in the outbox.
"""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable, Collection
from typing import Any

from scribed import clock, kinds
from scribed.config import Config
from scribed.delivery import reasons
from scribed.delivery.attempts import Loss, Pauses
from scribed.delivery.events import Acknowledged, Asked, Connected, Heard, Subscribed
from scribed.delivery.lines import log_published
from scribed.delivery.link import BrokerLink, LinkEvent, Lost
from scribed.delivery.moment import Moment
from scribed.delivery.mqtt import CONNECT_S
from scribed.delivery.offers import Offer, Published
from scribed.delivery.posts import Finish, Post, Retune
from scribed.delivery.publisher import Publisher
from scribed.delivery.refusals import DENIED_REMEDY, SIZE_REMEDY
from scribed.delivery.report import Report, report
from scribed.delivery.schemas import Metrics
from scribed.delivery.topics import OFFLINE, Message
from scribed.delivery.troubles import Troubles
from scribed.model import (
    Command,
    CommandError,
    Delivered,
    Final,
    Identity,
    Partial,
    Reply,
    Restated,
    Retuned,
    RobotDoes,
)
from scribed.text import clean
from scribed.worker import Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

SYNCED_S = 1.0
"""How long an answer of the kernel about its clock is good for."""
CERTIFICATES_S = 3600.0
"""How often it is looked whether a certificate ends soon."""
IDLE_S = 5.0
"""How long to sleep where nothing happens; the heartbeat needs no more."""
GOODBYE_S = 0.5
"""What is kept of a deadline for `offline` and the goodbye."""
MARGIN_S = 0.1
"""How long before a deadline the thread ends, so that nobody takes it for stuck."""
MOVE_S = 10.0
"""How long a change of connection waits at most for what was written on the old one."""
STOP_S = 1.0
"""The deadline of a plain `Stop`."""


class Delivery(Worker):
    """See the module. Others post to `inbox`; `echo` gets the line of each published final.

    Earlier runs have delivered nothing above `highest_seq`: nothing below it is a transcript now.
    `store` gets a `Delivered` for each final and end that the broker has, `supervisor` a `Command`;
    `noted` gets its number before anything else is written: a crash may come before the store.
    `announcing` gets the topics where a retained announcement stands, or may: to be given to the
    next run as `standing`, which removes what it does not want there.
    """

    def __init__(
        self,
        *,
        config: Config,
        identity: Identity,
        password: str | None,
        store: Mailbox[Any],
        noted: Callable[[int], object] = lambda _seq: None,
        supervisor: Mailbox[Any],
        clock_synced: Callable[[], bool | None],
        highest_seq: int = 0,
        standing: Collection[str] = (),
        announcing: Callable[[tuple[str, ...]], object] = lambda _standing: None,
        echo: Callable[[str], None] | None = None,
        now: Callable[[], float] = clock.now,
        wall: Callable[[], float] = clock.wall,
        mono_offset: Callable[[], float] = clock.mono_offset,
    ) -> None:
        super().__init__("delivery", supervisor)
        self._noted = noted
        self.inbox: Mailbox[Post] = Mailbox(limit=200_000)  # minutes of partials, while DNS hangs
        self.report = Report()
        self._config, self._identity, self._password = config, identity, password
        self._store, self._echo, self._now, self._wall = store, echo, now, wall
        self._mono_offset, self._clock_synced = mono_offset, clock_synced
        self._synced: bool | None = None
        self._synced_until = float("-inf")
        self._publisher = Publisher(
            identity,
            config.transcript,
            commands=config.mqtt.commands,
            highest_seq=highest_seq,
            languages=config.provider.languages,
            echo=config.echo,
            mqtt=config.mqtt,
            standing=standing,
        )
        self._announcing, self._standing = announcing, tuple(standing)
        self._certificates_at = 0.0
        self._pauses = Pauses()
        self._link: BrokerLink
        self._last_error: str | None = None
        self._last_final_at: float | None = None
        self._troubles = Troubles(identity.base, _broker(config), supervisor)
        self._away = True  # the log says so
        self._finish: Finish | None = None
        self._goodbye = False  # `offline` is the last thing to be written
        self._moving: Retune | None = None  # to another connection, as soon as that can be
        self._move_by = 0.0
        self._over = False

    def work(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.inbox, selectors.EVENT_READ)
            self._link = self._new_link(selector)
            self._note_standing()
            try:
                while not self._over:
                    self._turn(selector)
            finally:
                self._link.close()

    def _new_link(self, selector: selectors.BaseSelector) -> BrokerLink:
        return BrokerLink(
            self._config,
            self._identity,
            self._password,
            selector=selector,
            now=self._now,
            beat=self.beat,
        )

    def _turn(self, selector: selectors.BaseSelector) -> None:
        self.beat()
        selector.select(self._patience_s())
        for item in self.inbox.drain():
            self._take(item)
        within_s = CONNECT_S
        if self._finish is not None:
            within_s = min(CONNECT_S, max(self._finish.deadline - self._now(), 0.1))
        self._heed(self._link.service(self._publisher.outbox.oldest_sent(), within_s=within_s))
        self._publisher.replies.progress(self._moment())
        if self._finish is not None:
            self._leave(self._finish)
        elif self._moving is not None:
            self._move(self._moving, selector)
        self._pump()
        self._heed(self._link.settle())
        self.report = self._snapshot()

    def _patience_s(self) -> float:
        """How long there is nothing to do but to wait for mailbox and socket."""
        now, publisher = self._now(), self._publisher
        until = [now + IDLE_S, self._link.wake_at(publisher.outbox.oldest_sent())]
        due = (publisher.outbox.held_until(now), publisher.replies.wake_at())
        until += [at for at in due if at is not None]
        if self._finish is not None:
            ends = (self._finish.deadline - before_s for before_s in (GOODBYE_S, MARGIN_S))
            until.append(min((end for end in ends if end > now), default=now))
        if self._moving is not None:
            until.append(max(self._move_by, now + MARGIN_S))
        return max(min(until) - now, 0.0)

    # What happens on the link

    def _heed(self, events: list[LinkEvent]) -> None:
        for event in events:
            match event:
                case Connected():
                    self._connected(event)
                case Subscribed():
                    self._subscribed(event)
                case Acknowledged():
                    self._acknowledged(event)
                case Asked():
                    self._asked(event)
                case Heard():
                    for asked in self._publisher.heard(event):
                        self._asked(asked)
                case Lost():
                    self._lost(event)
        if self._link.online:
            self._troubles.connected_since(self._link.since, self._now())
            self._look_at_certificates()

    def _look_at_certificates(self) -> None:
        if self._now() < self._certificates_at:
            return
        self._certificates_at = self._now() + CERTIFICATES_S
        moment = self._moment()
        if moment.clock_synced is not False:  # else the clock may be years off
            self._troubles.certificates(self._link.certificates, moment.wall)

    def _connected(self, event: Connected) -> None:
        mqtt, version = self._config.mqtt, self._link.version
        if self._away:
            extra = kinds.BROKER_UP(broker=self._troubles.broker)
            logger.info("connected to %s (MQTT %s)", reasons.where(mqtt), version, extra=extra)
        self._last_error, self._away, self._goodbye = None, False, False
        self._publisher.connected(event.window, event.max_payload)
        self._troubles.accepted()
        self._certificates_at = 0.0

    def _subscribed(self, event: Subscribed) -> None:
        if event.refusal is None:
            self._troubles.allow(event.topic)
        else:
            self._deny(event.topic, f"cannot be subscribed to: {event.refusal}")

    def _lost(self, event: Lost) -> None:
        now, loss, outbox = self._now(), event.loss, self._publisher.outbox
        deadly, blameless = self._publisher.deadly, not outbox.laden
        self._publisher.lost(now if deadly is None else now + self._pauses.deadly())
        self._last_error = str(event.error)
        if deadly is not None:
            text = f"of {deadly.size} bytes: the broker ends the connection when it gets it"
            self._troubles.put_aside(deadly.topic, text, outbox.finals)
        elif blameless and self._troubles.contested(self._link.explain(loss), now):
            loss = Loss.TAKEN_OVER
            self._link.stand_back()
        self._troubles.lost(event.error, loss, now, outbox.finals)
        self._away = True

    def _acknowledged(self, event: Acknowledged) -> None:
        if event.refusal is None:
            published = self._publisher.acknowledged(event.mid)
            if published is not None:
                self._came_through(published)
            return
        if event.too_large:
            self._too_large(event.mid)
            return
        retry_at = self._now() + self._pauses.of_a_kind()
        refused = self._publisher.refused(event.mid, retry_at)
        if refused is not None:
            self._deny(refused.topic, f"is refused by the broker: {event.refusal}")

    def _too_large(self, mid: int) -> None:
        """The broker has a limit that it did not tell."""
        if not self._publisher.make_lean(mid):
            refused = self._publisher.refused(mid, self._now() + self._pauses.alone(), alone=True)
            self._say_too_large(refused)

    def _asked(self, asked: Asked) -> None:
        """A command: hand it on, or let its asker know why not."""
        moment = self._moment()
        ticket = self._publisher.replies.ask(asked, moment)
        if ticket is None:
            return
        token = ticket.token
        command = Command(ticket.cmd, ticket.args, local=False, answer=self.inbox, token=token)
        if not self.supervisor.put(command):
            error = CommandError("busy", "scribed has too much to do; ask again later")
            self._publisher.replies.reply(Reply(token, error=error), moment)

    def _deny(self, topic: str, why: str, remedy: str = DENIED_REMEDY) -> None:
        self._troubles.deny(topic, why, self._publisher.outbox.finals, remedy)

    def _say_too_large(self, refused: Published | None) -> None:
        if refused is None:
            return
        if refused.item is None:
            self._deny(refused.topic, "is more than the broker takes in a message", SIZE_REMEDY)
            return
        text = f"of {refused.size} bytes is more than the broker takes in a message"
        self._troubles.put_aside(refused.topic, text, self._publisher.outbox.finals)

    # Writing

    def _pump(self) -> None:
        """Write whatever may be written now; `offline` is the last thing to be written."""
        if self._moving is not None and not self._goodbye:
            return
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
            self._write_loosely(offer.text)

    def _write_loosely(self, message: Message | None) -> None:
        """Write a message of QoS 0 now or never: nobody will say whether it came through."""
        if message is not None and self._link.writable:
            self._link.publish(message)
            self._publisher.published[message.topic.partition("/")[0]] += 1
            for other in message.beside:
                self._write_loosely(other)

    def _set_aside(self, offer: Offer) -> None:
        refused = self._publisher.set_aside(offer, self._now() + self._pauses.alone())
        self._say_too_large(refused)

    def _came_through(self, published: Published) -> None:
        self._troubles.allow(published.topic)
        item = published.item
        if item is None:
            self._note_standing()
            return
        self._link.proven()
        self._pauses.came_through(self._publisher.outbox.aside)
        if not self._publisher.outbox.aside:
            self._troubles.none_aside()
        self._noted(item.started.seq)
        self._store.put(Delivered(item.started.id, item.started.seq, published.instead))
        text = clean(item.answer.text) if isinstance(item, Final) else ""
        log_published(published, item, text if self._config.transcript.log_text else "")
        if published.outcome is None:
            self._last_final_at = self._now()
            if self._echo is not None:
                self._echo(text)

    # The mailbox

    def _take(self, item: Post) -> None:
        match item:
            case Partial():
                self._partial(item)
            case Metrics():
                own = self._snapshot().metrics()
                self._write_loosely(self._publisher.metrics(item, own, self._moment()))
            case Reply():
                self._publisher.replies.reply(item, self._moment())
            case Restated():
                self._restate(item)
            case RobotDoes():
                self._publisher.robot_does(item)
            case Retune():
                self._retune(item)
            case Finish():
                self._begin_to_leave(item)
            case Stop():
                keep = self._config.spool.durability != "memory"
                self._begin_to_leave(Finish(self._now() + STOP_S, keep))
            case _:
                loss = self._publisher.take(item, self._moment())
                if loss is not None:
                    waiting = self._publisher.outbox.finals
                    self._troubles.dropped(loss, waiting)

    def _partial(self, said: Partial) -> None:
        """Partials are live speech or nothing: never queued, not even behind a slow socket; but for
        the fast words in them."""
        self._publisher.hear(said, self._moment())
        if self._link.writable and self._config.transcript.partials and said.shown:
            self._write_loosely(self._publisher.partial(said, self._moment()))

    def _restate(self, restated: Restated) -> None:
        """Take some of it now, and the rest behind whatever else is in the mailbox."""
        rest: Restated | None = restated
        while rest is not None:
            rest = self._publisher.replies.restate(rest, self._moment())
            if rest is not None and self.inbox.put(rest):
                return

    # Another configuration

    def _retune(self, new: Retune) -> None:
        """Go by it, at once but for what is a connection's own."""
        self._config = new.config
        self._retune_publisher()
        if new.reconnect or self._moving is not None:
            self._moving, self._move_by = new, self._now() + MOVE_S
        else:
            self.supervisor.put(Retuned(self.name, new.number))

    def _retune_publisher(self) -> None:
        config = self._config
        self._publisher.retune(
            self._identity,
            config.transcript,
            commands=config.mqtt.commands,
            languages=config.provider.languages,
            echo=config.echo,
            mqtt=config.mqtt,
        )
        self._note_standing()

    def _note_standing(self) -> None:
        standing = self._publisher.fits.standing
        if standing != self._standing:
            self._standing = standing
            self._announcing(standing)

    def _move(self, new: Retune, selector: selectors.BaseSelector) -> None:
        """Leave for another connection when nothing is under way on this one.

        Who comes back to the same broker under the same name was never away. Else `offline` is said
        here first: nobody will be there to be missed.
        """
        outbox, now = self._publisher.outbox, self._now()
        if self._link.online and now < self._move_by:
            if not self._goodbye and outbox.oldest_sent() is not None:
                return
            if not self._goodbye and not self._link.is_of(new.config.mqtt, new.identity):
                self._goodbye = True
                outbox.retain("status", OFFLINE)
                return
            if self._goodbye and (outbox.pending("status") or not self._link.say_goodbye()):
                return
        self._link.close()
        self._publisher.lost(now)
        self._identity, self._password = new.identity, new.password
        self._moving, self._goodbye = None, False
        self._retune_publisher()
        self._troubles.base, self._troubles.broker = new.identity.base, _broker(new.config)
        self._link = self._new_link(selector)
        self.supervisor.put(Retuned(self.name, new.number))

    # The end

    def _begin_to_leave(self, finish: Finish) -> None:
        self._finish, self._moving = finish, None
        self._publisher.close(keep=finish.keep)
        self._link.hurry()

    def _leave(self, finish: Finish) -> None:
        """Flush, say `offline`, say goodbye: each step as soon as the one before is done."""
        now, outbox = self._now(), self._publisher.outbox
        late = now >= finish.deadline - GOODBYE_S
        if now >= finish.deadline - MARGIN_S:
            self._over = True
        elif not self._link.online:
            self._over = not self._link.connecting and (late or not outbox.finals)
        elif not self._goodbye and (late or outbox.done(now)):
            self._goodbye = True
            outbox.retain("status", OFFLINE)
        elif self._goodbye and not outbox.pending("status"):
            self._over = self._link.say_goodbye()
        if self._over and outbox.finals:
            unwanted = outbox.held_until(now) is not None
            too_slow = "the broker does not take them" if unwanted else "the broker was too slow"
            why = self._last_error or too_slow
            if finish.keep:
                extra = kinds.UNPUBLISHED_KEPT(finals=outbox.finals, error=why)
                logger.warning(
                    "%d finals wait for the next start: %s", outbox.finals, why, extra=extra
                )
            else:
                extra = kinds.UNPUBLISHED_LOST(finals=outbox.finals, error=why)
                logger.error("%d finals were not published: %s", outbox.finals, why, extra=extra)

    # What others may look at

    def _moment(self) -> Moment:
        now = self._now()
        if now >= self._synced_until:
            self._synced_until, self._synced = now + SYNCED_S, self._clock_synced()
        return Moment(now, self._wall(), self._mono_offset(), self._synced)

    def _snapshot(self) -> Report:
        return report(
            self._publisher,
            connected=self._link.online,
            since=self._link.since,
            last_error=self._last_error,
            last_final_at=self._last_final_at,
        )


def _broker(config: Config) -> str:
    mqtt = config.mqtt
    return mqtt.path if mqtt.transport == "unix" else f"{mqtt.host}:{mqtt.port}"
