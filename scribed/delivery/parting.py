"""How a connection to the broker is left: for good, or for another one."""

from __future__ import annotations

import logging

from scribed import kinds
from scribed.delivery.mqtt import CONNECT_S
from scribed.delivery.outbox import Outbox
from scribed.delivery.posts import Finish, Retune
from scribed.delivery.writing import Writing

logger = logging.getLogger(__name__)

GOODBYE_S = 0.5
"""What is kept of a deadline for `offline` and the goodbye."""
MARGIN_S = 0.1
"""How long before a deadline the thread ends, so that nobody takes it for stuck."""
MOVE_S = 10.0
"""How long a change of connection waits at most for what was written on the old one."""


class Parting:
    """For good: flush, say `offline`, say goodbye, each as soon as the one before is done."""

    def __init__(self, finish: Finish) -> None:
        self._deadline, self._keep = finish.deadline, finish.keep

    def within_s(self, now: float) -> float:
        """How long a connection may take to come about now."""
        return min(CONNECT_S, max(self._deadline - now, 0.1))

    def wake_at(self, now: float) -> float:
        """When it has to go on, whatever the broker does."""
        ends = (self._deadline - before_s for before_s in (GOODBYE_S, MARGIN_S))
        return min((end for end in ends if end > now), default=now)

    def is_over(self, writing: Writing, outbox: Outbox, now: float) -> bool:
        """Do what is next; whether nothing is left to do."""
        late = now >= self._deadline - GOODBYE_S
        if now >= self._deadline - MARGIN_S:
            return True
        if not writing.link.online:
            return not writing.link.connecting and (late or not outbox.finals)
        if not writing.goodbye and (late or outbox.done(now)):
            writing.say_offline()
        elif writing.said_offline:
            return writing.link.say_goodbye()
        return False

    def account(self, outbox: Outbox, last_error: str | None, now: float) -> None:
        """Log what the broker never got."""
        if not outbox.finals:
            return
        unwanted = outbox.held_until(now) is not None
        too_slow = "the broker does not take them" if unwanted else "the broker was too slow"
        count, why = outbox.finals, last_error or too_slow
        if self._keep:
            extra = kinds.UNPUBLISHED_KEPT(finals=count, error=why)
            logger.warning("%d finals wait for the next start: %s", count, why, extra=extra)
        else:
            extra = kinds.UNPUBLISHED_LOST(finals=count, error=why)
            logger.error("%d finals were not published: %s", count, why, extra=extra)


class Move:
    """To another connection, as soon as nothing is under way on this one."""

    def __init__(self, new: Retune, now: float) -> None:
        self.new, self._by = new, now + MOVE_S

    def wake_at(self, now: float) -> float:
        """When it has to go on, whatever the broker does."""
        return max(self._by, now + MARGIN_S)

    def may_go(self, writing: Writing, outbox: Outbox, now: float) -> bool:
        """Do what is next; whether to leave now.

        Who comes back to the same broker under the same name was never away. Else `offline` is said
        here first: nobody will be there to be missed.
        """
        link = writing.link
        if not link.online or now >= self._by:
            return True
        if not writing.goodbye and outbox.oldest_sent() is not None:
            return False
        if not writing.goodbye and not link.is_of(self.new.config.mqtt, self.new.identity):
            writing.say_offline()
            return False
        return not writing.goodbye or (writing.said_offline and link.say_goodbye())
