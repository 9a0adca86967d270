"""One connection and its session: what is said to the service, and what it says.

It moves bytes between the session (pure) and the connection (the socket), never blocks but in
`wait()`, and turns a lost or silent peer into the session's own kind of failure.
"""

from __future__ import annotations

import collections
import math
import select
from collections.abc import Callable
from typing import Any

from scribed import clock
from scribed.errors import Remedy, TransportError
from scribed.interfaces import Failed, Session, SessionEvent
from scribed.model import UtteranceId, seconds
from scribed.uplink.backlog import Backlog
from scribed.uplink.connection import Close, Connection, Pong
from scribed.uplink.entry import Audio, Begin, End, Fetch
from scribed.uplink.liveness import Liveness
from scribed.worker import Mailbox

STEPS_PER_TURN = 8
"""How much is handed to the socket before the mailbox and the peer have their turn."""
CHECK_S = 5.0
"""How often at least the peer's signs of life are judged."""
DEPARTURE_FIRST_S, DEPARTURE_MAX_S = 0.01, 0.1
"""How soon to look again whether a commit has left the machine: first, and at most."""


class Exchange:
    """Used by the uplink's thread only; it owns `connection` until `close()`.

    `fetch` is called with an utterance whose audio is wanted from the store.
    """

    def __init__(
        self,
        connection: Connection,
        session: Session,
        inbox: Mailbox[Any],
        fetch: Callable[[UtteranceId], object],
    ) -> None:
        self.session = session
        self.ready = False  #: the caller sets it when the session said so
        self.audio_s = 0.0  #: sent, and not yet counted by the caller
        self._connection = connection
        self._liveness = Liveness(clock.now())
        self._outgoing: collections.deque[str] = collections.deque()
        self._fetch = fetch
        self._committed: list[UtteranceId] = []  # whose end is not yet in the socket
        self._departing: collections.deque[tuple[UtteranceId, int]] = collections.deque()
        self._departure_check_s = DEPARTURE_FIRST_S
        self._readable = True
        self._check_at = self._timer_at = 0.0
        self._poller = select.poll()
        self._poller.register(inbox, select.POLLIN)
        self._poller.register(connection.fileno(), select.POLLIN)
        self._socket = connection.fileno()
        self._wanted = select.POLLIN
        session.handle_timer(clock.now())

    def turn(self, backlog: Backlog) -> list[SessionEvent]:
        """Send what can be sent, take what is here; return what it meant."""
        if self._readable and self._receive():
            return self.session.events()
        try:
            now = clock.now()
            if now >= self._timer_at:
                self.session.handle_timer(now)
            self._send(backlog)
            if now >= self._check_at:
                self._check_peer(busy=len(backlog) > 0)
        except TransportError as exc:
            self._receive()  # the reason may have come before the end
            return [*self.session.events(), Failed(Remedy.BACK_OFF, str(exc))]
        return self.session.events()

    def wait(self, until: float, backlog: Backlog) -> bool:
        """Sleep until there is something to do, at most to `until`; whether there is mail."""
        now = clock.now()
        times = [until, self._check_at]
        if self.ready and (paced := backlog.paced_until()) is not None and paced > now:
            times.append(paced)
        if (yields := backlog.yields_at()) is not None:
            times.append(yields)
        timer = self.session.timer()
        self._timer_at = math.inf if timer is None else timer
        times.append(self._timer_at)
        if self._departing:
            times.append(now + self._departure_check_s)
            self._departure_check_s = min(2 * self._departure_check_s, DEPARTURE_MAX_S)
        timeout = max(0.0, min(times) - now)
        if self._connection.pending():
            timeout = 0.0
        wanted = select.POLLIN
        if self._outgoing or (self.ready and backlog.has_next(now)):
            wanted |= select.POLLOUT
        if wanted != self._wanted:
            self._wanted = wanted
            self._poller.modify(self._socket, wanted)
        ready = dict(self._poller.poll(timeout * 1000))
        events = ready.pop(self._socket, 0)
        self._readable = events not in (0, select.POLLOUT) or self._connection.pending()
        return bool(ready)

    def unsent(self) -> int:
        """Bytes that the peer's TCP has not acknowledged."""
        return self._connection.unsent()

    def close(self) -> None:
        self._connection.close()

    def _send(self, backlog: Backlog) -> None:
        self._flush()
        for _ in range(STEPS_PER_TURN):
            if self._outgoing or not self.ready:
                break
            now = clock.now()
            match backlog.next(now):
                case Begin(entry):
                    self.session.start(entry.id, now)
                case Audio(pcm=pcm):
                    self.session.audio(pcm, now)
                    self.audio_s += seconds(len(pcm))
                case End(entry):
                    self.session.end(now)
                    self._committed.append(entry.id)
                case Fetch(entry):
                    self._fetch(entry.id)
                    break
                case None:
                    break
            self._flush()
        self._note_departures(backlog)

    def _note_departures(self, backlog: Backlog) -> None:
        """Say which commits have left the machine."""
        if self._committed and not self._outgoing:
            mark = self._connection.mark()
            for each in self._committed:
                backlog.handed_over(each, clock.now())
                self._departing.append((each, mark))
            self._committed = []
            self._departure_check_s = DEPARTURE_FIRST_S
        while self._departing and self._connection.acknowledged(self._departing[0][1]):
            gone, _ = self._departing.popleft()
            self.session.departed(gone, clock.now())

    def _flush(self) -> None:
        self._outgoing.extend(self.session.messages_to_send())
        while self._outgoing and self._connection.writable():
            self._connection.send(self._outgoing.popleft())

    def _receive(self) -> bool:
        """Hand on what is here; return whether the connection is over."""
        for received in self._connection.receive():
            now = clock.now()
            self._liveness.received(now)
            if isinstance(received, Close):
                self.session.receive_close(received.code, received.reason)
                return True
            if not isinstance(received, Pong):
                self.session.receive(received, now)
        return False

    def _check_peer(self, *, busy: bool) -> None:
        now = clock.now()
        self._liveness.unacknowledged(self._connection.unsent(), now)
        if self._liveness.is_dead(now):
            raise TransportError("the peer gives no sign of life")
        if self._connection.writable() and self._liveness.wants_ping(now, busy=busy):
            self._connection.ping()
        self._check_at = min(self._liveness.next_check(now, busy=busy), now + CHECK_S)
