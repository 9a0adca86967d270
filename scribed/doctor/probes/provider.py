"""The service: a session that is begun with our key, and ended before any audio is sent."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Mapping

from scribed import clock
from scribed.config import ProviderSection
from scribed.doctor.network import Answered
from scribed.errors import ScribedError
from scribed.interfaces import Failed, Ready, Session, Warned
from scribed.parts import Provider
from scribed.uplink.connection import Close, Connection, Pong
from scribed.uplink.opener import NotOpened, Opener

LOOK_S = 0.5


def greet(settings: ProviderSection, environ: Mapping[str, str]) -> Answered:
    """Connect and wait for the service's first word; `connect_timeout_s` twice at most."""
    begun = clock.now()
    try:
        provider = Provider(settings, environ)
    except ScribedError as exc:
        return Answered(settings.name, is_ready=False, seconds=0.0, reason=str(exc))
    opened = Opener(provider.session, provider.connect).open()
    if isinstance(opened, NotOpened):
        failed = opened.failed
        return Answered(
            settings.name,
            is_ready=False,
            seconds=clock.now() - begun,
            reason=failed.reason,
            alert=failed.alert or "",
        )
    with contextlib.closing(opened.connection) as connection:
        return _first_word(settings, opened.session, connection, begun)


def _first_word(
    settings: ProviderSection, session: Session, connection: Connection, begun: float
) -> Answered:
    warnings: list[str] = []
    until = clock.now() + settings.connect_timeout_s
    session.handle_timer(clock.now())  # it counts from here
    while (now := clock.now()) < until:
        if (timer := session.timer()) is not None and now >= timer:
            session.handle_timer(now)
        for event in session.events():
            match event:
                case Warned(reason=reason):
                    warnings.append(reason)
                case Ready(session_id=id):
                    told = tuple(warnings)
                    return Answered(settings.name, True, now - begun, session_id=id, warnings=told)
                case Failed(reason=reason, alert=alert):
                    return Answered(
                        settings.name, False, now - begun, reason=reason, alert=alert or ""
                    )
                case _:
                    pass
        _take(session, connection)
    reason = f"it was reached, and said nothing within {settings.connect_timeout_s:g} s"
    return Answered(settings.name, False, clock.now() - begun, reason=reason)


def _take(session: Session, connection: Connection) -> None:
    """Wait a little, and give the session what came."""
    if not connection.pending():
        select.select((connection,), (), (), LOOK_S)
    for received in connection.receive():
        match received:
            case Close(code=code, reason=reason):
                session.receive_close(code, reason)
            case Pong():
                pass
            case message:
                session.receive(message, clock.now())
