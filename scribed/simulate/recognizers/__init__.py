"""The seam between a session and whoever recognises its speech."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

RATE = 16_000  # samples per second that every recogniser hears, whatever the client sends
BYTES_PER_S = RATE * 2


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word; times are seconds from the start of its segment, `logprob` is ≤ 0."""

    text: str
    start_s: float
    end_s: float
    logprob: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one committed segment says; the words joined by spaces are the text."""

    text: str
    words: tuple[Word, ...] = ()


class Recognizer(Protocol):
    """Hears one session, segment after segment. Made and called by that session's engine thread."""

    def feed(self, pcm: bytes) -> None:
        """Hear more of the open segment: 16 kHz mono s16le, up to a few seconds."""

    def partial(self) -> str:
        """Return the text of the open segment so far; "" while there is none."""

    def commit(self) -> Answer:
        """End the open segment and return what it said; the next `feed` opens another."""

    def close(self) -> None:
        """The session is over."""


MakeRecognizer = Callable[[], Recognizer]  # called once a session, by its engine thread
