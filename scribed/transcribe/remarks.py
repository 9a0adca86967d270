"""What a service does not quite do as it was asked, for people who read no log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from scribed.interfaces import Session, SessionEvent, Warned
from scribed.uplink.troubles import REMEDIES


def remarked(session: Session, tell: Callable[[Warned], object]) -> Session:
    """`session`, whose warnings are handed to `tell` as well, in the thread that uses it."""
    return cast(Session, _Remarked(session, tell))


def words(warned: Warned) -> str:
    """One line: what it is, and what can be done about it."""
    remedy = REMEDIES.get(warned.alert or "")
    return f"{warned.reason} ({remedy})" if remedy else warned.reason


class _Remarked:
    """All of a session but for `events()` is its own."""

    def __init__(self, session: Session, tell: Callable[[Warned], object]) -> None:
        self._session, self._tell = session, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def events(self) -> list[SessionEvent]:
        events = self._session.events()
        for event in events:
            if isinstance(event, Warned):
                self._tell(event)
        return events
