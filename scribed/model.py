"""The vocabulary: what flows through the daemon, and nothing that acts.

All audio inside scribed is 16 kHz mono s16le; conversion happens at the source. Every time is in
seconds of `scribed.clock.now()` (CLOCK_BOOTTIME) unless its name has another unit.
"""

from __future__ import annotations

import enum
from typing import Any, Literal, NamedTuple, NewType, Protocol

from msgspec import Struct, field

from scribed.items import without

RATE = 16_000
"""Samples per second of all audio inside scribed."""
SAMPLE_BYTES = 2

UtteranceId = NewType("UtteranceId", str)


def seconds(pcm_bytes: int) -> float:
    """Duration of `pcm_bytes` bytes of internal audio, in seconds."""
    return pcm_bytes / (RATE * SAMPLE_BYTES)


def pcm_bytes(duration_ms: float) -> int:
    """Bytes of internal audio in `duration_ms` milliseconds, whole samples."""
    return int(duration_ms * RATE / 1000) * SAMPLE_BYTES


class Identity(Struct, frozen=True):
    """Who this daemon is on the broker; fixed for the life of the process."""

    robot: str
    source: str
    base: str  #: the base topic
    client_id: str
    run_id: str  #: of this process
    boot_id: str  #: of this boot of the machine


class Block(NamedTuple):
    """What one read of a source returned: whole frames of internal audio."""

    pcm: bytes
    position: int  #: samples since the source was opened, lost ones counted, of the first sample
    at: float  #: when the first sample was heard

    @property
    def end(self) -> float:
        """When the last sample was over."""
        return self.at + seconds(len(self.pcm))


class Verdict(enum.Enum):
    """What the gate thinks of a frame; the value shows it in one character."""

    UNVOICED = "."  # no voice, to WebRTC
    FAINT = "~"  # a voice to WebRTC, that does not stand out from the noise
    REFUSED = "x"  # it does, and is no voice to the neural model
    VOICED = "#"


class EndReason(enum.Enum):
    """Why an utterance ended; the value is `final_reason` in the payload."""

    COMMIT = "commit"  # the local end of speech: silence as long as the hangover
    LENGTH = "length"
    GAP = "gap"
    DEVICE_LOST = "device_lost"
    FLUSH = "flush"  # asked for, or the end of the input
    SHUTDOWN = "shutdown"
    MUTED = "muted"
    GATED = "gated"  # the gate was closed: the robot began to speak
    RESTART = "restart"  # the daemon ended in its middle, and found it when it came back


class EarlierBoot(Struct, frozen=True):
    """Where an utterance was spoken before this boot: its times are of that boot's clock."""

    id: str
    unix_offset: float  #: seconds of the Unix epoch minus those of that clock, as last known there
    clock_synced: bool | None


class UtteranceStarted(Struct, frozen=True):
    id: UtteranceId
    seq: int
    at: float  #: when its first sample, pre-roll included, was heard
    mono_offset: float = 0.0  #: CLOCK_MONOTONIC minus CLOCK_BOOTTIME at that moment
    continues: UtteranceId | None = None  #: the utterance that was cut by length just before
    boot: EarlierBoot | None = None  #: None: this boot
    trigger: str = "always"  #: what let it be heard: "always" | "listen"
    onset: float | None = None  #: when its first voiced frame began; None: not known
    gate_at: float | None = None  #: when it was decided that somebody speaks


class UtteranceAudio(Struct, frozen=True):
    id: UtteranceId
    pcm: bytes

    __repr__ = without("pcm")


class RobotDid(Struct, frozen=True):
    """What the robot did while an utterance was spoken, as far as it said so; None: unknown."""

    speaking: bool | None = None
    moving: bool | None = None
    said: tuple[str, ...] = ()  #: what it said meanwhile, if that

    __repr__ = without("said")


class UtteranceEnded(Struct, frozen=True):
    id: UtteranceId
    at: float  #: the end of its last voiced frame, or of the cut
    reason: EndReason
    audio_ms: int  #: from its first sample to `at`, without what was lost
    lost_ms: int = 0
    level_dbfs: float | None = None  #: mean power of its voiced frames, as the microphone gave it
    snr_db: float | None = None
    robot: RobotDid = RobotDid()  #: as known when it ended


