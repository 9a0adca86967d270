"""A session of the dialect with a recogniser that answers at once and a clock set by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

from scribed.simulate.dialects import AskPartial, Close, Feed
from scribed.simulate.dialects.elevenlabs import Session, Timing
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recognizers.script import Script
from scribed.simulate.recording import CommitRecord


def chunk(seconds: float = 0.0, *, commit: bool = False, **fields: Any) -> str:
    """A client's message with so much silence at 16 kHz."""
    audio = base64.b64encode(bytes(2 * round(16_000 * seconds))).decode()
    message = {"message_type": "input_audio_chunk", "audio_base_64": audio, "commit": commit}
    return json.dumps({**message, "sample_rate": 16_000, **fields})


class Dialogue:
    """Holds what the client got: `got` has every frame, and at last a `Close`, with its time."""

    def __init__(
        self,
        query: str = "",
        *,
        answers: tuple[str, ...] = ("go forward ten meters",),
        recognizer: MakeRecognizer | None = None,
        admitted: bool = True,
        timing: Timing | None = None,
        keep_audio: bool = False,
    ) -> None:
        self.now = 100.0
        self.got: list[tuple[float, dict[str, Any] | Close]] = []
        self.records: list[CommitRecord] = []
        self.session = Session(
            query,
            admitted=admitted,
            session_id="0123456789abcdef0123456789abcdef",
            timing=timing or Timing(),
            now=self.now,
            keep_audio=keep_audio,
        )
        self._recognizer = (recognizer or Script(list(answers)))()
        self._take()

    def send(self, *messages: str | bytes) -> None:
        """The client sends, now."""
        for message in messages:
            self.session.receive(message, self.now)
            self._take()

    def speak(self, seconds: float, *, commit: bool = False) -> None:
        """The client sends 100 ms at a time, in real time."""
        for _ in range(round(seconds * 10)):
            self.send(chunk(0.1))
            self.wait(0.1)
        if commit:
            self.send(chunk(commit=True))

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while (timer := self.session.timer()) is not None and timer <= until:
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
        for work in self.session.work():
            if isinstance(work, Feed):
                self._recognizer.feed(work.audio)
            elif isinstance(work, AskPartial):
                self.session.heard_partial(work.segment, self._recognizer.partial())
            else:
                self.session.heard_answer(self._recognizer.commit(), self.now)
        for output in self.session.outputs(self.now):
            self.got.append((self.now, output if isinstance(output, Close) else json.loads(output)))
        self.records += self.session.records()
