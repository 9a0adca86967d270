"""The seams. Every adapter implements exactly one of these; read this file first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct, field

from scribed.errors import Remedy
from scribed.items import without
from scribed.model import Answer, Block, Device, UtteranceId, Verdict


class EndOfInput(Exception):
    """A file or pipe has nothing more."""


class Source(Protocol):
    """Where sound comes from. Opened by its constructor; used and closed by one thread only.

    The constructor raises `SourceError` where it cannot be opened, in words that name the device.
    """

    live: bool
    """True: sound goes on without us, never wait. False: it may be read as slowly as we like."""

    device: Device

    def pollable(self) -> list[tuple[int, int]]:
        """Descriptors and poll(2) events that say when `read()` has something; may be empty."""
        ...

    def read(self) -> Block | None:
        """All whole frames that are here now, without blocking; None: nothing yet.

        Raises `EndOfInput` after the last frame, `SourceError` when the device is lost.
        """
        ...

    def close(self) -> None:
        """Free the device. May be called twice."""
        ...


class Vad(Protocol):
    """Pure but for its memory of the frames before. One thread only."""

    def __call__(self, frame: bytes) -> bool:
        """Whether `frame` (10, 20 or 30 ms of internal audio) is voiced."""
        ...

    def reset(self) -> None:
        """Forget the frames before: the next one does not follow them."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A `Vad` whose memory can be taken out and put into another."""

    def state(self) -> bytes | None:
        """What it remembers of the frames before; None: this one cannot say."""
        ...

    def restore(self, state: bytes) -> None:
        """Remember that instead. Raises `ValueError` where it is another kind's."""
        ...


@runtime_checkable
class Adapting(Vad, Protocol):
    """A `Vad` that goes by the noise of the room it is in."""

    def resume(self) -> None:
        """What comes next follows after a pause, from the same microphone: as `reset()`, but the
        noise of the room is known."""
        ...


@runtime_checkable
class Judge(Vad, Protocol):
    """A `Vad` that says why, of many frames at once: each is asked about, then judged, once."""

    def ask(self, pcm: bytes, frame_bytes: int) -> list[bool]:
        """Of each frame of `pcm` whether it may be voiced: what is not here will not be."""
        ...

    def judge(self, pcm: bytes, frame_bytes: int, asked: Sequence[bool]) -> list[Verdict]:
        """What it thinks of each; those that are `VOICED` are voiced. `asked` is what `ask()` said
        of them, perhaps some time ago."""
        ...


class Request(Struct, frozen=True):
    """Where and how a session wants to be connected; has no repr, since it may carry the key."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    __repr__ = without("url", "headers")


class Ready(Struct, frozen=True):
    """The service accepts audio."""

    session_id: str


class PartialText(Struct, frozen=True):
    utterance_id: UtteranceId
    text: str

    __repr__ = without("text")


class EarlyText(Struct, frozen=True):
    """The text of an utterance up to its last `pause()`: to be held, not yet told anybody.

    Where speech goes on it is a partial; where the utterance ends with that pause `Committed` has
    it once more.
    """

    utterance_id: UtteranceId
    text: str

    __repr__ = without("text")


class Committed(Struct, frozen=True):
    """The whole text of one utterance, in the order of their ends."""

    utterance_id: UtteranceId
    answer: Answer
    #: "provider" (committed by the service) | "no_commit" (by nobody); None: as capture ended it
    final_reason: str | None = None

    __repr__ = without("answer")


class Warned(Struct, frozen=True):
    """The service does not quite do what was asked: for the journal, and `alert` is raised."""

    reason: str
    alert: str | None = None


class Failed(Struct, frozen=True):
    """The session is over.

    `blamed` is the utterance that was refused for its own sake, `alert` the code of the alert to
    raise, `retry_after_s` what the service asked for; `overloaded`: audio came faster than the
    service can hear it.
    """

    remedy: Remedy
    reason: str
    blamed: UtteranceId | None = None
    alert: str | None = None
    retry_after_s: float | None = None
    overloaded: bool = False


SessionEvent = Ready | PartialText | EarlyText | Committed | Warned | Failed


class Session(Protocol):
    """One connection's worth of a provider's protocol: no I/O, no clock, not reusable.

    Called by the uplink's thread only. It never raises on what a peer sends: it fails the session.
    """

    model: str
    max_rate: float | None  #: seconds of audio that it takes in a second; None: as the socket does

    def request(self) -> Request:
        """URL and headers of the upgrade request."""
        ...

    def start(self, id: UtteranceId, now: float, *, attempt: int = 1) -> None:
        """An utterance begins, for the `attempt`th time; all audio up to its `end()` belongs to
        it."""
        ...

    def audio(self, pcm: bytes, now: float) -> None:
        """Audio of the utterance that was started."""
        ...

    def pause(self, now: float) -> bool:
        """The speaker pauses: ask for the text so far, which comes as `EarlyText`.

        False where that cannot be asked for now, and was not. Called while nothing else that was
        asked for is unanswered.
        """
        ...

    def end(self, now: float, *, silent: bool = False) -> None:
        """The utterance is over: ask for its text. `silent`: the last `pause()` has asked for all
        of it, and nothing was said since."""
        ...

    def departed(self, id: UtteranceId, now: float) -> None:
        """What an utterance was last asked for has left the machine: the peer's TCP has it."""
        ...

    def receive(self, message: str | bytes, now: float) -> None: ...

    def receive_close(self, code: int | None, reason: str) -> None: ...

    def refused(self, status: int, body: str, retry_after_s: float | None) -> None:
        """The server answered the upgrade with HTTP `status`."""
        ...

    def sent_s(self) -> float:
        """Seconds of audio sent on this connection so far, with all padding: what is billed."""
        ...

    def ignored(self) -> int:
        """Messages so far that changed nothing: of an unknown type, for nobody, or too late."""
        ...

    def timer(self) -> float | None:
        """When `handle_timer()` must be called next; None: never."""
        ...

    def handle_timer(self, now: float) -> None: ...

    def messages_to_send(self) -> list[str | bytes]:
        """Text messages, and binary ones as `bytes`."""
        ...

    def events(self) -> list[SessionEvent]: ...
