"""The protocols that the simulator speaks, one each, without I/O and without a clock.

Here is what a session asks of the server that runs it, and what the server asks of a session. A
dialect is a module with `PATHS`, where its endpoints are; `Session`, one connection, which is a
`Dialect`; `credential(headers, query)`, what a client gave for its key; and
`refusal(status, credential)`, the body of an upgrade that HTTP refuses, with its content type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scribed.simulate.audio import To16k
from scribed.simulate.recognizers import Answer
from scribed.simulate.recording import CommitRecord


class Close(NamedTuple):
    """The last output: close the WebSocket."""

    code: int
    reason: str


class Feed(NamedTuple):
    """Work: hear this, as it was sent: the session's `convert()` makes it 16 kHz."""

    audio: bytes


class AskPartial(NamedTuple):
    """Work: report the text of the open segment, with this number, to `heard_partial`."""

    segment: int


class AskAnswer(NamedTuple):
    """Work: end the open segment and report to `heard_answer`."""


Work = Feed | AskPartial | AskAnswer


@dataclass(frozen=True)
class Timing:
    """What may be varied of a service's behaviour; the defaults are ElevenLabs', as measured."""

    answer_s: float = 0.25  # from a commit's receipt to its text
    warmup_s: float = 2.0  # audio of the session before its first partial
    partial_every_s: float = 1.0  # of audio; 0: no partials, and so no echoes
    idle_s: float = 15.0  # without a message from the client; then the service hangs up
    session_s: float = 0.0  # the longest session; 0: no limit is known
    stamped_first: bool | None = None  # of a text's two frames; None: as the flags have it


class Dialect(Protocol):
    """A service's end of one connection. No I/O, no clock, no thread.

    After every call, and when `timer()` is due, take `work()` in order, send `outputs()` and keep
    `records()`. After a `Close` there is nothing more to do. Nothing that a client sends makes it
    raise.
    """

    id: str  # 32 hex digits
    opened_at: float
    refused: str | None  # the error that ended it, by the service's name
    note: str | None  # what a user should know about this session

    @property
    def audio_bytes(self) -> int:
        """How much audio the client has sent, decoded."""

    @property
    def bytes_per_s(self) -> int:
        """Of the audio that the client sends. Settled when the first `Feed` is given as work."""

    def convert(self) -> To16k:
        """Return the way from this session's audio to a recogniser's. Called once, after the first
        `Feed`, in the engine's thread."""

    def receive(self, message: str | bytes, now: float) -> None:
        """Take one WebSocket message."""

    def heard_partial(self, segment: int, text: str) -> None:
        """Take the text of segment number `segment`; nothing happens if it is committed."""

    def heard_answer(self, answer: Answer, now: float, *, times: int = 1) -> None:
        """Take the answer to the oldest commit that has none.

        It is sent so many `times`: never, or twice, is a fault.
        """

    def fail(self, kind: str) -> None:
        """End the session as the service does for its error `kind`, with its text and its close.

        `kind` is one of ElevenLabs' error types; another service says it in its own words.
        """

    def recognizer_failed(self) -> None:
        """The recogniser is broken: end the session as a broken engine of the service would."""

    def overflow(self) -> None:
        """The recogniser is too far behind."""

    def work(self) -> list[Work]:
        """Return, once, the work for the recogniser, in order."""

    def records(self) -> list[CommitRecord]:
        """Return, once, the commits that were taken or answered; an answer repeats its commit."""

    def timer(self) -> float | None:
        """Return when to call `outputs` at the latest; None: the session is over."""

    def outputs(self, now: float) -> list[str | bytes | Close]:
        """Return, once, the messages that are due, in order, and at last a `Close`."""
