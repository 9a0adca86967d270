"""Finals and ends out of the ledger, a page at a time: ten thousand are more than may be in memory
at once."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence

from scribed import kinds
from scribed.model import Closed, Final, Restated
from scribed.store.ledger import Ledger, LedgerError

logger = logging.getLogger(__name__)

PAGE = 64
"""Finals and ends read from the ledger at once."""
PAUSE_S = 0.1
"""Between two pages of a restate, for delivery to work the first one off."""


class Unpublished:
    """Finals and ends that earlier runs did not publish, in order."""

    def __init__(
        self,
        ledger: Ledger | None = None,
        numbers: Sequence[int] = (),
        unsettled: Sequence[Closed] = (),
    ) -> None:
        self._ledger, self._numbers, self._unsettled = ledger, list(numbers), list(unsettled)

    def __len__(self) -> int:
        return len(self._numbers) + len(self._unsettled)

    def __iter__(self) -> Iterator[Final | Closed]:
        for start in range(0, len(self._numbers), PAGE):
            assert self._ledger is not None
            with contextlib.suppress(LedgerError):  # they stay there for the next start
                yield from self._ledger.finals(self._numbers[start : start + PAGE])
        yield from self._unsettled


class Restating:
    """What was asked for again, as `Restated` pages: the next is read when it is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._asked: deque[Iterator[Restated]] = deque()
        self._next_at = 0.0

    def begin(self, token: object, numbers: Sequence[int]) -> None:
        """Those with `numbers` are asked for by `token`: the last of its pages says so."""
        self._asked.append(self._pages(token, numbers))

    def due_at(self) -> float | None:
        """When the next page may go; None: there is none."""
        return self._next_at if self._asked else None

    def next(self, now: float) -> Restated | None:
        """The next page where it is due."""
        if not self._asked or now < self._next_at:
            return None
        page = next(self._asked[0])
        self._next_at = 0.0 if page.last else now + PAUSE_S
        if page.last:
            self._asked.popleft()
        return page

    def _pages(self, token: object, numbers: Sequence[int]) -> Iterator[Restated]:
        for start in range(0, len(numbers), PAGE):
            try:
                items = self._ledger.finals(list(numbers[start : start + PAGE]))
            except LedgerError as exc:
                left = len(numbers) - start
                extra = kinds.NOT_RESTATED(finals=left, error=exc)
                words = "%d final(s) are not restated: %s"
                logger.error(words, left, exc, extra=extra)  # noqa: TRY400 -- no bug: the line says all
                break
            yield Restated(token, tuple(items), last=start + PAGE >= len(numbers))
        yield Restated(token, ())  # unless the last one was taken: nobody asks again then
