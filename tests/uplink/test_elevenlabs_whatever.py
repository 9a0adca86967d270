"""Whatever ElevenLabs says, by every strategy: nothing raises, every utterance is answered once."""

from __future__ import annotations

import itertools
import json
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from scribed.interfaces import Committed, EarlyText, Failed, PartialText
from scribed.model import pcm_bytes
from tests.uplink.test_elevenlabs import (
    ESCAPED_KEY,
    KEY,
    Dialogue,
    anything,
    garbage,
    talk,
    texts,
    tokens,
    words,
)

STARTED = json.dumps({"message_type": "session_started"})
EVERYTHING = [
    "session_started",
    "partial_transcript",
    "final_transcript",
    "final_transcript_with_timestamps",
    "committed_transcript",
    "committed_transcript_with_timestamps",
    "committed_transcript_entities",
    "redacted_transcript",
    "edited_transcript",
    "diarized_transcript",
    "speakers_merged",
    "warning",
    "brand_new",
]
FIELDS = ["text", "error", "words", "session_id", "language_code", "entities", "redacted_text"]
FIELDS += ["edited_text", "warning", "from_speaker_id", "to_speaker_id", "segment_index", "config"]

entities = st.lists(
    st.fixed_dictionaries(
        {"text": texts, "entity_type": texts},
        optional={"start_char": st.integers(-5, 50), "end_char": st.integers(-5, 10**30)},
    ),
    max_size=2,
)
spoken = st.lists(
    st.builds(lambda token, who: {**token, "speaker_id": who}, tokens, texts | st.integers())
)
extras = st.one_of(
    st.builds(
        lambda text, found: {
            "message_type": "committed_transcript_entities",
            "text": text,
            "entities": found,
        },
        texts,
        entities,
    ),
    st.builds(
        lambda text: {"message_type": "redacted_transcript", "text": text, "redacted_text": "***"},
        texts,
    ),
    st.builds(
        lambda text: {"message_type": "edited_transcript", "text": text, "edited_text": text},
        texts,
    ),
    st.builds(
        lambda text, said: {"message_type": "diarized_transcript", "text": text, "words": said},
        texts,
        spoken | words,
    ),
    st.builds(
        lambda old, new: {
            "message_type": "speakers_merged",
            "from_speaker_id": old,
            "to_speaker_id": new,
        },
        texts,
        texts,
    ),
    st.builds(lambda text: {"message_type": "warning", "warning": text}, texts),
    st.builds(lambda text: {"message_type": "final_transcript", "text": text}, texts),
)
odd = st.builds(
    lambda kind, rest: json.dumps({"message_type": kind, **rest}),
    st.sampled_from(EVERYTHING),
    st.dictionaries(st.sampled_from(FIELDS), anything | texts, max_size=4),
)
options = st.fixed_dictionaries(
    {"commit_strategy": st.sampled_from(["manual", "vad", "turn_prediction"])},
    optional={
        **dict.fromkeys(
            ["include_timestamps", "include_language_detection", "diarize", "enable_logging"],
            st.booleans(),
        ),
        **dict.fromkeys(["entity_detection", "entity_redaction"], st.just(["all"])),
        "transcript_edit": st.just("Be brief."),
        "vad_silence_threshold_secs": st.sampled_from([0.3, 1.5]),
    },
)
well_said = st.one_of(talk, talk, extras).map(json.dumps)
steps = st.one_of(
    st.tuples(st.just("hear"), well_said),
    st.tuples(st.just("hear"), well_said),
    st.tuples(st.just("audio"), st.sampled_from([20, 200, 300, 400, 1200, 36_000])),
    st.tuples(st.just("pause"), st.none()),
    st.tuples(st.just("end"), st.none()),
    st.tuples(st.just("depart"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.05, 0.25, 0.3, 1.0, 2.5, 4.0, 61.0])),
)
scripts = st.lists(steps, max_size=30)
PATIENCE_S = 15.0 + 30 * 36.0 / 4
"""A service that commits by itself is waited for the longer the more was said: here 30 x 36 s."""
nonsense = st.lists(
    st.one_of(
        steps,
        st.tuples(st.just("hear"), odd),
        st.tuples(st.just("hear"), garbage),
        st.tuples(st.just("close"), st.none() | st.integers(1000, 4999)),
    ),
    max_size=20,
)


