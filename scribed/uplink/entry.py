"""One utterance on its way to its text, and the steps in which it is sent. Pure."""

from __future__ import annotations

from msgspec import Struct, field

from scribed.items import without
from scribed.model import Provider, UtteranceEnded, UtteranceId, UtteranceStarted


class Early(Struct, frozen=True):
    """The text of an utterance up to a pause, which nobody was told yet."""

    text: str
    who: Provider
    at: float  #: when it came

    __repr__ = without("text")


class Entry(Struct):
    """One utterance on its way to its text."""

    started: UtteranceStarted
    opened_at: float  #: when the gate opened
    ended: UtteranceEnded | None = None
    sealed_at: float | None = None  #: `ended.at` by the clock of this boot
    audio: list[bytes] = field(default_factory=list)
    nbytes: int = 0  #: of all its audio
    ram: int = 0  #: of them, those that are here
    kept: bool = False  #: all of them are in a file of the store
    parked: bool = False  #: they are only there
    loading: bool = False
    recovered: bool = False  #: it was heard by an earlier run
    attempt: int = 0  #: connections on which it was begun
    strikes: int = 0  #: connections that ended on its account
    refusals: int = 0  #: times it was refused for its own sake
    refused_at: float = 0.0  #: the first of them
    answers_before: int = 0  #: how many others had been answered at its first strike
    answers_then: int = -1  #: the same at its last strike; -1: it has none
    rev: int = 0
    first_partial_at: float | None = None
    begun: bool = False
    as_old: bool = False  #: it was begun as an old one
    sent: int = 0  #: pieces of audio handed on, on this connection
    sent_bytes: int = 0
    hold: int | None = None  #: while the speaker pauses: the pieces of audio before the silence
    asked: bool = False  #: for its text up to this pause, on this connection
    early: Early | None = None  #: what came of that
    may_pause: bool = True  #: no connection has ended on that account
    end_sent: bool = False
    first_byte_at: float | None = None  #: when its first audio went out, on this connection
    handed_at: float | None = None  #: when its last commit was in the hands of the kernel

    __repr__ = without("audio")

    @property
    def id(self) -> UtteranceId:
        return self.started.id

    @property
    def limit(self) -> int:
        """Pieces of audio that may go out: in a pause the silence is held back, for good where its
        end follows and all that was said before it was asked for."""
        if self.hold is None or (self.ended is not None and not self.asked):
            return len(self.audio)
        return self.hold

    def rewind(self) -> None:
        """Nothing of it was sent."""
        self.begun = self.as_old = self.asked = self.end_sent = False
        self.sent = self.sent_bytes = 0
        self.early = self.handed_at = self.first_byte_at = None


class Begin(Struct, frozen=True):
    entry: Entry


class Audio(Struct, frozen=True):
    entry: Entry
    pcm: bytes

    __repr__ = without("pcm")


class Pause(Struct, frozen=True):
    """Its text so far is to be asked for."""

    entry: Entry


class End(Struct, frozen=True):
    """`silent`: the last `Pause` has asked for all of it."""

    entry: Entry
    silent: bool = False


class Fetch(Struct, frozen=True):
    """Its audio is wanted from the store, and nothing can be sent before it is here."""

    entry: Entry


Step = Begin | Audio | Pause | End | Fetch
