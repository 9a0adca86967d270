"""What goes wrong with the link, as operators are told: alerts and lines in the log."""

from __future__ import annotations

import collections
import logging
from collections.abc import Collection
from typing import Any

from scribed import kinds
from scribed.interfaces import Failed, Warned
from scribed.model import Alert, AlertCleared, Event, LinkState
from scribed.uplink.retries import Retries
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

REMEDIES = {
    "auth_failed": "put a valid key where provider.key_file says, and reload; or in the "
    "credential, and restart",
    "quota": "the account's quota is used up or its plan has ended: see the provider's dashboard",
    "backend_down": "check the network, the machine's clock and [provider]; speech waits meanwhile",
    "spool_full": "the oldest speech is given up: restore the link, or raise spool.runtime_max_mb",
    "budget": "raise cost.daily_limit_s, or wait: the count begins anew at 00:00 UTC",
    "provider_keeps_data": "the provider keeps what is said: agree on zero retention with it, or "
    "set provider.elevenlabs.enable_logging = true to accept that",
}
LASTING = frozenset({"spool_full", "budget"})
"""Alerts that a committed text does not refute."""
DOWN_FAILURES = 3
"""Failures in a row before `alert/backend_down`: one lost connection is not a page."""
STANDS_S = 30.0
"""A connection that the service has kept for so long refutes that, though nobody has spoken."""
MAX_WARNINGS = 100
"""So many different warnings of the service are told once; of more, some may be told again."""


class Troubles:
    """The uplink's alerts, each raised once for each message, its lines in the log, and whether
    the link is up."""

    def __init__(self, supervisor: Mailbox[Any]) -> None:
        self._supervisor = supervisor
        self._up: bool | None = None
        self._up_since = float("inf")
        self._raised: dict[str, str] = {}
        self._warned: collections.deque[str] = collections.deque(maxlen=MAX_WARNINGS)

    def link_up(self, provider: str, now: float) -> None:
        """Say that the link is up, where it was not."""
        self._up_since = now
        if self._up is not True:
            self._up = True
            extra = kinds.LINK_UP(link=LinkState.CONNECTED.value, provider=provider)
            logger.info("link up: %s answers", provider, extra=extra)
            self._supervisor.put(Event("link_up", {"provider": provider}))

    def link_stands(self, now: float) -> None:
        """The connection is there: that alone is enough in time."""
        if now - self._up_since >= STANDS_S:
            self.clear("backend_down")

    def link_down(
        self, failed: Failed, state: LinkState, retries: Retries, waiting: int, now: float
    ) -> None:
        """Say that the link is down, and why, where that is news."""
        wait_s = max(0.0, retries.not_before - now)
        self._complain(failed, state, wait_s, waiting)
        self._up_since = float("inf")
        if self._up is not False:
            self._up = False
            self._supervisor.put(Event("link_down", {"why": failed.reason}))
        if failed.alert is not None:
            self.raise_(failed.alert, failed.reason)
        elif retries.quick:
            told = f"{retries.quick} connections in a row ended at once; next try in {wait_s:.0f} s"
            self.raise_("backend_down", f"{told}; the last: {failed.reason}")
        elif retries.failures >= DOWN_FAILURES:
            self.raise_("backend_down", failed.reason)

    @staticmethod
    def _complain(failed: Failed, state: LinkState, wait_s: float, waiting: int) -> None:
        logger.log(
            logging.ERROR if state is LinkState.REFUSED else logging.WARNING,
            "link down: %s; next try in %.1f s, %d utterance(s) wait",
            failed.reason,
            wait_s,
            waiting,
            extra=kinds.LINK_DOWN(
                link=state.value, error=failed.reason, wait_s=f"{wait_s:.1f}", utterances=waiting
            ),
        )

    def warned(self, warned: Warned) -> None:
        """The service does not quite do what was asked: say so once."""
        if warned.reason not in self._warned:
            self._warned.append(warned.reason)
            logger.warning("%s", warned.reason, extra=kinds.SERVICE_WARNED(error=warned.reason))
        if warned.alert is not None:
            self.raise_(warned.alert, warned.reason)

    @staticmethod
    def rotation_failed(failed: Failed, wait_s: float) -> None:
        """Say that a connection cannot be replaced yet."""
        logger.warning(
            "a fresh connection cannot be had: %s; the old one goes on, next try in %.1f s",
            failed.reason,
            wait_s,
            extra=kinds.ROTATION_FAILED(error=failed.reason, wait_s=f"{wait_s:.1f}"),
        )

    def raise_(self, code: str, message: str) -> None:
        """Raise an alert, or change what it says."""
        if self._raised.get(code) != message:
            self._raised[code] = message
            self._supervisor.put(Alert(code, message, REMEDIES[code], owner="uplink"))

    def over(self, still: Collection[str] = ()) -> None:
        """A text was committed: nothing is wrong with link or account any more, but for what was
        said on this connection and is `still` so."""
        for code in [code for code in self._raised if code not in LASTING | set(still)]:
            self.clear(code)

    def clear(self, code: str) -> None:
        """The trouble is over."""
        if self._raised.pop(code, None) is not None:
            self._supervisor.put(AlertCleared(code, "uplink"))
