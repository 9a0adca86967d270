"""One utterance on its way to its text, and the steps in which it is sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from scribed.model import UtteranceEnded, UtteranceId, UtteranceStarted


@dataclass(slots=True)
class Entry:
    """One utterance on its way to its text."""

    started: UtteranceStarted
    opened_at: float  #: when the gate opened
    ended: UtteranceEnded | None = None
    sealed_at: float | None = None  #: `ended.at` by the clock of this boot
    audio: list[bytes] = field(default_factory=list, repr=False)
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
    end_sent: bool = False
    handed_at: float | None = None  #: when its end was in the hands of the kernel

    @property
    def id(self) -> UtteranceId:
        return self.started.id


@dataclass(frozen=True, slots=True)
class Begin:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Audio:
    entry: Entry
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class End:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Fetch:
    """Its audio is wanted from the store, and nothing can be sent before it is here."""

    entry: Entry


Step = Begin | Audio | End | Fetch
