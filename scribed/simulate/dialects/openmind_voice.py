"""What OpenMind's proxy says on one connection, and when."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any

from scribed.simulate.dialects import Close
from scribed.simulate.dialects import openmind_frames as frames
from scribed.simulate.dialects.openmind_routes import Options, Route
from scribed.simulate.recording import CommitRecord

ECHO_S = 0.03  # measured at ElevenLabs: 5 to 50 ms from a text to the partial that repeats it

Posted = tuple[float, int, str, CommitRecord | None]  # due, order, message, what it answers


class Voice:
    """Messages that wait until they are due, and the end of the connection."""

    def __init__(self, route: Route, options: Options, session_id: str, now: float) -> None:
        self.over = False  #: the `Close` was given out
        self._route, self._options = route, options
        self._client_id = f"{self._unix_ms(now)}-{session_id[:16]}"
        self._outbox: list[Posted] = []  # a heap
        self._order = itertools.count()  # what is due together leaves as it was posted
        self._end: tuple[str | None, Close] | None = None

    @property
    def ending(self) -> bool:
        """True where nothing more is to be said but what is due."""
        return self._end is not None

    def tell(self, kind: str, text: str, now: float) -> None:
        """Say something for people: a `connection`, an `info`, an `error`, an event."""
        self.say(frames.told(kind, text, self._client_id), now)

    def complain(self, text: str, now: float) -> None:
        """Say an error, where this route says any."""
        if self._route.tells:
            self.tell("error", text, now)

    def partial(self, text: str, at: float) -> None:
        """Say what is heard so far."""
        self._transcript("partial", text, at)

    def final(self, text: str, at: float, answered: CommitRecord | None) -> None:
        """Answer a commit. A route without partials says nothing where nothing was said."""
        if not text and not self._route.partials:
            self.say("", at, answered)
            return
        self._transcript(self._options.final, text, at, answered)
        if self._options.echo and self._route.partials and text:
            self.partial(text, at + ECHO_S)

    def say(self, message: str, at: float, answered: CommitRecord | None = None) -> None:
        """Say this, whatever it is, and then have this on record; "" is not sent."""
        heapq.heappush(self._outbox, (at, next(self._order), message, answered))

    def forget_answers(self) -> None:
        """What is not yet due is never said."""
        self._outbox = [posted for posted in self._outbox if posted[3] is None]
        heapq.heapify(self._outbox)

    def hang_up(self, close: Close, error: str | None = None) -> None:
        """End the connection, with an error where this route tells of any; the first end counts."""
        if self._end is None:
            told = error is not None and self._route.tells
            self._end = (frames.told("error", str(error), self._client_id) if told else None, close)

    def next_at(self) -> float:
        """Return when the next message is due."""
        return self._outbox[0][0] if self._outbox else math.inf

    def due(self, now: float) -> tuple[list[str | bytes | Close], list[CommitRecord]]:
        """Return, once, what is due, in order and with the end; and what it answers."""
        said: list[str | bytes | Close] = []
        answered: list[CommitRecord] = []
        while self._outbox and self._outbox[0][0] <= now:
            _, _, message, record = heapq.heappop(self._outbox)
            said += [message] if message else []
            answered += [] if record is None else [record]
        if self._end is not None:
            error, close = self._end
            said += [close] if error is None else [error, close]
            self.over = True
        return said, answered

    def _transcript(
        self, kind: str | None, text: str, at: float, answered: CommitRecord | None = None
    ) -> None:
        rest: dict[str, Any] = {"clientId": self._client_id} if self._route.tells else {}
        if self._route.stamped:
            rest["time"] = self._unix_ms(at)
        self.say(frames.transcript(kind, text, **rest), at, answered)

    def _unix_ms(self, now: float) -> int:
        options = self._options
        return int((now + options.unix_offset_s + options.clock_off_s) * 1000)
