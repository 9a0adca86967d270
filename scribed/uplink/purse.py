"""What the uplink may spend on a day: the sum as it grows, the alert, and what is remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scribed import clock, kinds
from scribed.config import Cost
from scribed.uplink.cost import Spending
from scribed.uplink.troubles import Troubles

logger = logging.getLogger(__name__)


class Purse:
    """Used by the uplink's thread only; `remember` and `spent` are the uplink's."""

    def __init__(
        self,
        settings: Cost,
        spent: tuple[str, float],
        remember: Callable[[str, float], object],
        clock_synced: Callable[[], bool | None],
        troubles: Troubles,
    ) -> None:
        self.spending = Spending(settings, spent)
        self._remember, self._clock_synced, self._troubles = remember, clock_synced, troubles
        self._told = False  # that the limit is reached

    @property
    def has_limit(self) -> bool:
        """Whether what is sent may come to be too much."""
        return self.spending.settings.daily_limit_s > 0

    def retune(self, settings: Cost) -> None:
        """Go by another limit from now on; what was sent today stays counted."""
        self.spending.settings = settings
        self._told = False

    def spend(self, seconds: float, *, last: bool) -> Spending:
        """So much more was sent; `last`: nothing more will be. How that stands."""
        spending = self.spending
        spending.pass_time(clock.wall(), self._clock_synced)
        spending.sent(seconds)
        if spending.at_limit:
            if not self._told:
                extra = kinds.BUDGET_REACHED(error=spending.message())
                logger.warning("%s", spending.message(), extra=extra)
            self._troubles.raise_("budget", spending.message())
        else:
            self._troubles.clear("budget")
        self._told = spending.at_limit
        if (due := spending.to_remember(clock.now(), last=last)) is not None:
            self._remember(*due)
        return spending
