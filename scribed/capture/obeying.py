"""Capture does what it is asked for, one after the other, and answers."""

from __future__ import annotations

import collections

from scribed.capture.keeping import Keeping
from scribed.capture.listening import Listening
from scribed.capture.muting import Muting
from scribed.capture.orders import Flush, Listen, Mute, Robot, too_late
from scribed.capture.presence import Presence
from scribed.recording import Record

Order = Mute | Flush | Robot | Listen | Record


class Obeying:
    """The orders that have come. Used by the capture thread only."""

    def __init__(
        self, listening: Listening, muting: Muting, keeping: Keeping, presence: Presence
    ) -> None:
        self._listening, self._muting = listening, muting
        self._keeping, self._presence = keeping, presence
        self._orders: collections.deque[Order] = collections.deque()

    def take(self, order: Order) -> None:
        """Something is asked for."""
        self._orders.append(order)

    def obey(self) -> bool:
        """Do what was asked for; whether there was anything.

        Called when all that was said before has been heard. What follows a mute waits until a
        microphone is closed.
        """
        if not self._orders:
            return False
        waits = False
        while self._orders and not waits:
            match order := self._orders.popleft():
                case Mute():
                    waits = self._muting.take(order)
                case Flush():
                    order.done(flushed=self._listening.flush())
                case Robot(does=does):
                    order.done(left_s=self._listening.robot(does))
                case Listen(at=at, ttl_s=ttl_s):
                    order.done(left_s=self._listening.listen(at, ttl_s))
                case Record():
                    self._keeping.take(order, self._presence.device)
        return True

    def refuse(self) -> None:
        """Answer what came too late: there is nothing to mute or to flush."""
        for order in self._orders:
            too_late(order)