SegmentEvent = UtteranceStarted | UtteranceAudio | UtteranceEnded


class UtteranceHeld(Struct, frozen=True):
    """Audio behind what was posted of an utterance, that may yet go to the next one: for the store
    alone, so that a crash does not take it."""

    id: UtteranceId
    pcm: bytes

    __repr__ = without("pcm")


class UtteranceCut(Struct, frozen=True):
    """The last `nbytes` of what was held went to the next utterance; for the store alone."""

    id: UtteranceId
    nbytes: int


class UtterancePaused(Struct, frozen=True):
    """`vad.early_commit_ms` of silence in the open utterance: for the uplink alone, which may ask
    for its text already. What was posted of it up to here has all its speech so far."""

    id: UtteranceId


class UtteranceResumed(Struct, frozen=True):
    """A voiced frame follows the pause: the utterance goes on; for the uplink alone."""

    id: UtteranceId


class Outcome(enum.Enum):
    """How an utterance ended that has no text; the value is `outcome` in the payload."""

    NO_SPEECH = "no_speech"
    MUTED = "muted"
    EVICTED = "evicted"
    EXPIRED = "expired"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class Word(Struct, frozen=True):
    text: str
    start_ms: int  #: from the utterance's first sample
    end_ms: int
    confidence: float | None = None
    speaker: str | None = None


class Entity(Struct, frozen=True):
    """Something that the service found in a text, as an address or a name."""

    text: str
    type: str
    start: int  #: characters from the beginning of the text
    end: int

    __repr__ = without("text")


class Answer(Struct, frozen=True):
    """What a provider said about one utterance, beyond the text: `None` is unknown."""

    text: str
    words: tuple[Word, ...] | None = None
    language: str | None = None
    language_source: str | None = None  #: "configured" | "detected"
    confidence: float | None = None
    guessed: bool = False  #: nobody committed it: it is the last partial
    entities: tuple[Entity, ...] | None = None
    redacted_text: str | None = None
    edited_text: str | None = None
    warnings: tuple[str, ...] | None = None  #: of the service, about this session or this text

    __repr__ = without("text", "words", "entities", "redacted_text", "edited_text")


class Partial(Struct, frozen=True):
    """Text that may still change; the last one replaces all before it."""

    started: UtteranceStarted
    rev: int
    text: str
    provider: Provider
    shown: bool = True  #: False: only for the fast words in it

    __repr__ = without("text")


class Moments(Struct, frozen=True):
    """When an utterance took its steps, as `latency` splits them; None: not known."""

    onset: float | None = None  #: the beginning of its first voiced frame
    gate: float | None = None  #: the gate opened
    first_byte: float | None = None  #: its first audio went out, on the connection that answered
    commit: float | None = None  #: the kernel had its last commit
    text: float | None = None  #: its committed text was received


class Final(Struct, frozen=True):
    """The one committed text of an utterance."""

    started: UtteranceStarted
    ended: UtteranceEnded
    rev: int
    answer: Answer
    final_reason: str
    attempt: int  #: 1 where the first connection answered
    provider: Provider
    provider_s: float | None  #: from when the kernel had the commit to the committed text
    first_partial_s: float | None  #: from the utterance's opening to its first partial
    committed_at: float  #: when the committed text was received
    moments: Moments = Moments()

    __repr__ = without("answer")


class Closed(Struct, frozen=True):
    """An utterance that ended without text."""

    started: UtteranceStarted
    ended: UtteranceEnded | None
    outcome: Outcome


class Provider(Struct, frozen=True):
    """Who answered: carried into the payload."""

    name: str
    model: str
    session_id: str


class SeqReserved(Struct, frozen=True):
    """Numbers below `end` may be used: they are not given again after a crash."""

    end: int


class LinkState(enum.Enum):
    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"
    REFUSED = "refused"


