"""What is said about a broker that does not do its part: in the log, and in alerts."""

from __future__ import annotations

import logging
from typing import Any

from scribed.complaints import Complaints
from scribed.delivery.attempts import STABLE_S, Loss
from scribed.delivery.refusals import ASIDE, DENIED_REMEDY, SIZE_REMEDY, News, Refusals
from scribed.errors import BrokerError
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)


class Troubles:
    """Used by delivery's thread only. Alerts go to the `supervisor`."""

    def __init__(self, base: str, supervisor: Mailbox[Any]) -> None:
        self.base = base  #: the base topic
        self._supervisor = supervisor
        self._complaints = Complaints()
        self._refusals = Refusals()

    def complain(self, about: str, text: str, now: float, waiting: int) -> bool:
        """Log what goes wrong where it is news, and that `waiting` finals wait; was it news?"""
        news = self._complaints.is_news(about, text, now)
        if news:
            logger.warning("%s (%d waiting)", text, waiting)
        return news

    def deny(
        self, topic: str, why: str, now: float, waiting: int, remedy: str = DENIED_REMEDY
    ) -> None:
        """The broker does not take what concerns `topic`."""
        root = topic.partition("/")[0]
        self._deny(root, f"{self.base}/{root} {why}", now, waiting, remedy)

    def put_aside(self, topic: str, why: str, now: float, waiting: int) -> None:
        """The broker does not take one message on `topic`, which is too large for it."""
        text = f"{self.base}/{topic.partition('/')[0]} {why}"
        self._deny(ASIDE, text, now, waiting, SIZE_REMEDY)

    def none_aside(self) -> None:
        """All that was put aside came through."""
        self._tell(self._refusals.allow(ASIDE))

    def _deny(self, about: str, text: str, now: float, waiting: int, remedy: str) -> None:
        self.complain(about, text, now, waiting)
        self._tell(self._refusals.deny(about, text, remedy))

    def allow(self, topic: str) -> None:
        """The broker takes what concerns `topic`."""
        self._tell(self._refusals.allow(topic.partition("/")[0]))

    def accepted(self) -> None:
        """The broker has us as a client."""
        self._tell(self._refusals.accepted())

    def connected_since(self, since: float, now: float) -> None:
        """The connection is up since `since`."""
        for news in self._refusals.connected_since(since, now):
            self._tell(news)

    def contested(self, loss: Loss, now: float) -> bool:
        """Whether this `loss`, no fault of ours, says that another client has our id."""
        return self._refusals.contested(loss, now)

    def lost(
        self, error: BrokerError, loss: Loss, lasted_s: float, now: float, waiting: int
    ) -> bool:
        """The connection ended, or did not come about; was that news?"""
        if lasted_s >= STABLE_S:
            self._complaints.forget("broker")
        if error.denied or loss is Loss.TAKEN_OVER:
            self._tell(self._refusals.ended(loss, str(error), now))
        return self.complain("broker", str(error), now, waiting)

    def _tell(self, news: News) -> None:
        if news is not None:
            self._supervisor.put(news)
