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
from scribed.delivery.attempts import Loss
from scribed.delivery.clocks import Clocks
from scribed.delivery.events import Acknowledged, Asked, Connected, Heard, Subscribed
from scribed.delivery.lines import log_published
from scribed.delivery.link import BrokerLink, LinkEvent, Lost
from scribed.delivery.mqtt import CONNECT_S
from scribed.delivery.parting import Move, Parting
from scribed.delivery.posts import Finish, Post, Retune
from scribed.delivery.publisher import Publisher
from scribed.delivery.report import Report, report
from scribed.delivery.schemas import Metrics
from scribed.delivery.troubles import Troubles, named
from scribed.delivery.writing import Writing
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

IDLE_S = 5.0
"""How long to sleep where nothing happens; the heartbeat needs no more."""
STOP_S = 1.0
"""The deadline of a plain `Stop`."""


class Delivery(Worker):
    """See the module. Others post to `inbox`; `echo` gets the line of each published final.

    Earlier runs have delivered nothing above `highest_seq`: nothing below it is a transcript now.
    `store` gets a `Delivered` for each final and end that the broker has, `supervisor` a `Command`;
    `noted` gets its number before anything else is written: a crash may come before the store; and
    `offering` that of a final before it is.
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
        offering: Callable[[int], object] = lambda _seq: None,
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
        self._store, self._echo, self._now = store, echo, now
        self._moment = Clocks(clock_synced, now, wall, mono_offset).moment
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
        self._last_error: str | None = None
        self._last_final_at: float | None = None
        self._troubles = Troubles(identity.base, named(config.mqtt), supervisor)
        self._writing = Writing(
            self._publisher, self._troubles, moment=self._moment, offering=offering
        )
        self._away = True  # the log says so
        self._parting: Parting | None = None
        self._move: Move | None = None
        self._over = False

    @property
    def _link(self) -> BrokerLink:
        return self._writing.link

    def work(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.inbox, selectors.EVENT_READ)
            self._writing.link = self._new_link(selector)
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
        within_s = CONNECT_S if self._parting is None else self._parting.within_s(self._now())
        self._heed(self._link.service(self._publisher.outbox.oldest_sent(), within_s=within_s))
        self._publisher.replies.progress(self._moment())
        if self._parting is not None:
            self._leave(self._parting)
        elif self._move is not None:
            self._go(self._move, selector)
        if self._move is None or self._writing.goodbye:
            self._writing.pump()
        self._heed(self._link.settle())
        self.report = self._snapshot()

    def _patience_s(self) -> float:
        """How long there is nothing to do but to wait for mailbox and socket."""
        now, publisher = self._now(), self._publisher
        until = [now + IDLE_S, self._link.wake_at(publisher.outbox.oldest_sent())]
        due = (publisher.outbox.held_until(now), publisher.replies.wake_at())
        until += [at for at in due if at is not None]
        until += [each.wake_at(now) for each in (self._parting, self._move) if each is not None]
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
            self._troubles.look_at(self._link.certificates, self._moment())

    def _connected(self, event: Connected) -> None:
        mqtt, version = self._config.mqtt, self._link.version
        if self._away:
            extra = kinds.BROKER_UP(broker=self._troubles.broker)
            logger.info("connected to %s (MQTT %s)", reasons.where(mqtt), version, extra=extra)
        self._last_error, self._away, self._writing.goodbye = None, False, False
        self._publisher.connected(event.window, event.max_payload)
        self._troubles.accepted()

    def _subscribed(self, event: Subscribed) -> None:
        if event.refusal is None:
            self._troubles.allow(event.topic)
        else:
            self._writing.deny(event.topic, f"cannot be subscribed to: {event.refusal}")

    def _lost(self, event: Lost) -> None:
        now, loss, outbox = self._now(), event.loss, self._publisher.outbox
        deadly, blameless = self._publisher.deadly, not outbox.laden
        self._publisher.lost(now if deadly is None else now + self._writing.pauses.deadly())
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
        published = self._writing.acknowledged(event)
        if published is None:
            return
        item = published.item
        if item is None:
            self._note_standing()
            return
        self._noted(item.started.seq)
        self._store.put(Delivered(item.started.id, item.started.seq, published.instead))
        text = clean(item.answer.text) if isinstance(item, Final) else ""
        log_published(published, item, text if self._config.transcript.log_text else "")
        if published.outcome is None:
            self._last_final_at = self._now()
            if self._echo is not None:
                self._echo(text)

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

    # The mailbox

    def _take(self, item: Post) -> None:
        match item:
            case Partial():
                self._partial(item)
            case Metrics():
                own = self._snapshot().metrics()
                self._writing.loosely(self._publisher.metrics(item, own, self._moment()))
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
            self._writing.loosely(self._publisher.partial(said, self._moment()))

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
        if new.reconnect or self._move is not None:
            self._move = Move(new, self._now())
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

    def _go(self, move: Move, selector: selectors.BaseSelector) -> None:
        """Change the connection, as soon as that may be."""
        now, new = self._now(), move.new
        if not move.may_go(self._writing, self._publisher.outbox, now):
            return
        self._link.close()
        self._publisher.lost(now)
        self._identity, self._password = new.identity, new.password
        self._move, self._writing.goodbye = None, False
        self._retune_publisher()
        self._troubles.base, self._troubles.broker = new.identity.base, named(new.config.mqtt)
        self._writing.link = self._new_link(selector)
        self.supervisor.put(Retuned(self.name, new.number))

    # The end

    def _begin_to_leave(self, finish: Finish) -> None:
        self._parting, self._move = Parting(finish), None
        self._publisher.close(keep=finish.keep)
        self._link.hurry()

    def _leave(self, parting: Parting) -> None:
        now, outbox = self._now(), self._publisher.outbox
        self._over = parting.is_over(self._writing, outbox, now)
        if self._over:
            parting.account(outbox, self._last_error, now)

    # What others may look at

    def _snapshot(self) -> Report:
        return report(
            self._publisher,
            connected=self._link.online,
            since=self._link.since,
            last_error=self._last_error,
            last_final_at=self._last_final_at,
        )