class Play:
    """A script played to a session as the uplink would, and what it must never do."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.dialogue = Dialogue(elevenlabs=options, previous_text="Go on.")
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._ids = itertools.count()
        self._open = self._paused = False

    def __call__(self, script: list[tuple[str, Any]]) -> Play:
        for word, value in script:
            getattr(self, word)(value)
            self._check()
        return self

    def hear(self, message: str | bytes) -> None:
        self.dialogue.session.receive(message, self.dialogue.now)

    def close(self, code: int | None) -> None:
        self.dialogue.session.receive_close(code, KEY)
        self.dialogue.depart()

    def audio(self, duration_ms: int) -> None:
        if not self._open:
            self._open = True
            self.begun.append(f"u{next(self._ids)}")
            self.dialogue.begin(self.begun[-1])
        self.dialogue.audio(bytes(pcm_bytes(duration_ms)))
        self._paused = False

    def pause(self, _: None) -> None:
        if self._open:
            self._paused = self.dialogue.pause()

    def end(self, _: None) -> None:
        if self._open:
            self.ended.append(self.begun[-1])
            self.dialogue.end(silent=self._paused)
            self._open = self._paused = False

    def depart(self, _: None) -> None:
        self.dialogue.depart()

    def wait(self, duration_s: float) -> None:
        self.dialogue.wait(duration_s)

    def finish(self) -> None:
        """No more is heard: what was ended has its one answer, or the session is over."""
        self.end(None)
        self.depart(None)
        for _ in range(len(self.ended) + 1):
            self.wait(PATIENCE_S)
            self._check()
        answered = [each for each, _ in self.dialogue.texts]
        assert answered == self.ended or self.dialogue.is_over

    def _check(self) -> None:
        dialogue = self.dialogue.serve()
        events = dialogue.events
        assert not any(isinstance(event, Failed) for event in events[:-1]), "said after the end"
        answered: list[str] = []
        for event in events:
            if isinstance(event, Committed):
                answered.append(event.utterance_id)
            elif isinstance(event, (PartialText, EarlyText)):
                assert event.utterance_id not in answered, "said of what has its answer"
                assert event.utterance_id in self.begun
        assert answered == self.ended[: len(answered)], "out of order, twice, or too early"
        sent = sum(len(message["audio_base_64"]) * 3 // 4 for message in dialogue.sent)
        assert 0 <= sent - dialogue.session.sent_s() * 32_000 <= 2 * len(dialogue.sent)
        assert sum("previous_text" in message for message in dialogue.sent) <= 1
        assert not any("previous_text" in message for message in dialogue.sent[1:])
        for secret in (KEY, ESCAPED_KEY):
            assert secret not in repr(dialogue.warned)


@hypothesis.settings(max_examples=400, deadline=None)
@given(options, scripts)
def test_whatever_it_says_in_its_own_words_every_utterance_ends_once(
    options: dict[str, Any], script: list[tuple[str, Any]]
) -> None:
    Play(options)([("hear", STARTED), *script]).finish()


@hypothesis.settings(max_examples=400, deadline=None)
@given(options, nonsense)
def test_whatever_else_it_says_every_utterance_ends_once_or_the_session_fails(
    options: dict[str, Any], script: list[tuple[str, Any]]
) -> None:
    play = Play(options)([("hear", STARTED), *script])
    play.finish()
    assert len(play.dialogue.session.unknown) <= 33


@hypothesis.settings(max_examples=100, deadline=None)
@given(options, nonsense)
def test_whatever_it_says_before_it_began_nothing_raises(
    options: dict[str, Any], script: list[tuple[str, Any]]
) -> None:
    Play(options)(script)


@hypothesis.settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["", "Go.", "Stop.", "Turn left."]), min_size=1, max_size=5),
    st.sampled_from(["vad", "turn_prediction"]),
    st.booleans(),
    st.data(),
)
def test_a_service_that_commits_by_itself_is_understood_however_it_cuts(
    said: list[str], strategy: str, timed: bool, data: st.DataObject
) -> None:
    """Each utterance is told in one to three commits of its words, at its pace; none is lost."""
    dialogue = Dialogue(elevenlabs={"commit_strategy": strategy, "include_timestamps": timed})
    dialogue.ready()
    begins_s = 0.0
    for n, text in enumerate(said):
        dialogue.begin(f"u{n}").audio(bytes(pcm_bytes(1000))).end().depart()
        spoken = text.split()
        for k, word in enumerate(spoken):
            dialogue.wait(data.draw(st.sampled_from([0.01, 0.1, 0.2]))).c(word)
            if timed:
                dialogue.t(word, (word, begins_s + 0.1 + k * 0.4, begins_s + 0.4 + k * 0.4))
        if not spoken:
            dialogue.wait(2.6).c("")  # an answer to our own commit
        dialogue.wait(0.3)
        begins_s = dialogue.session.sent_s()
    assert dialogue.texts == [(f"u{n}", text) for n, text in enumerate(said)]


@hypothesis.settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["go", "stop", "left"]), min_size=1, max_size=5), st.data())
def test_an_utterance_with_pauses_has_every_word_once(said: list[str], data: st.DataObject) -> None:
    dialogue = Dialogue().ready().begin("a")
    silent = False
    for n, word in enumerate(said):
        dialogue.wait(1.0).audio(bytes(pcm_bytes(1000)))
        last = n == len(said) - 1
        silent = last and data.draw(st.booleans())
        if not last or silent:
            assert dialogue.pause()
            dialogue.depart()
        else:
            dialogue.end().depart()
        for half in data.draw(st.sampled_from(["ct", "tc", "c"])):
            if half == "c":
                dialogue.c(word)
            else:
                dialogue.t(word, (word, n + 0.1, n + 0.4))
    if silent:
        dialogue.end(silent=True)
    dialogue.wait(0.05)
    assert dialogue.texts == [("a", " ".join(said))]
    assert [text for _, text in dialogue.early] == [
        " ".join(said[: n + 1]) for n in range(len(said) if silent else len(said) - 1)
    ]
