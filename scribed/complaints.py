"""Which troubles are news, so that the log has one line of what lasts for hours. Pure."""

from __future__ import annotations

REPEAT_S = 300.0
"""The same trouble is worth a line again only after so long."""


class Complaints:
    """What was said about each subject, and when; for one thread."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def is_news(self, about: str, text: str, now: float) -> bool:
        """Whether to say `text`: it differs from the last one, or that is `REPEAT_S` ago."""
        before, said_at = self._last.get(about, ("", float("-inf")))
        if text == before and now - said_at < REPEAT_S:
            return False
        self._last[about] = text, now
        return True

    def forget(self, about: str) -> None:
        """What comes next is a new story."""
        self._last.pop(about, None)
