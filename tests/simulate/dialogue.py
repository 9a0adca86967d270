"""A session of the dialect with a recogniser that answers at once and a clock set by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from scribed.simulate.dialects import AskPartial, Close, Feed, Timing
from scribed.simulate.dialects.elevenlabs import Session
from scribed.simulate.faults import Fault, Faults
from scribed.simulate.faulty import Faulty
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recognizers.script import Script
from scribed.simulate.recording import CommitRecord


def chunk(seconds: float = 0.0, *, commit: bool = False, **fields: Any) -> str:
    """A client's message with so much silence at 16 kHz."""
    return chunk_of(bytes(2 * round(16_000 * seconds)), commit=commit, **fields)


def chunk_of(pcm: bytes, *, commit: bool = False, **fields: Any) -> str:
    """A client's message with this audio."""
    audio = base64.b64encode(pcm).decode()
    message = {"message_type": "input_audio_chunk", "audio_base_64": audio, "commit": commit}
    return json.dumps({**message, "sample_rate": 16_000, **fields})


class Dialogue:
    """Holds what the client got: `got` has every frame, and at last a `Close`, with its time.

    `wrong` is what goes wrong, counted from the opening; text that is no JSON is in `got` as it is.
    """

    def __init__(
        self,
        query: str = "",
        *,
        answers: tuple[str, ...] = ("go forward ten meters",),
        recognizer: MakeRecognizer | None = None,
        admitted: bool = True,
        timing: Timing | None = None,
        keep_audio: bool = False,
        wrong: Iterable[Fault] = (),
    ) -> None:
        self.now = 100.0
        self.got: list[tuple[float, Any]] = []
        self.records: list[CommitRecord] = []
        self.session = Session(
            "/v1/speech-to-text/realtime",
            query,
            admitted=admitted,
            session_id="0123456789abcdef0123456789abcdef",
            timing=timing or Timing(),
            now=self.now,
            keep_audio=keep_audio,
        )
        self.faults = Faults(wrong)
        self.faults.begin(self.now)
        self.service = Faulty(self.session, self.faults)
        self._recognizer = (recognizer or Script(list(answers)))()
        self._take()

    def send(self, *messages: str | bytes) -> None:
        """The client sends, now."""
        for message in messages:
            self.service.receive(message, self.now)
            self._take()

    def speak(self, seconds: float, *, commit: bool = False) -> None:
        """The client sends 100 ms at a time, in real time."""
        for _ in range(round(seconds * 10)):
            self.send(chunk(0.1))
            self.wait(0.1)
        if commit:
            self.send(chunk(commit=True))

    def speak_of(self, pcm: bytes) -> None:
        """The client sends this audio, 100 ms at a time, in real time."""
        for start in range(0, len(pcm), 3200):
            self.send(chunk_of(pcm[start : start + 3200]))
            self.wait(0.1)

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while (timer := self.service.timer()) is not None and timer <= until:
            self.now = max(self.now, timer)
            self._take()
        self.now = until

    def frames(self, kind: str = "") -> list[dict[str, Any]]:
        """The frames so far, or those of one type."""
        found = [frame for _, frame in self.got if isinstance(frame, dict)]
        return [frame for frame in found if not kind or frame["message_type"] == kind]

    def kinds(self) -> list[str]:
        """The types of the frames so far."""
        return [frame["message_type"] for frame in self.frames()]

    def texts(self, kind: str) -> list[str]:
        """The texts of the frames of one type."""
        return [frame["text"] for frame in self.frames(kind)]

    def times(self, kind: str) -> list[float]:
        """When, after the session's start, the frames of one type came."""
        return [
            round(at - 100.0, 3)
            for at, frame in self.got
            if isinstance(frame, dict) and frame["message_type"] == kind
        ]

    @property
    def end(self) -> Close | None:
        """How the service closed, if it did."""
        last = self.got[-1][1] if self.got else None
        return last if isinstance(last, Close) else None

    def _take(self) -> None:
        for work in self.service.work():
            if isinstance(work, Feed):
                self._recognizer.feed(work.audio)
            elif isinstance(work, AskPartial):
                self.service.heard_partial(work.segment, self._recognizer.partial())
            else:
                self.service.heard_answer(self._recognizer.commit(), self.now)
        for output in self.service.outputs(self.now):
            is_frame = isinstance(output, str) and output.startswith("{")
            self.got.append((self.now, json.loads(str(output)) if is_frame else output))
        self.records += self.service.records()
