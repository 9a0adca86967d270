"""One connection and its session: what is said to the service, and what it says.

It moves bytes between the session (pure) and the connection (the socket), never blocks, and turns a
lost or silent peer into the session's own kind of failure.
"""

from __future__ import annotations

import collections
import math
import select
from collections.abc import Callable

from msgspec.structs import replace

from scribed import clock
from scribed.errors import Remedy, TransportError
from scribed.interfaces import Committed, Failed, Ready, SessionEvent, Warned
from scribed.model import Provider, UtteranceId, seconds
from scribed.uplink import lines
from scribed.uplink.backlog import Backlog
from scribed.uplink.connection import Close, Pong
from scribed.uplink.entry import Audio, Begin, End, Fetch, Pause, Step
from scribed.uplink.liveness import Liveness
from scribed.uplink.opener import Opened
from scribed.uplink.pace import Pace
from scribed.uplink.report import Usage

STEPS_PER_TURN = 8
"""How much is handed to the socket before the mailbox and the peer have their turn."""
CHECK_S = 5.0
"""How often at least the peer's signs of life are judged."""
DEPARTURE_FIRST_S, DEPARTURE_MAX_S = 0.01, 0.1
"""How soon to look again whether a commit has left the machine: first, and at most."""


class Exchange:
    """Used by the uplink's thread only; it owns the connection until `close()`.

    `fetch` is called with an utterance whose audio is wanted from the store.
    """

    def __init__(
        self,
        opened: Opened,
        provider: str,
        *,
        fetch: Callable[[UtteranceId], object],
        usage: Usage,
    ) -> None:
        self.session = opened.session
        self.who = Provider(provider, opened.session.model, "")
        self.opened_at = clock.now()
        self.ready = False  #: the service accepts audio
        self.leads = False  #: utterances go out on this one
        self.begins = True  #: and new ones may be begun
        self.alerts: set[str] = set()  #: that the service has given cause for
        self._connection = opened.connection
        self._socket = opened.connection.fileno()
        self._liveness = Liveness(self.opened_at)
        self._pace = Pace(opened.session.max_rate)
        self._outgoing: collections.deque[str | bytes] = collections.deque()
        self._fetch, self._usage = fetch, usage
        self._billed_s, self._ignored = 0.0, 0
        self._owed: set[UtteranceId] = set()  # whose end was sent here
        self._asked: list[UtteranceId] = []  # whose commit is not yet in the socket
        self._departing: collections.deque[tuple[UtteranceId, int]] = collections.deque()
        self._departure_check_s = DEPARTURE_FIRST_S
        self._readable = True
        self._check_at = self._timer_at = 0.0
        self._lost: TransportError | None = None  # while audio was forwarded
        self.session.handle_timer(self.opened_at)

    def turn(self, backlog: Backlog) -> list[SessionEvent]:
        """Send what can be sent, take what is here; return what it meant."""
        if self._readable and self._receive():
            return self._events()
        try:
            if self._lost is not None:
                raise self._lost
            now = clock.now()
            if now >= self._timer_at:
                self.session.handle_timer(now)
            self._send(backlog)
            if now >= self._check_at:
                self._check_peer(busy=len(backlog) > 0)
        except TransportError as exc:
            self._receive()  # the reason may have come before the end
            return [*self._events(), Failed(Remedy.BACK_OFF, str(exc))]
        return self._events()

    def forward(self, backlog: Backlog, now: float) -> bool:
        """Send more of the open utterance, and nothing else; False where that is not all there is
        to do: then it is `turn()`'s."""
        if self._readable or now >= self._timer_at or now >= self._check_at:
            return False
        if self._outgoing or self._departing or not self._may_send(backlog, now):
            return False
        step = backlog.more(now)
        if step is None:
            return False
        try:
            self._take(step, backlog, now)
            self._flush()
        except TransportError as exc:
            self._lost = exc
        return not (self._outgoing or self._lost or backlog.has_next(now))

    def owes(self, backlog: Backlog) -> bool:
        """Whether an utterance that still waits was sent to its end here, and is not answered."""
        return any(backlog.get(each) is not None for each in self._owed)

    # Waiting

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket

    def pending(self) -> bool:
        """Whether there is something to read that the descriptor does not tell."""
        return self._connection.pending()

    def wanted(self, backlog: Backlog, now: float) -> int:
        """What to wait for with poll(2)."""
        has_next = self._may_send(backlog, now) and backlog.has_next(now)
        return select.POLLIN | (select.POLLOUT if self._outgoing or has_next else 0)

    def wake_at(self, backlog: Backlog, now: float) -> float:
        """When there is something to do though nothing comes."""
        timer = self.session.timer()
        self._timer_at = math.inf if timer is None else timer
        times = [self._check_at, self._timer_at]
        if self.leads:
            waits = (backlog.paced_until() if self.ready else None, self._pace.until())
            times += [at for at in waits if at is not None and at > now]
            if (yields := backlog.yields_at()) is not None:
                times.append(yields)
        if self._departing:
            times.append(now + self._departure_check_s)
            self._departure_check_s = min(2 * self._departure_check_s, DEPARTURE_MAX_S)
        return min(times)

    def note(self, events: int) -> None:
        """What poll(2) said."""
        self._readable = events not in (0, select.POLLOUT) or self._connection.pending()

    def unsent(self) -> int:
        """Bytes that the peer's TCP has not acknowledged."""
        return self._connection.unsent()

    def close(self) -> None:
        self._count()
        self._connection.close()

    # Internals

    def _may_send(self, backlog: Backlog, now: float) -> bool:
        """Whether the next step of an utterance may go out here."""
        mine = self.ready and self.leads and (self.begins or backlog.in_mid_utterance)
        return mine and now >= self._pace.until()

    def _send(self, backlog: Backlog) -> None:
        self._flush()
        for _ in range(STEPS_PER_TURN):
            now = clock.now()
            if self._outgoing or not self._may_send(backlog, now):
                break
            step = backlog.next(now)
            if step is None:
                break
            self._take(step, backlog, now)
            self._flush()
        self._note_departures(backlog)

    def _take(self, step: Step, backlog: Backlog, now: float) -> None:
        match step:
            case Begin(entry):
                self.session.start(entry.id, now, attempt=entry.attempt)
                lines.sent(entry)
            case Audio(pcm=pcm):
                self.session.audio(pcm, now)
                self._usage.audio_s += seconds(len(pcm))
                self._pace.sent(seconds(len(pcm)), now)
            case Pause(entry):
                if self.session.pause(now):
                    self._ask(entry.id)
                    self._usage.early_commits += 1
                else:
                    backlog.cannot_pause(entry.id)
            case End(entry, silent):
                self.session.end(now, silent=silent)
                self._owed.add(entry.id)
                if not silent:
                    self._ask(entry.id)
            case Fetch(entry):
                self._fetch(entry.id)

    def _ask(self, id: UtteranceId) -> None:
        """A commit of this utterance is on its way; of those before it nothing need be told."""
        self._asked.append(id)
        self._departing = collections.deque(each for each in self._departing if each[0] != id)

    def _events(self) -> list[SessionEvent]:
        """What the session says, noted where it concerns this connection."""
        self._count()
        events = self.session.events()
        for event in events:
            match event:
                case Ready(session_id=session_id):
                    self.ready = True
                    self.who = replace(self.who, session_id=session_id)
                case Committed(utterance_id=id):
                    self._owed.discard(id)
                case Warned(alert=str(alert)):
                    self.alerts.add(alert)
                case _:
                    pass
        return events

    def _count(self) -> None:
        sent_s = self.session.sent_s()
        self._usage.billed_s += sent_s - self._billed_s
        self._billed_s = sent_s
        ignored = self.session.ignored()
        self._usage.ignored += ignored - self._ignored
        self._ignored = ignored

    def _note_departures(self, backlog: Backlog) -> None:
        """Say which commits have left the machine."""
        if self._asked and not self._outgoing:
            mark = self._connection.mark()
            for each in self._asked:
                backlog.handed_over(each, clock.now())
                self._departing.append((each, mark))
            self._asked = []
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
        self._liveness.acknowledged(self._connection.bytes_acked(), now)
        self._liveness.answered(self._connection.answered_s(), now)
        self._liveness.allow(self._connection.retry_s())
        if self._liveness.is_dead(now):
            raise TransportError("the peer gives no sign of life")
        if self._connection.writable() and self._liveness.wants_ping(now, busy=busy):
            self._connection.ping()
        self._check_at = min(self._liveness.next_check(now, busy=busy), now + CHECK_S)
