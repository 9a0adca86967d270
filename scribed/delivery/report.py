"""What delivery tells others about itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REPEAT_S = 300.0
"""The same trouble is worth a line again only after so long."""


@dataclass(frozen=True, slots=True)
class Report:
    """How delivery stands; replaced whole, for the supervisor to look at.

    detected = open_accounts + queued + published[transcript, late, ended] + dropped[finals].
    """

    connected: bool = False
    since: float = 0.0  #: when it became so
    last_error: str | None = None  #: None while connected
    detected: int = 0  #: utterances heard of
    open_accounts: int = 0  #: of them, those without final or end
    queued: int = 0  #: finals and ends that the broker has not acknowledged
    published: Mapping[str, int] = field(default_factory=dict)  #: messages by topic
    dropped: Mapping[str, int] = field(default_factory=dict)  #: by cause
    refused: int = 0  #: messages that the broker did not take; finals are tried again
    last_final_at: float | None = None  #: when the broker had it


class Complaints:
    """Which troubles are news, so that the log has one line of what lasts for hours."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def is_news(self, about: str, text: str, now: float) -> bool:
        """Whether to say `text`: it differs from the last one, or that is `REPEAT_S` ago."""
        before, said_at = self._last.get(about, ("", 0.0))
        if text == before and now - said_at < REPEAT_S:
            return False
        self._last[about] = text, now
        return True

    def forget(self, about: str) -> None:
        """What comes next is a new story."""
        self._last.pop(about, None)
