"""A session and its connection, opened at once or, beside another one, in a short-lived thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from scribed import clock
from scribed.errors import Refused, Remedy, ScribedError, TransportError
from scribed.interfaces import Failed, Request, Session
from scribed.uplink.connection import Connection
from scribed.uplink.providers.elevenlabs_messages import refusal_of_status
from scribed.worker import Mailbox

CONTEXT_S = 60.0
"""So long the last text is context for what is said next."""
ABANDON_S = 0.1
"""How long to wait for a thread that is not wanted any more: it is about to end, or it dials."""


class Opened(Struct, frozen=True):
    """The service has accepted the upgrade."""

    session: Session
    connection: Connection


class NotOpened(Struct, frozen=True):
    """`asked`: it was the service that failed us, not who mints tokens for it."""

    failed: Failed
    asked: bool


class Opener:
    """Makes sessions and connects them, in any thread; `new_session`, `connect`: the uplink's."""

    def __init__(
        self, new_session: Callable[[str], Session], connect: Callable[[Request], Connection]
    ) -> None:
        self._last = "", float("-inf")
        self.retune(new_session, connect)

    def retune(
        self, new_session: Callable[[str], Session], connect: Callable[[Request], Connection]
    ) -> None:
        """Open others from now on; an opening under way is as it was asked for."""
        self._new_session, self._connect = new_session, connect

    def committed(self, text: str, spoken_at: float) -> None:
        """A text was committed, of what was spoken until then."""
        if text.strip() and spoken_at >= self._last[1]:
            self._last = text, spoken_at

    def open(self) -> Opened | NotOpened:
        """Make a session, with its credential as it is now, and connect it; blocks."""
        text, at = self._last
        context = text if clock.now() - at <= CONTEXT_S else ""
        return _open(self._new_session, self._connect, context)


class Opening(threading.Thread):
    """Runs `open_` once, and puts what came of it into `inbox` as `Arrived`."""

    def __init__(self, open_: Callable[[], Opened | NotOpened], inbox: Mailbox[object]) -> None:
        super().__init__(name="uplink-rotate", daemon=True)
        self._open, self._inbox = open_, inbox
        self._abandoned = False

    def run(self) -> None:
        result: Opened | NotOpened | BaseException
        try:
            result = self._open()
        except BaseException as exc:  # noqa: BLE001 -- a bug: the uplink's thread ends by it
            result = exc
        arrived = Arrived(self, result)
        if self._abandoned or not self._inbox.put(arrived):
            arrived.close()

    def abandon(self) -> None:
        """Its connection is not wanted any more: it is closed when it is there.

        Unless it is on its way into the mailbox; afterwards nothing is put there.
        """
        self._abandoned = True
        self.join(ABANDON_S)


class Arrived(Struct, frozen=True):
    """What came of an opening."""

    opening: Opening
    result: Opened | NotOpened | BaseException

    def close(self) -> None:
        """Nobody wants it; a bug is one all the same, and is raised."""
        match self.result:
            case Opened(connection=connection):
                connection.close()
            case BaseException() as exc:
                raise exc
            case NotOpened():
                pass


def _open(
    new_session: Callable[[str], Session],
    connect: Callable[[Request], Connection],
    context: str,
) -> Opened | NotOpened:
    try:
        session = new_session(context)
    except Refused as exc:
        refusal = refusal_of_status(exc.status, may_retry=exc.retry_after_s is not None)
        reason = f"no token: HTTP {exc.status}"
        again_s = exc.retry_after_s
        return NotOpened(
            Failed(refusal.remedy, reason, alert=refusal.alert, retry_after_s=again_s), asked=False
        )
    except TransportError as exc:
        return NotOpened(Failed(Remedy.BACK_OFF, str(exc)), asked=False)
    except ScribedError as exc:
        return NotOpened(Failed(Remedy.REFUSED, str(exc), alert="auth_failed"), asked=False)
    try:
        return Opened(session, connect(session.request()))
    except Refused as exc:
        session.refused(exc.status, exc.body, exc.retry_after_s)
        failed = next(event for event in session.events() if isinstance(event, Failed))
        return NotOpened(failed, asked=True)
    except TransportError as exc:
        return NotOpened(Failed(Remedy.BACK_OFF, str(exc)), asked=True)
