"""What is said about a broker that does not do its part: in the log, and in alerts."""

from __future__ import annotations

import logging
from typing import Any

from scribed import kinds
from scribed.config import Mqtt
from scribed.delivery.attempts import Loss
from scribed.delivery.certificates import day
from scribed.delivery.moment import Moment
from scribed.delivery.refusals import ASIDE, DENIED_REMEDY, SIZE_REMEDY, News, Refusals
from scribed.delivery.tls import Held
from scribed.delivery.topics import is_others, whole
from scribed.errors import BrokerError
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

CERTIFICATES_S = 3600.0
"""How often it is looked whether a certificate ends soon."""


class Troubles:
    """Used by delivery's thread only. Alerts go to the `supervisor`."""

    def __init__(self, base: str, broker: str, supervisor: Mailbox[Any]) -> None:
        self.base, self.broker = base, broker  #: the base topic, and host and port
        self._supervisor = supervisor
        self._refusals = Refusals()
        self._look_at = 0.0  # when to look at certificates again

    def dropped(self, text: str, waiting: int) -> None:
        """Something that was to be said had to go."""
        extra = kinds.FINALS_DROPPED(error=text, finals=waiting)
        logger.warning("%s (%d waiting)", text, waiting, extra=extra)

    def deny(self, topic: str, why: str, waiting: int, remedy: str = DENIED_REMEDY) -> None:
        """The broker does not take what concerns `topic`."""
        about = _about(topic)
        self._deny(about, about, why, waiting, remedy)

    def put_aside(self, topic: str, why: str, waiting: int) -> None:
        """The broker does not take one message on `topic`, which is too large for it."""
        self._deny(ASIDE, topic.partition("/")[0], why, waiting, SIZE_REMEDY)

    def none_aside(self) -> None:
        """All that was put aside came through."""
        self._tell(self._refusals.allow(ASIDE))

    def _deny(self, about: str, root: str, why: str, waiting: int, remedy: str) -> None:
        text = f"{whole(root, self.base)} {why}"
        extra = kinds.BROKER_REFUSES(topic=root, error=text, finals=waiting)
        logger.warning("%s (%d waiting)", text, waiting, extra=extra)
        self._tell(self._refusals.deny(about, text, remedy))

    def allow(self, topic: str) -> None:
        """The broker takes what concerns `topic`."""
        self._tell(self._refusals.allow(_about(topic)))

    def accepted(self) -> None:
        """The broker has us as a client."""
        self._look_at = 0.0
        self._tell(self._refusals.accepted())

    def connected_since(self, since: float, now: float) -> None:
        """The connection is up since `since`."""
        for news in self._refusals.connected_since(since, now):
            self._tell(news)

    def contested(self, loss: Loss, now: float) -> bool:
        """Whether this `loss`, no fault of ours, says that another client has our id."""
        return self._refusals.contested(loss, now)

    def lost(self, error: BrokerError, loss: Loss, now: float, waiting: int) -> None:
        """The connection ended, or did not come about."""
        if error.denied or error.untrusted or loss is Loss.TAKEN_OVER:
            self._tell(self._refusals.ended(loss, str(error), now))
        extra = kinds.BROKER_DOWN(broker=self.broker, error=error, finals=waiting)
        logger.warning("%s (%d waiting)", error, waiting, extra=extra)

    def look_at(self, held: list[Held], moment: Moment) -> None:
        """The connection stands on these certificates; say now and then which of them end soon."""
        if moment.now < self._look_at:
            return
        self._look_at = moment.now + CERTIFICATES_S
        if moment.clock_synced is False:  # it may be years off
            return
        words = [
            f"{each.name} {'expires' if each.holds.ends > moment.wall else 'has expired'} on "
            f"{day(each.holds.ends)}"
            for each in held
            if each.holds.is_soon_over(moment.wall)
        ]
        self._tell(self._refusals.expiring(words))

    def _tell(self, news: News) -> None:
        if news is not None:
            self._supervisor.put(news)


def _about(topic: str) -> str:
    """What one refusal and its end have in common: another stack's topics each have their own."""
    return topic if is_others(topic) else topic.partition("/")[0]


def named(mqtt: Mqtt) -> str:
    """The broker, for programs that read the journal."""
    return mqtt.path if mqtt.transport == "unix" else f"{mqtt.host}:{mqtt.port}"