class Link(Struct, frozen=True):
    """How the uplink stands with its provider."""

    state: LinkState = LinkState.IDLE
    since: float = 0.0
    last_error: str | None = None


class Device(Struct, frozen=True):
    """The sound source as it was really opened."""

    name: str
    rate: int | None = None
    channels: int | None = None
    state: str = "closed"  #: closed | open | absent | lost


class Alert(Struct, frozen=True):
    """Something a human must see, raised until it is cleared."""

    code: str
    message: str
    remedy: str
    severity: str = "error"  #: warning | error
    owner: str = ""  #: who raises it, where several may; it lasts until the last has cleared it


class AlertCleared(Struct, frozen=True):
    code: str
    owner: str = ""


class Event(Struct, frozen=True):
    """Something that happened, for the `event` topic."""

    event: str
    detail: dict[str, object] = field(default_factory=dict)


class Attention(Struct, frozen=True):
    """Capture listens (`deaf_to` is None), or throws away what it hears, and why."""

    deaf_to: str | None  #: "robot_speaking" | "not_listening", as in `hearing_reason`


# What the store is told, and what it tells


class Recovered(Struct, frozen=True):
    """An utterance that an earlier run left unanswered: it waits in a file of `nbytes` of audio."""

    started: UtteranceStarted
    ended: UtteranceEnded
    nbytes: int


class Kept(Struct, frozen=True):
    """The store has all the audio of a sealed utterance in a file."""

    id: UtteranceId


class Load(Struct, frozen=True):
    """The uplink wants the audio of an utterance that is only in its file."""

    id: UtteranceId


class Loaded(Struct, frozen=True):
    """The audio that was asked for."""

    id: UtteranceId
    pcm: bytes

    __repr__ = without("pcm")


class Gone(Struct, frozen=True):
    """The store has the audio of an utterance no more: no room, or its file cannot be read."""

    id: UtteranceId
    outcome: Outcome


class LinkWell(Struct, frozen=True):
    """Whether answers come in time: while they do not, audio is kept where a reboot spares it."""

    well: bool


class Delivered(Struct, frozen=True):
    """The broker has the final, or the end, of an utterance."""

    id: UtteranceId
    seq: int
    instead: Closed | None = None  #: the end that it was given though there was a text


# What a daemon is asked while it runs


class Command(Struct, frozen=True):
    """Something that was asked for over MQTT or the control socket.

    Whoever carries it out puts exactly one `Reply` into `answer`, with the same `token`.
    """

    name: str  #: "mute", "flush", "restate", "state", "spool"…
    args: dict[str, Any]
    local: bool  #: by the control socket, from this machine
    answer: Answers
    token: object = None  #: the asker's own, opaque

    __repr__ = without("answer")


class Retuned(Struct, frozen=True):
    """A worker goes by the configuration that it was given under this number."""

    worker: str
    number: int


class RobotDoes(Struct, frozen=True):
    """The robot says that it begins or goes on (`on`), or ceases, to speak or to move."""

    what: Literal["speaking", "moving"]
    on: bool
    at: float  #: when it said so
    id: str = ""  #: of what it speaks, or of its motion: each ends by itself
    ttl_s: float | None = None  #: for how long that holds unless it is said again; None: the most
    text: str = ""  #: what it speaks

    __repr__ = without("text")


class Answers(Protocol):
    """Where replies go: a mailbox."""

    def put(self, item: Any) -> object: ...


class CommandError(Struct, frozen=True):
    """Why a command changed nothing."""

    #: "unknown", "not_allowed", "retained", "expired", "malformed", "too_large", "busy", "failed"
    code: str
    message: str


class Reply(Struct, frozen=True):
    """What became of a command; `error` is None where it was done."""

    token: object
    result: dict[str, Any] = field(default_factory=dict)
    error: CommandError | None = None


class Restated(Struct, frozen=True):
    """Finals and ends that a `restate` asked for, oldest first; never to be obeyed."""

    token: object
    items: tuple[Final | Closed, ...]
    last: bool = True  #: False: there are more to come
