"""A session that suffers faults: it stands around a `Dialect`, and is served in its place. Pure."""

from __future__ import annotations

import json
from collections import deque
from typing import NamedTuple

from scribed.simulate.audio import To16k
from scribed.simulate.dialects import AskAnswer, Close, Dialect, Work, openmind
from scribed.simulate.dialects.openmind_faults import OPENMIND_FAULTS
from scribed.simulate.faults import Fault, Faults
from scribed.simulate.recognizers import Answer
from scribed.simulate.recording import CommitRecord

PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"


class Drop(NamedTuple):
    """The last output, in place of a `Close`: cut TCP off."""


class RawText(NamedTuple):
    """Output: a text frame with bytes that need not be UTF-8."""

    data: bytes


Output = str | bytes | RawText | Close | Drop


class Faulty:
    """Stands between a session and its server; what it does not touch passes through."""

    def __init__(self, session: Dialect, faults: Faults) -> None:
        self._session, self._faults = session, faults
        self.id, self.opened_at = session.id, session.opened_at
        self._struck: set[Fault] = set()  # events that this connection has behind it
        self._work: list[Work] = []
        self._answers = 0
        self._late: deque[tuple[float, Answer, int]] = deque()  # due, and how often it is sent
        self._queue: deque[tuple[float, Output]] = deque()  # what is due when; in order
        self._last: Close | Drop | None = None
        self._ended = False

    @property
    def refused(self) -> str | None:
        return self._session.refused

    @property
    def note(self) -> str | None:
        return self._session.note

    @property
    def audio_bytes(self) -> int:
        return self._session.audio_bytes

    @property
    def bytes_per_s(self) -> int:
        return self._session.bytes_per_s

    def convert(self) -> To16k:
        return self._session.convert()

    def is_deaf(self, now: float) -> bool:
        """Whether the server shall not read on."""
        return self._faults.state("deaf", now) is not None

    def receive(self, message: str | bytes, now: float) -> None:
        self._session.receive(message, now)
        work = self._session.work()
        self._work += work
        if any(isinstance(item, AskAnswer) for item in work):
            self._strike(now, with_commit=True)

    def heard_partial(self, segment: int, text: str) -> None:
        self._session.heard_partial(segment, text)

    def heard_answer(self, answer: Answer, now: float) -> None:
        """Take the answer to the oldest commit that has none."""
        self._answers += 1
        late = self._faults.state("late-answer", now)
        due = max(now + (late.value if late else 0.0), self._late[-1][0] if self._late else now)
        self._late.append((due, answer, self._times(now)))
        self._deliver(now)

    def _times(self, now: float) -> int:
        for name, times in (("lost-answer", 0), ("double-answer", 2)):
            fault = self._faults.state(name, now)
            if fault and self._answers % int(fault.value) == 0:
                return times
        return 1

    def _deliver(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            _, answer, times = self._late.popleft()
            self._session.heard_answer(answer, now, times=times)

    def recognizer_failed(self) -> None:
        self._session.recognizer_failed()

    def overflow(self) -> None:
        self._session.overflow()

    def work(self) -> list[Work]:
        work, self._work = self._work + self._session.work(), []
        return work

    def records(self) -> list[CommitRecord]:
        return self._session.records()

    def timer(self) -> float | None:
        if self._ended:
            return None
        due = [timer] if (timer := self._session.timer()) is not None else []
        due += [at for at, fault in self._ahead() if not fault.on_commit]
        due += [self._late[0][0]] if self._late else []
        due += [self._queue[0][0]] if self._queue else []
        return min(due, default=None)

    def outputs(self, now: float) -> list[Output]:
        """Return, once, the messages that are due, in order, and at last a `Close` or `Drop`."""
        self._strike(now)
        self._deliver(now)
        slow = self._faults.state("slow", now)
        for said in self._session.outputs(now):
            due = max(now + (slow.value if slow else 0.0), self._queue[-1][0] if self._queue else 0)
            self._queue += [(due, shaped) for shaped in self._shape(said, now)]
        due_now: list[Output] = []
        while self._queue and self._queue[0][0] <= now:
            due_now.append(self._queue.popleft()[1])
        if self._last is not None:
            due_now.append(self._last)
        if self._ended:
            return []
        for count, output in enumerate(due_now, 1):
            if isinstance(output, (Close, Drop)):
                self._ended = True
                return due_now[:count]
        return due_now

    def _ahead(self) -> list[tuple[float, Fault]]:
        events = self._faults.events(self.opened_at)
        return [event for event in events if event[1] not in self._struck]

    def _strike(self, now: float, *, with_commit: bool = False) -> None:
        for at, fault in self._ahead():
            if fault.on_commit != with_commit or at > now or (with_commit and now > fault.end_s):
                continue
            self._struck.add(fault)
            if fault.name == "drop":
                self._last = self._last or Drop()
            elif fault.name == "close":
                self._last = self._last or Close(fault.number or 1000, "")
            elif fault.name not in OPENMIND_FAULTS or isinstance(self._session, openmind.Session):
                self._session.fail(fault.name)

    def _shape(self, output: str | bytes | Close, now: float) -> list[Output]:
        """Return what goes out in place of a message."""
        if isinstance(output, Close):
            return [output]
        if self._on("mute", now):
            return []
        if self._on("garbage", now):
            return [PAGE]
        data = output.encode() if isinstance(output, str) else output
        if self._on("bad-utf8", now):
            return [RawText(data[:-2] + b"\xff\xfe" + data[-2:])]
        return [*self._noise(now), data if self._on("binary", now) else output]

    def _noise(self, now: float) -> list[Output]:
        noise: list[Output] = []
        if self._on("unknown", now):
            noise.append(json.dumps({"message_type": "weather_report", "type": "weather_report"}))
        if bomb := self._faults.state("bomb", now):
            noise.append("[" * int(bomb.value))
        if huge := self._faults.state("huge", now):
            noise.append(json.dumps({"message_type": "huge", "text": "x" * int(huge.value)}))
        return noise

    def _on(self, name: str, now: float) -> bool:
        return self._faults.state(name, now) is not None
