"""The capture thread between mailboxes that remember, hearing a pipe, a file or a device."""

from __future__ import annotations

import fcntl
import itertools
import os
import termios
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from scribed.capture.gate import Gate
from scribed.capture.posting import SETTLING
from scribed.capture.sources.pcm import StdinSource
from scribed.capture.worker import Capture
from scribed.config import Audio
from scribed.interfaces import Source, Vad
from scribed.model import (
    RATE,
    Command,
    Device,
    Event,
    Reply,
    SeqReserved,
    UtteranceAudio,
    UtteranceCut,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.worker import Budget, Crashed, Finished, Mailbox, Stop

WAIT_S = 10.0
GATE = Gate(pre_roll_ms=100, hangover_ms=200)


def until(condition: Callable[[], Any], what: str = "", within_s: float = WAIT_S) -> Any:
    """Wait until `condition()` is true and return what it said."""
    deadline = time.monotonic() + within_s
    while not (said := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.002)
    return said


def voice(duration_ms: int) -> bytes:
    return b"\x10\x27" * (pcm_bytes(duration_ms) // 2)


def silence(duration_ms: int) -> bytes:
    return bytes(pcm_bytes(duration_ms))


class AnySound:
    """A `Vad` that takes everything but digital silence for a voice."""

    def __call__(self, frame: bytes) -> bool:
        return frame.count(0) < len(frame)

    def reset(self) -> None:
        """It remembers nothing."""


class PipedMicrophone(StdinSource):
    """A pipe that is taken for a live microphone; `skipped` samples are missing from it."""

    live = True
    skipped = 0

    def read(self) -> Any:
        block = super().read()
        return block and block._replace(position=block.position + self.skipped)


class Witness(Mailbox[Any]):
    """A mailbox that writes all it is given into a log that others write too."""

    def __init__(self, name: str, log: list[tuple[str, Any]], limit: int = 10_000) -> None:
        super().__init__(limit)
        self._name, self._log = name, log

    def put(self, item: Any, *, wake: bool = True, spare: int = 0) -> bool:
        taken = super().put(item, wake=wake, spare=spare)
        if taken:
            self._log.append((self._name, item))
        return taken


class Files:
    """The audio of each utterance, as the store's files have it when it did what it was told."""

    def __init__(self, told: Iterable[Any] = ()) -> None:
        self.audio: dict[UtteranceId, bytearray] = {}
        for item in told:
            self.take(item)

    def take(self, item: Any) -> None:
        match item:
            case UtteranceStarted(id=id):
                self.audio[id] = bytearray()
            case UtteranceAudio(id=id, pcm=pcm) | UtteranceHeld(id=id, pcm=pcm):
                self.audio[id] += pcm
            case UtteranceCut(id=id, nbytes=nbytes):
                assert 0 < nbytes <= len(self.audio[id])
                del self.audio[id][-nbytes:]
            case _:
                assert isinstance(item, UtteranceEnded)


class Rig:
    """A context manager; `source` is opened by the thread.

    By default that is a pipe to speak into, and a live microphone where it is opened again.
    """

    def __init__(
        self,
        source: Callable[[], Source] | None = None,
        *,
        reopen: bool = False,
        gate: Gate = GATE,
        budget: int = 1 << 30,
        chunk_ms: int = 100,
        store_limit: int = 10_000,
        stall_s: float = 60.0,
        vad: Vad | None = None,
        **options: Any,
    ) -> None:
        self.log: list[tuple[str, Any]] = []
        self.budget = Budget(budget)
        self._reading, self._writing = os.pipe()
        self._mailboxes = {
            "store": Witness("store", self.log, SETTLING + store_limit),
            "uplink": Witness("uplink", self.log),
            "delivery": Witness("delivery", self.log),
            "supervisor": Witness("main", self.log),
        }
        self.sources: list[Any] = []  #: as they were opened
        self._new_source = source or (self._microphone if reopen else self._pipe)
        ids = itertools.count()
        self.capture = Capture(
            open_source=self._open,
            reopen=reopen,
            chunk_bytes=pcm_bytes(chunk_ms),
            vad=vad or AnySound(),
            gate=gate,
            new_id=lambda: UtteranceId(f"u{next(ids)}"),
            next_seq=1,
            reserved=SeqReserved(1000),
            want_numbers=lambda _: None,
            stall_s=stall_s,
            budget=self.budget,
            mark=lambda at: self.log.append(("mark", at)),
            **self._mailboxes,  # type: ignore[arg-type]
            **options,
        )

    def __enter__(self) -> Rig:
        self.capture.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        for mailbox in (*self._mailboxes.values(), self.capture.inbox):
            mailbox.close()
        for fd in (self._reading, self._writing):
            if fd >= 0:
                os.close(fd)
        crashes = [item.exception for item in self.of("main", Crashed)]
        if exc is None and crashes:
            raise crashes[0]

    def stop(self) -> None:
        self.capture.inbox.put(Stop())
        self.ended()

    def ended(self) -> None:
        """Wait until the thread has ended by itself."""
        self.capture.join(WAIT_S)
        assert not self.capture.is_alive()
        assert self.of("main", Finished) or self.of("main", Crashed)

    # The sound

    def _open(self) -> Source:
        self.sources.append(self._new_source())
        opened: Source = self.sources[-1]
        return opened

    def _pipe(self) -> Source:
        return StdinSource(Audio(source="stdin"), self._reading)

    def _microphone(self) -> Source:
        return PipedMicrophone(Audio(source="stdin"), self._reading)

    def say(self, pcm: bytes) -> None:
        os.write(self._writing, pcm)

    def hang_up(self) -> None:
        os.close(self._writing)
        self._writing = -1

    @property
    def unread(self) -> int:
        """Bytes that wait in the pipe."""
        count = array("i", [0])
        fcntl.ioctl(self._reading, termios.FIONREAD, count)
        return count[0]

    def hears(self, milliseconds: int) -> None:
        """Wait until so much was heard since the start."""
        samples = milliseconds * RATE // 1000
        until(lambda: self.capture.report.samples >= samples, f"{milliseconds} ms")

    # What came of it

    def of(self, name: str, *kinds: type[Any]) -> list[Any]:
        """What one of the others was given, of these kinds."""
        return [item for who, item in list(self.log) if who == name and isinstance(item, kinds)]

    def audio(self, name: str = "store") -> bytes:
        """The audio of all utterances, as the one who was told of it has it."""
        kinds = (UtteranceStarted, UtteranceAudio, UtteranceHeld, UtteranceCut)
        return b"".join(Files(self.of(name, *kinds)).audio.values())

    @property
    def started(self) -> list[UtteranceStarted]:
        return self.of("store", UtteranceStarted)

    @property
    def ends(self) -> list[UtteranceEnded]:
        return self.of("store", UtteranceEnded)

    @property
    def device_states(self) -> list[str]:
        return [device.state for device in self.of("main", Device)]

    def gaps(self, cause: str) -> list[Any]:
        """The `lost_ms` of the gaps with this cause."""
        events = self.of("main", Event)
        gaps = [event.detail for event in events if event.event == "audio_gap"]
        return [gap["lost_ms"] for gap in gaps if gap["cause"] == cause]

    def events(self, name: str) -> list[Event]:
        return [event for event in self.of("main", Event) if event.event == name]

    # What it is asked

    def ask(self, kind: Callable[[Command], Any]) -> Asked:
        """Ask for a `Mute` or `Flush`, made of the command that it is given."""
        asked = Asked()
        self.capture.inbox.put(kind(asked.command))
        return asked


class Asked:
    """A command on its way, and its answer."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.command = Command("test", {}, True, self, token=self)

    def put(self, item: Any) -> None:
        self.replies.append(item)

    def answer(self, within_s: float = WAIT_S) -> Reply:
        """The one reply."""
        until(lambda: self.replies, "an answer", within_s)
        (reply,) = self.replies
        assert reply.token is self
        return reply


def wav(path: Path, pcm: bytes) -> Path:
    """A WAV file of internal audio."""
    header = b"RIFF" + (36 + len(pcm)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\1\0\1\0"
    rates = RATE.to_bytes(4, "little") + (2 * RATE).to_bytes(4, "little") + b"\2\0\x10\0"
    path.write_bytes(header + rates + b"data" + len(pcm).to_bytes(4, "little") + pcm)
    return path
