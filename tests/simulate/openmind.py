"""A session of OpenMind's dialect, a recogniser that answers at once, a clock set by hand."""

from __future__ import annotations

import array
import base64
import functools
import json
import math
import struct
import sys
from typing import Any

from scribed.simulate.dialects import AskPartial, Close, Dialect, Feed, Timing, Work
from scribed.simulate.dialects.openmind import Session
from scribed.simulate.dialects.openmind_routes import Options
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recognizers.script import Script
from scribed.simulate.recording import CommitRecord

ELEVENLABS = "/api/core/elevenlabs/asr"
GOOGLE = "/api/core/google/asr"
GOOGLE_V1 = "/api/core/google/asr/v1"
RIVA = "/"

EPOCH_S = 1_738_713_500.0  # of a session whose clock begins at 100


@functools.lru_cache
def speech(seconds: float, rate: int = 16_000) -> bytes:
    """A loud tone, s16le: the simulator hears by level, and the script does not listen."""
    samples = array.array(
        "h",
        (int(12_000 * math.sin(at * 880 * math.pi / rate)) for at in range(_count(seconds, rate))),
    )
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def silence(seconds: float, rate: int = 16_000) -> bytes:
    return bytes(2 * _count(seconds, rate))


def _count(seconds: float, rate: int) -> int:
    return round(seconds * rate)


def text(pcm: bytes, **fields: Any) -> str:
    """The documented message."""
    return json.dumps({"audio": base64.b64encode(pcm).decode(), **fields})


def binary(pcm: bytes, **fields: Any) -> bytes:
    """The message of OM1's Go client."""
    header = json.dumps(fields).encode()
    return struct.pack(">I", len(header)) + header + pcm


class Dialogue:
    """Holds what the client got: `got` has every message, and at last a `Close`, with its time."""

    def __init__(
        self,
        path: str = ELEVENLABS,
        *,
        answers: tuple[str, ...] = ("go forward ten meters",),
        recognizer: MakeRecognizer | None = None,
        admitted: bool = True,
        timing: Timing | None = None,
        keep_audio: bool = False,
        **options: Any,
    ) -> None:
        self.now = 100.0
        self.got: list[tuple[float, dict[str, Any] | Close]] = []
        self.records: list[CommitRecord] = []
        self.session: Dialect = Session(
            path,
            "api_key=secret",
            admitted=admitted,
            session_id="0123456789abcdef0123456789abcdef",
            timing=timing or Timing(idle_s=0.0, warmup_s=0.0),
            now=self.now,
            keep_audio=keep_audio,
            options=Options(**{"unix_offset_s": EPOCH_S, **options}),
        )
        self._recognizer = (recognizer or Script(list(answers)))()
        self._take()

    def send(self, *messages: str | bytes) -> None:
        """The client sends, now."""
        for message in messages:
            self.session.receive(message, self.now)
            self._take()

    def play(self, pcm: bytes, *, rate: int = 16_000) -> None:
        """The client sends 100 ms at a time, in real time."""
        size = 2 * (rate // 10)
        for at in range(0, len(pcm), size):
            self.send(text(pcm[at : at + size], rate=rate))
            self.wait(len(pcm[at : at + size]) / 2 / rate)

    def say(self, seconds: float = 1.0, pause_s: float = 1.0) -> None:
        """Speech and then silence, in real time."""
        self.play(speech(seconds) + silence(pause_s))

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while (timer := self.session.timer()) is not None and timer <= until:
            self.now = max(self.now, timer)
            self._take()
        self.now = until

    def fail(self, kind: str) -> None:
        """Something goes wrong, now."""
        self.session.fail(kind)
        self._take()

    def messages(self, kind: str | None = "") -> list[dict[str, Any]]:
        """The messages so far, or those of one type; None is the type that there is not."""
        found = [message for _, message in self.got if isinstance(message, dict)]
        return [message for message in found if kind == "" or message.get("type") == kind]

    def kinds(self) -> list[str | None]:
        """The types of the messages so far."""
        return [message.get("type") for message in self.messages()]

    def finals(self) -> list[str]:
        """The texts of the documented finals so far."""
        return [message["asr_reply"] for message in self.messages(None)]

    @property
    def end(self) -> Close | None:
        """How the service closed, if it did."""
        last = self.got[-1][1] if self.got else None
        return last if isinstance(last, Close) else None

    def _take(self) -> None:
        while True:
            for work in self.session.work():
                self._do(work)
            outputs = self.session.outputs(self.now)
            self.got += [
                (self.now, output if isinstance(output, Close) else json.loads(output))
                for output in outputs
            ]
            self.records += self.session.records()
            if not outputs:
                return

    def _do(self, work: Work) -> None:
        if isinstance(work, Feed):
            self._recognizer.feed(work.audio)
        elif isinstance(work, AskPartial):
            self.session.heard_partial(work.segment, self._recognizer.partial())
        else:
            self.session.heard_answer(self._recognizer.commit(), self.now)
