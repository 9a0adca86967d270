"""What goes wrong with the link, as operators are told: alerts and lines in the log."""

from __future__ import annotations

import logging
from typing import Any

from scribed.complaints import Complaints
from scribed.interfaces import Failed
from scribed.model import Alert, AlertCleared, LinkState
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

REMEDIES = {
    "auth_failed": "put a valid key where the credential or provider.key_file says, and restart",
    "quota": "the account's quota is used up or its plan has ended: see the provider's dashboard",
    "backend_down": "check the network, the machine's clock and [provider]; speech waits meanwhile",
    "spool_full": "the oldest speech is given up: restore the link, or raise spool.runtime_max_mb",
}


class Troubles:
    """The uplink's alerts, each raised once for each message, and its complaints."""

    def __init__(self, supervisor: Mailbox[Any]) -> None:
        self._supervisor = supervisor
        self._raised: dict[str, str] = {}
        self._complaints = Complaints()

    def link_down(
        self, failed: Failed, state: LinkState, wait_s: float, waiting: int, now: float
    ) -> None:
        """Say that the link is down, and why, where that is news."""
        if not self._complaints.is_news("link", failed.reason, now):
            return
        logger.log(
            logging.ERROR if state is LinkState.REFUSED else logging.WARNING,
            "link down: %s; next try in %.1f s, %d utterance(s) wait",
            failed.reason,
            wait_s,
            waiting,
        )

    def raise_(self, code: str, message: str) -> None:
        """Raise an alert, or change what it says."""
        if self._raised.get(code) != message:
            self._raised[code] = message
            self._supervisor.put(Alert(code, message, REMEDIES[code], owner="uplink"))

    def over(self) -> None:
        """A text was committed: nothing is wrong with link or account any more."""
        self._complaints.forget("link")
        for code in [code for code in self._raised if code != "spool_full"]:
            self.clear(code)

    def clear(self, code: str) -> None:
        """The trouble is over."""
        if self._raised.pop(code, None) is not None:
            self._supervisor.put(AlertCleared(code, "uplink"))
