"""The session and the stand-in's dialect talk with each other, on a clock of their own: every word
comes once, in its utterance, whoever commits."""

from __future__ import annotations

import array
import collections
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from scribed.config import ProviderSection
from scribed.interfaces import Committed, EarlyText, Failed, Ready, SessionEvent
from scribed.model import RATE, UtteranceId, pcm_bytes
from scribed.simulate.dialects import AskAnswer, Close, Feed, Timing
from scribed.simulate.dialects.elevenlabs import Session
from scribed.simulate.recognizers import Answer, Word
from scribed.uplink.providers.elevenlabs import ElevenLabsSession

TICK_S = 0.01
DELAY_S = 0.03
"""On the way, in each direction."""
WORD_MS, FRAME_MS = 260, 20
LOUD = 1500
"""No sample of a word is quieter; word n is `STEP` times n louder."""
STEP = 40
HELD_AFTER_MS = 200
"""Silence after which the text is asked for early."""


def spoken(number: int) -> bytes:
    """A word of the stand-in's language: a buzz that WebRTC VAD takes for a voice."""
    level = LOUD + STEP * number
    period = [level] * 20 + [-level] * 40 + [level] * 10 + [-level] * 30
    count = RATE * WORD_MS // 1000
    return array.array("h", (period * (count // len(period) + 1))[:count]).tobytes()


def silence(ms: int) -> bytes:
    return bytes(pcm_bytes(ms))


class Listener:
    """Hears those words, with their times; one that a commit cuts is heard before the cut."""

    def __init__(self) -> None:
        self._position = self._begin = 0
        self._run: list[int] = []  # first sample, level
        self._words: list[Word] = []

    def feed(self, pcm: bytes) -> None:
        for sample in array.array("h", pcm):
            if abs(sample) >= LOUD and not self._run:
                self._run = [self._position, abs(sample)]
                self._words.append(self._word())
            elif abs(sample) < LOUD:
                self._run = []
            self._position += 1

    def _word(self) -> Word:
        start, level = self._run
        begin_s = (start - self._begin) / RATE
        return Word(f"w{(level - LOUD) // STEP}", begin_s, begin_s + WORD_MS / 1000)

    def partial(self) -> str:
        return " ".join(word.text for word in self._words)

    def commit(self) -> Answer:
        words, self._words, self._begin = tuple(self._words), [], self._position
        return Answer(" ".join(word.text for word in words), words)

    def close(self) -> None:
        pass


class Wire:
    """Both ends and the delay between them, tick by tick."""

    def __init__(self, timing: Timing, **options: Any) -> None:
        settings = msgspec.convert({"elevenlabs": options}, ProviderSection)
        self.session = ElevenLabsSession(settings, "key")
        self.now = 100.0
        self.events: list[SessionEvent] = []
        self._listener = Listener()
        self._to: collections.deque[tuple[float, str | bytes]] = collections.deque()
        self._back: collections.deque[tuple[float, Any]] = collections.deque()
        self._departing: list[tuple[float, UtteranceId]] = []
        self._service = Session(
            "/v1/speech-to-text/realtime",
            urlsplit(self.session.request().url).query,
            admitted=True,
            session_id="0123456789abcdef0123456789abcdef",
            timing=timing,
            now=self.now,
        )
        self.session.handle_timer(self.now)

    def asked(self, id: UtteranceId) -> None:
        self._departing.append((self.now + 2 * DELAY_S, id))

    def tick(self) -> list[SessionEvent]:
        self.now += TICK_S
        while self._to and self._to[0][0] <= self.now:
            self._service.receive(self._to.popleft()[1], self.now)
        self._serve()
        while self._back and self._back[0][0] <= self.now:
            output = self._back.popleft()[1]
            if isinstance(output, Close):
                self.session.receive_close(output.code, output.reason)
            else:
                self.session.receive(output, self.now)
        while self._departing and self._departing[0][0] <= self.now:
            self.session.departed(self._departing.pop(0)[1], self.now)
        if (due := self.session.timer()) is not None and due <= self.now:
            self.session.handle_timer(self.now)
        self._to.extend((self.now + DELAY_S, each) for each in self.session.messages_to_send())
        events = self.session.events()
        self.events += events
        return events

    def _serve(self) -> None:
        for work in self._service.work():
            if isinstance(work, Feed):
                self._listener.feed(work.audio)
            elif isinstance(work, AskAnswer):
                self._service.heard_answer(self._listener.commit(), self.now)
            else:
                self._service.heard_partial(work.segment, self._listener.partial())
        self._back.extend((self.now + DELAY_S, each) for each in self._service.outputs(self.now))


class Uplink:
    """Sends utterances frame by frame as the daemon does: one unanswered commit at a time, silence
    held back while the text is asked for early."""

    def __init__(self, wire: Wire, *, early: bool) -> None:
        self._wire, self._early = wire, early
        self._unanswered: set[str] = set()
        self._wait(lambda: any(isinstance(event, Ready) for event in wire.events))

    def say(self, name: str, frames: Iterator[bytes]) -> None:
        session, which = self._wire.session, UtteranceId(name)
        session.start(which, self._wire.now)
        quiet_ms, held, paused = 0, b"", False
        for frame in frames:
            quiet_ms = 0 if any(frame) else quiet_ms + FRAME_MS
            if paused and not quiet_ms:
                self._answered()
                session.audio(held, self._wire.now)
                held, paused = b"", False
            if paused:
                held += frame
            else:
                session.audio(frame, self._wire.now)
            if self._early and quiet_ms == HELD_AFTER_MS and not paused and not self._unanswered:
                paused = session.pause(self._wire.now)
                self._ask(which, asked=paused)
            self._run(FRAME_MS)
        if not paused:
            self._answered()
        session.end(self._wire.now, silent=paused)
        self._ask(which, asked=not paused)

    def _ask(self, id: UtteranceId, *, asked: bool) -> None:
        if asked:
            self._unanswered.add(id)
            self._wire.asked(id)

    def rest(self) -> None:
        self._run(10)

    def finish(self) -> None:
        self._answered()

    def _answered(self) -> None:
        self._wait(lambda: not self._unanswered)

    def _wait(self, met: Any) -> None:
        for _ in range(2000):
            if met():
                return
            self._run(10)
        raise AssertionError(f"nothing came within 20 s: {self._wire.events[-3:]}")

    def _run(self, ms: int) -> None:
        for _ in range(ms // 10):
            for event in self._wire.tick():
                assert not isinstance(event, Failed), event
                if isinstance(event, (Committed, EarlyText)):
                    self._unanswered.discard(event.utterance_id)


STRATEGIES: dict[str, dict[str, Any]] = {
    "manual": {},
    "manual, language": {"include_timestamps": False, "include_language_detection": True},
    "manual, entities": {"entity_detection": ["all"], "entity_redaction": ["all"]},
    "manual, edited": {"transcript_edit": "no change"},
    "vad": {"commit_strategy": "vad"},
    "vad, quick": {"commit_strategy": "vad", "vad_silence_threshold_secs": 0.3},
    "turn prediction": {"commit_strategy": "turn_prediction"},
}


@pytest.mark.parametrize("options", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("early", [False, True], ids=["plain", "early"])
@pytest.mark.parametrize("seed", range(3))
def test_every_word_comes_once_and_in_its_utterance(
    options: dict[str, Any], early: bool, seed: int
) -> None:
    chance = random.Random(seed)
    timing = Timing(answer_s=chance.choice([0.1, 0.25, 0.45]), warmup_s=chance.choice([0.0, 2.0]))
    wire = Wire(timing, **options)
    uplink = Uplink(wire, early=early)
    said: dict[str, list[str]] = {}
    number = 0
    for n in range(12):
        pcm = silence(200)
        said[f"u{n}"] = []
        for _ in range(chance.choice([0, 1, 2, 3, 8])):
            said[f"u{n}"].append(f"w{number}")
            pcm += spoken(number) + silence(chance.choice([60, 120, 320, 440]))
            number += 1
        pcm += silence(500)
        frame = pcm_bytes(FRAME_MS)
        uplink.say(f"u{n}", (pcm[at : at + frame] for at in range(0, len(pcm), frame)))
        for _ in range(chance.choice([1, 30, 300])):
            uplink.rest()
    uplink.finish()
    committed = [event for event in wire.events if isinstance(event, Committed)]
    assert {e.utterance_id: e.answer.text.split() for e in committed} == said
    for event in committed:
        if event.answer.words:
            starts = [word.start_ms for word in event.answer.words]
            assert starts == sorted(starts)
            assert starts[0] == pytest.approx(200, abs=20)
    assert wire.session.unknown == {}
