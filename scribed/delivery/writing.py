"""What leaves for the broker, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable

from scribed.delivery.attempts import Pauses
from scribed.delivery.events import Acknowledged
from scribed.delivery.link import BrokerLink
from scribed.delivery.moment import Moment
from scribed.delivery.offers import Offer, Published
from scribed.delivery.publisher import Publisher
from scribed.delivery.refusals import DENIED_REMEDY, SIZE_REMEDY
from scribed.delivery.topics import OFFLINE, Message
from scribed.delivery.troubles import Troubles
from scribed.model import Final


class Writing:
    """Used by delivery's thread only. `link` is the connection there is, `moment` the time now;
    `offering` is told the number of a final before it is written."""

    link: BrokerLink

    def __init__(
        self,
        publisher: Publisher,
        troubles: Troubles,
        *,
        moment: Callable[[], Moment],
        offering: Callable[[int], object],
    ) -> None:
        self.goodbye = False  #: `offline` is the last thing to be written
        self.pauses = Pauses()
        self._publisher, self._outbox = publisher, publisher.outbox
        self._troubles, self._moment, self._offering = troubles, moment, offering

    # What leaves

    def pump(self) -> None:
        """Write whatever may be written now."""
        while self.link.writable:
            if self.goodbye and not self._outbox.unwritten("status"):
                return
            moment = self._moment()
            offer = self._publisher.offer(moment)
            if offer is None:
                return
            if offer.too_large:
                self._set_aside(offer, moment)
                continue
            if isinstance(offer.parcel, Final):
                self._offering(offer.parcel.started.seq)
            self._publisher.written(offer, self.link.publish(offer.message), moment)
            self.loosely(offer.text)

    def loosely(self, message: Message | None) -> None:
        """Write a message of QoS 0 now or never: nobody will say whether it came through."""
        if message is not None and self.link.writable:
            self.link.publish(message)
            self._publisher.published[message.topic.partition("/")[0]] += 1
            for other in message.beside:
                self.loosely(other)

    def say_offline(self) -> None:
        """Write `offline`, and nothing more after it."""
        self.goodbye = True
        self._outbox.retain("status", OFFLINE)

    @property
    def said_offline(self) -> bool:
        """Whether the broker has it."""
        return self.goodbye and not self._outbox.pending("status")

    def _set_aside(self, offer: Offer, moment: Moment) -> None:
        refused = self._publisher.set_aside(offer, moment.now + self.pauses.alone())
        self._say_too_large(refused)

    # What the broker says to it

    def acknowledged(self, event: Acknowledged) -> Published | None:
        """What came through, of our own; None: nothing did."""
        if event.refusal is None:
            published = self._publisher.acknowledged(event.mid)
            if published is not None:
                self._came_through(published)
            return published
        if event.too_large:
            self._too_large(event.mid)
            return None
        retry_at = self._moment().now + self.pauses.of_a_kind()
        refused = self._publisher.refused(event.mid, retry_at)
        if refused is not None:
            self.deny(refused.topic, f"is refused by the broker: {event.refusal}")
        return None

    def deny(self, topic: str, why: str, remedy: str = DENIED_REMEDY) -> None:
        """The broker does not take what concerns `topic`."""
        self._troubles.deny(topic, why, self._outbox.finals, remedy)

    def _came_through(self, published: Published) -> None:
        self._troubles.allow(published.topic)
        if published.item is None:
            return
        self.link.proven()
        self.pauses.came_through(self._outbox.aside)
        if not self._outbox.aside:
            self._troubles.none_aside()

    def _too_large(self, mid: int) -> None:
        """The broker has a limit that it did not tell."""
        if not self._publisher.make_lean(mid):
            retry_at = self._moment().now + self.pauses.alone()
            self._say_too_large(self._publisher.refused(mid, retry_at, alone=True))

    def _say_too_large(self, refused: Published | None) -> None:
        if refused is None:
            return
        if refused.item is None:
            self.deny(refused.topic, "is more than the broker takes in a message", SIZE_REMEDY)
            return
        text = f"of {refused.size} bytes is more than the broker takes in a message"
        self._troubles.put_aside(refused.topic, text, self._outbox.finals)
