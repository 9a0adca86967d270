"""The session and the stand-in for OpenMind, both pure, talk by one clock: every word arrives once,
whatever the stand-in does to the connection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import Committed, Failed, Ready
from scribed.model import Answer, UtteranceId, pcm_bytes
from scribed.simulate import recognizers
from scribed.simulate.dialects import Close, Timing
from scribed.uplink.providers.openmind import OpenMindSession
from tests.simulate.openmind import ELEVENLABS, GOOGLE, RIVA, Dialogue, silence, speech

PATHS = {"elevenlabs": ELEVENLABS, "google": GOOGLE, "riva": RIVA}
STEP_S = 0.02
HANGOVER_S = 0.5
TEXTS = ["turn left please", "stop", "go to the dock", "what is this", "bring me the cup", "thanks"]


class Echo:
    """A recogniser that hears what it is told to; it is all recognisers that it makes."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self) -> Echo:
        return self

    def feed(self, pcm: bytes) -> None:
        pass

    def partial(self) -> str:
        return self.text

    def commit(self) -> recognizers.Answer:
        return recognizers.Answer(self.text)

    def close(self) -> None:
        pass


class Robot:
    """Says things, in real time; begins anew on another connection where one fails."""

    def __init__(self, *, framing: str = "json", route: str = "elevenlabs", **options: Any) -> None:
        own = {"route": route, "framing": framing}
        self._settings = msgspec.convert({"language": "en", "openmind": own}, ProviderSection)
        self._path, self._options = PATHS[route], options
        self.answers: dict[str, Answer] = {}
        self.ends: list[Failed] = []
        self._recognizer = Echo()
        self._connect()

    def say(self, id: str, text: str, duration_s: float) -> None:
        """An utterance, as often as it takes."""
        self._recognizer.text = text
        pcm = speech(duration_s) + silence(HANGOVER_S)
        for attempt in range(1, 6):
            if self._session is None:
                self._connect()
            while self._session is not None and not self._ready:
                self._pass(STEP_S)
            if self._try(UtteranceId(id), pcm, attempt):
                return
        raise AssertionError(f"{id} was never answered: {self.ends}")

    def rest(self, duration_s: float) -> None:
        """Nobody speaks."""
        for _ in range(round(duration_s / STEP_S)):
            self._pass(STEP_S)

    def complain(self) -> None:
        """The service says that something went wrong, and goes on."""
        self._service.fail("openmind-complaint")
        self._pass(STEP_S)

    def _try(self, id: UtteranceId, pcm: bytes, attempt: int) -> bool:
        session = self._session
        if session is None:
            return False
        size = pcm_bytes(STEP_S * 1000)
        session.start(id, self._service.now, attempt=attempt)
        for at in range(0, len(pcm), size):
            if self._session is session:
                session.audio(pcm[at : at + size], self._service.now)
                self._pass(STEP_S)
        if self._session is session:
            session.end(self._service.now)
            self._pass(0)
            session.departed(id, self._service.now)
        while self._session is session and id not in self.answers:
            self._pass(STEP_S)
        return id in self.answers

    def _connect(self) -> None:
        self._service = Dialogue(self._path, recognizer=self._recognizer, **self._options)
        self._session: OpenMindSession | None = OpenMindSession(self._settings, "key")
        self._ready, self._seen = False, 0
        self._session.handle_timer(self._service.now)
        self._pass(0)

    def _pass(self, duration_s: float) -> None:
        """Time passes on both sides, and what was said arrives."""
        service, session = self._service, self._session
        service.wait(duration_s)
        if session is None:
            return
        service.send(*session.messages_to_send())
        for _, message in service.got[self._seen :]:
            self._seen += 1
            if isinstance(message, Close):
                session.receive_close(message.code, message.reason)
            else:
                session.receive(msgspec.json.encode(message), service.now)
        if (due := session.timer()) is not None and due <= service.now:
            session.handle_timer(service.now)
        for event in session.events():
            if isinstance(event, Ready):
                self._ready = True
            elif isinstance(event, Committed):
                assert event.utterance_id not in self.answers
                self.answers[event.utterance_id] = event.answer
            elif isinstance(event, Failed):
                self.ends.append(event)
                self._session = None


def converse(robot: Robot, pause_s: float) -> None:
    for number, text in enumerate(TEXTS):
        robot.say(f"u{number}", text, 0.8 + 0.3 * number)
        robot.rest(pause_s)
    assert [answer.text for answer in robot.answers.values()] == TEXTS
    assert not any(answer.guessed for answer in robot.answers.values())


@pytest.mark.parametrize("framing", ["json", "binary"])
@pytest.mark.parametrize("route", list(PATHS))
def test_a_conversation_needs_one_connection(route: str, framing: str) -> None:
    robot = Robot(route=route, framing=framing)
    converse(robot, pause_s=1.0)
    assert robot.ends == []


@pytest.mark.parametrize("final", [None, "", "committed", "final"])
def test_a_final_is_heard_in_any_spelling(final: str | None) -> None:
    robot = Robot(final=final, echo=True)
    converse(robot, pause_s=0.5)
    assert robot.ends == []


@pytest.mark.parametrize("restart", ["lose", "commit"])
def test_a_restart_in_mid_utterance_costs_no_word(restart: str) -> None:
    robot = Robot(restart=restart, timing=Timing(idle_s=0, warmup_s=0, session_s=5.5))
    converse(robot, pause_s=0.2)
    assert robot.ends
    assert {end.remedy for end in robot.ends} == {Remedy.RECONNECT}


def test_a_service_that_closes_in_silence_is_called_again() -> None:
    robot = Robot(timing=Timing(idle_s=3, warmup_s=0))
    converse(robot, pause_s=5)
    assert len(robot.ends) == len(TEXTS)
    assert {end.remedy for end in robot.ends} == {Remedy.RECONNECT}


def test_words_that_are_never_committed_are_guessed_from_the_last_partial() -> None:
    robot = Robot(endpoint_s=3600.0, timing=Timing(idle_s=0, warmup_s=0, partial_every_s=0.2))
    for number, text in enumerate(TEXTS):
        robot.say(f"u{number}", text, 1.0)
        robot.rest(5)
    assert [answer.text for answer in robot.answers.values()] == TEXTS
    assert all(answer.guessed for answer in robot.answers.values())
    assert [end.remedy for end in robot.ends] == [Remedy.RECONNECT] * len(TEXTS)


def test_an_error_that_ends_nothing_costs_no_word() -> None:
    robot = Robot()
    robot.say("u0", "go on", 1.0)
    robot.complain()
    robot.say("u1", "stop", 1.0)
    assert [answer.text for answer in robot.answers.values()] == ["go on", "stop"]
    assert robot.answers["u1"].warnings is not None
    assert robot.ends == []
