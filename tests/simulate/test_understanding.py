"""scribed's own session and the simulator's, mouth to ear: nothing between them but a clock.

Neither shares a line with the other; both were written from what is known of the service.
"""

from __future__ import annotations

import functools
import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.config import ElevenLabs, ProviderSection
from scribed.interfaces import Committed, Failed, SessionEvent
from scribed.model import UtteranceId
from scribed.simulate.dialects import Close, Timing
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.simulate.dialogue import Dialogue
from tests.simulate.sockets import voice

WORDS = tuple(f"word{n}" for n in range(40))  # the next commit's answer
LONGEST_S = 45.0
STEP_S = 0.05
spoken = functools.lru_cache(voice)


class Conversation:
    """One connection between the two."""

    def __init__(self, options: ElevenLabs, timing: Timing) -> None:
        self.session = ElevenLabsSession(ProviderSection(elevenlabs=options), "a key")
        query = urlsplit(self.session.request().url).query
        self.service = Dialogue(query, answers=WORDS, timing=timing)
        self.events: list[SessionEvent] = []
        self._read = 0
        self.session.handle_timer(self.service.now)
        self.exchange()

    @property
    def committed(self) -> list[Committed]:
        return [event for event in self.events if isinstance(event, Committed)]

    def say(self, id: UtteranceId, pcm: bytes) -> None:
        """Speak for as long as it takes, and wait for the answer."""
        self.session.start(id, self.service.now)
        for start in range(0, len(pcm), 3200):
            self.session.audio(pcm[start : start + 3200], self.service.now)
            self.pass_time(0.1)
        self.session.end(self.service.now)
        self.exchange()
        self.session.departed(id, self.service.now)
        answered = len(self.committed)
        deadline = self.service.now + 10.0
        while len(self.committed) == answered and self.service.now < deadline:
            self.pass_time(STEP_S)

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on."""
        until = self.service.now + seconds
        while self.service.now < until - 1e-9:
            self.service.wait(min(STEP_S, until - self.service.now))
            self.exchange()
            timer = self.session.timer()
            if timer is not None and timer <= self.service.now:
                self.session.handle_timer(self.service.now)
                self.exchange()

    def exchange(self) -> None:
        """Carry messages to and fro until there are none."""
        while (messages := self.session.messages_to_send()) or self._read < len(self.service.got):
            self.service.send(*messages)
            for _, output in self.service.got[self._read :]:
                self._read += 1
                if isinstance(output, Close):
                    self.session.receive_close(output.code, output.reason)
                else:
                    self.session.receive(json.dumps(output), self.service.now)
        self.events += self.session.events()


OPTIONS = st.builds(
    ElevenLabs,
    commit_strategy=st.sampled_from(["manual", "vad", "turn_prediction"]),
    vad_silence_threshold_secs=st.sampled_from([0.3, 0.5, 1.5]),
    include_timestamps=st.booleans(),
    include_language_detection=st.booleans(),
    no_verbatim=st.booleans(),
    entity_detection=st.sampled_from([(), ("all",)]),
    diarize=st.booleans(),
    keepalive_interval_ms=st.sampled_from([0, 500]),
)
TIMINGS = st.builds(
    Timing,
    answer_s=st.sampled_from([0.0, 0.25, 1.0]),
    warmup_s=st.sampled_from([0.0, 2.0]),
    partial_every_s=st.sampled_from([0.0, 1.0]),
    stamped_first=st.sampled_from([None, True, False]),
)


def check(conversation: Conversation, ids: list[UtteranceId]) -> None:
    """Every utterance was answered once, in order, and has all the words that were committed."""
    assert not [event for event in conversation.events if isinstance(event, Failed)]
    assert [event.utterance_id for event in conversation.committed] == ids
    texts = [word for event in conversation.committed for word in event.answer.text.split()]
    sent = [r.text for r in conversation.service.records if r.answered_at is not None]
    assert texts == sent


@settings(max_examples=150, deadline=None)
@given(
    OPTIONS,
    TIMINGS,
    st.lists(st.sampled_from([0.4, 0.7, 1.0, 2.5]), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.4, 3.0]),
)
def test_every_utterance_is_answered_once_whatever_is_asked_of_the_service(
    options: ElevenLabs, timing: Timing, lengths: list[float], pause_s: float
) -> None:
    conversation = Conversation(options, timing)
    ids = [UtteranceId(f"utterance {n}") for n in range(len(lengths))]
    for name, seconds in zip(ids, lengths, strict=True):
        conversation.say(name, spoken(seconds))
        conversation.pass_time(pause_s)
    check(conversation, ids)


@pytest.mark.parametrize("strategy", ["manual", "vad", "turn_prediction"])
def test_an_utterance_that_the_service_commits_twice_is_answered_once(strategy: str) -> None:
    options = ElevenLabs(commit_strategy=strategy)  # type: ignore[arg-type]
    conversation = Conversation(options, Timing())
    long, short = UtteranceId("long"), UtteranceId("short")
    conversation.say(long, spoken(LONGEST_S))
    conversation.say(short, spoken(1.0))
    check(conversation, [long, short])
    assert conversation.committed[0].answer.text.split()[:2] == ["word0", "word1"]
