"""Speech through backlog and session to a service that hears: every word once, in one final."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.config import ProviderSection
from scribed.interfaces import Committed, EarlyText, Failed, PartialText, Ready, Warned
from scribed.model import EndReason, Final, UtteranceAudio
from scribed.uplink.entry import Audio, Begin, End, Fetch, Pause, Step
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.uplink.test_promises import SILENCE, WHO, World

PLAIN = msgspec.convert({"elevenlabs": {"include_timestamps": False}}, ProviderSection)


class Service:
    """A session, and what the service at its other end has heard."""

    def __init__(self, now: float) -> None:
        self.session = ElevenLabsSession(PLAIN, "k3y")
        self.session.handle_timer(now)
        self.receive(now, message_type="session_started", session_id="s", config={})
        self._audio = b""
        self.owed: list[str] = []

    def receive(self, now: float, **message: Any) -> None:
        self.session.receive(json.dumps(message), now)

    def hear(self) -> None:
        for raw in self.session.messages_to_send():
            message = json.loads(raw)
            self._audio += base64.b64decode(message["audio_base_64"])
            if message["commit"]:
                self.owed.append(words(self._audio))
                self._audio = b""


def words(audio: bytes) -> str:
    """What was said: a word for each piece that is not silence."""
    pieces = (audio[i : i + len(SILENCE)] for i in range(0, len(audio), len(SILENCE)))
    numbers = (int.from_bytes(piece[:2], "little") for piece in pieces)
    return " ".join(f"w{n}" for n in numbers if n)


class Talk(World):
    """The same world, with ElevenLabs' session in it."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.services = [Service(self.now)]

    def _audio(self, *, silent: bool) -> None:
        assert self.open is not None
        self.said += not silent
        pcm = SILENCE if silent else self.said.to_bytes(2, "little") * (len(SILENCE) // 2)
        self.spoken[self.open].audio += pcm
        self._post(UtteranceAudio(self.open, pcm))

    def _take(self, step: Step, _line: object, *, takes_pauses: bool) -> None:
        session, now, who = self.services[-1].session, self.now, step.entry.id
        match step:
            case Begin(entry):
                session.start(who, now, attempt=entry.attempt)
            case Audio(pcm=pcm):
                session.audio(pcm, now)
            case Pause() if takes_pauses and session.pause(now):
                self.pauses_taken += 1
            case Pause():
                self.backlog.cannot_pause(who)
            case End(silent=silent):
                session.end(now, silent=silent)
            case Fetch():
                raise AssertionError("nothing was parked")
        self._settle(depart=who if isinstance(step, Pause | End) else None)

    def _settle(self, depart: Any = None) -> None:
        """Let everything that is on its way arrive."""
        for service in self.services:
            service.hear()
            if depart is not None:
                service.session.departed(depart, self.now)
            for event in service.session.events():
                match event:
                    case EarlyText():
                        self.waiting.texts.early(event, WHO, self.now)
                    case PartialText(utterance_id=id, text=text):
                        self.waiting.texts.partial(id, text, WHO, self.now)
                    case Committed():
                        self.waiting.texts.committed(event, WHO, self.now)
                    case Failed():
                        self.lose()
                        return
                    case Ready() | Warned():
                        pass

    def answer(self) -> None:
        for service in self.services:
            if service.owed:
                service.receive(
                    self.now, message_type="committed_transcript", text=service.owed.pop(0)
                )
                self._settle()
                return

    def rotate(self) -> None:
        if not self.backlog.in_mid_utterance:
            owing = [service for service in self.services if service.owed]
            self.services = [*owing, Service(self.now)]

    def lose(self) -> None:
        super().lose()
        self.services = [Service(self.now)]

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        for service in self.services:
            service.session.handle_timer(self.now)
        self._settle()

    def check(self) -> None:
        super().check()
        assert sum(len(service.owed) for service in self.services) <= 1


moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["start", "pause", "resume", "end", "answer"])),
        st.tuples(st.sampled_from(["start", "pause", "resume", "end", "answer", "rotate"])),
        st.tuples(st.sampled_from(["start", "pause", "answer", "lose", "rotate", "cut"])),
        st.tuples(st.just("audio"), st.integers(1, 60)),
        st.tuples(st.sampled_from(["step", "audio"]), st.integers(1, 60)),
        st.tuples(st.just("step"), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.floats(0.0, 2.0)),
    ),
    min_size=40,
    max_size=120,
)


@given(moves)
@settings(max_examples=100)
def test_whatever_happens_every_word_is_there_once(script: list[tuple[Any, ...]]) -> None:
    talk = Talk()
    for name, *arguments in script:
        if name == "cut":
            talk.end(EndReason.LENGTH)
        else:
            getattr(talk, name)(*arguments)
        talk.check()
    talk.end()
    for _ in range(5 * len(talk.spoken) + 5):
        talk.step(1000)
        talk.answer()
        talk.wait(3.0)  # less than the answer's timeout
        talk.check()
    assert talk.ends.keys() == talk.spoken.keys(), "one waits for ever"
    for who, end in talk.ends.items():
        assert isinstance(end, Final)
        assert end.answer.text == words(talk.spoken[who].audio)
    talk.close()


def test_speech_with_two_pauses_is_three_commits_and_one_final() -> None:
    talk = Talk()
    for _ in range(2):
        talk.start()
        talk.audio(40)
        talk.step(9)
        talk.wait(2.0)
        talk.pause()
        talk.step(9)
        talk.audio(5)
        talk.answer()
        talk.check()
        assert not talk.ends
        talk.resume()
    talk.audio(20)
    talk.end()
    talk.step(9)
    talk.answer()
    talk.check()
    assert talk.pauses_taken == 2
    (end,) = talk.ends.values()
    assert isinstance(end, Final)
    assert end.answer.text == words(talk.spoken["u1"].audio)
    assert end.rev == 2, "each early text was a partial when speech went on"
    talk.close()
