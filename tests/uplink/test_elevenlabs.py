"""The dialogue with ElevenLabs: what is said for what is heard, and what each answer means."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import sys
import tracemalloc
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import (
    Committed,
    EarlyText,
    Failed,
    PartialText,
    Ready,
    SessionEvent,
    Warned,
)
from scribed.model import Answer, UtteranceId, Word, pcm_bytes, seconds
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.parts.promptly import promptly

KEY = "s3cret/key+1"
ESCAPED_KEY = "s3cret%2Fkey%2B1"


class Dialogue:
    """A session with a clock of its own, and what was said on both sides."""

    def __init__(
        self, *, key: str = KEY, token: str = "", previous_text: str = "", **settings: Any
    ) -> None:
        provider = msgspec.convert(settings, ProviderSection)
        self.session = ElevenLabsSession(provider, key, token=token, previous_text=previous_text)
        self.now = 1000.0
        self._open: str | None = None
        self._leaving: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.events: list[SessionEvent] = []
        self.serve()

    def hear(self, kind: str, **fields: Any) -> Dialogue:
        """A message of the service."""
        return self.hear_raw(json.dumps({"message_type": kind, **fields}))

    def hear_raw(self, message: str | bytes) -> Dialogue:
        with promptly():
            self.session.receive(message, self.now)
        return self._collect()

    def ready(self) -> Dialogue:
        return self.hear("session_started", session_id="abc", config={"sample_rate": 16000})

    def begin(self, id: str) -> Dialogue:
        self._open = id
        self.session.start(UtteranceId(id), self.now)
        return self._collect()

    def audio(self, pcm: bytes) -> Dialogue:
        self.session.audio(pcm, self.now)
        return self._collect()

    def pause(self) -> bool:
        """Whether the session took it up."""
        paused = self.session.pause(self.now)
        self._leaving += [self._open] if self._open and paused else []
        self._collect()
        return paused

    def end(self, *, silent: bool = False) -> Dialogue:
        self.session.end(self.now, silent=silent)
        self._leaving += [self._open] if self._open else []
        return self._collect()

    def say(self, *ids: str, duration_ms: int = 1000) -> Dialogue:
        """Whole utterances, one after the other, that leave the machine."""
        for each in ids:
            self.begin(each).audio(bytes(pcm_bytes(duration_ms))).end()
        return self.depart()

    def depart(self) -> Dialogue:
        """All that was ended leaves the machine."""
        for each in self._leaving:
            self.session.departed(UtteranceId(each), self.now)
        self._leaving.clear()
        return self._collect()

    def c(self, text: str) -> Dialogue:
        return self.hear("committed_transcript", text=text)

    def t(self, text: str, *words: tuple[str, float, float], **fields: Any) -> Dialogue:
        tokens = [{"text": w, "start": a, "end": b, "type": "word"} for w, a, b in words]
        kind = "committed_transcript_with_timestamps"
        return self.hear(kind, text=text, **{"words": tokens or None, **fields})

    def partial(self, text: str) -> Dialogue:
        return self.hear("partial_transcript", text=text)

    def wait(self, duration_s: float) -> Dialogue:
        """Let time pass; the timer is served when it is due, and not more often than it is."""
        end = round(self.now + duration_s, 6)
        while (due := self.session.timer()) is not None and due <= end:
            self.now = due
            self.serve()
        self.now = end
        return self

    def serve(self) -> Dialogue:
        """Serve the timer, due or not: afterwards it must be due later."""
        self.session.handle_timer(self.now)
        due = self.session.timer()
        assert due is None or due > self.now, "it is due again at once: a busy loop"
        return self._collect()

    def _collect(self) -> Dialogue:
        self.sent += [json.loads(message) for message in self.session.messages_to_send()]
        self.events += self.session.events()
        return self

    @property
    def answers(self) -> list[Answer]:
        return [e.answer for e in self.events if isinstance(e, Committed)]

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(e.utterance_id, e.answer.text) for e in self.events if isinstance(e, Committed)]

    @property
    def partials(self) -> list[tuple[str, str]]:
        return [(e.utterance_id, e.text) for e in self.events if isinstance(e, PartialText)]

    @property
    def early(self) -> list[tuple[str, str]]:
        return [(e.utterance_id, e.text) for e in self.events if isinstance(e, EarlyText)]

    @property
    def warned(self) -> list[Warned]:
        return [e for e in self.events if isinstance(e, Warned)]

    @property
    def failed(self) -> Failed:
        """The end of the session, of which there must be one."""
        (failed,) = (e for e in self.events if isinstance(e, Failed))
        return failed

    @property
    def is_over(self) -> bool:
        return any(isinstance(e, Failed) for e in self.events)


def pcm(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["audio_base_64"], validate=True)


def sizes_ms(messages: list[dict[str, Any]]) -> list[int]:
    return [round(seconds(len(pcm(message))) * 1000) for message in messages]


# The request


def query(**settings: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(Dialogue(**settings).session.request().url).query))


def test_the_request_names_endpoint_model_and_format_and_carries_the_key_in_a_header() -> None:
    request = Dialogue().session.request()
    assert request.url == (
        "wss://api.elevenlabs.io/v1/speech-to-text/realtime?model_id=scribe_v2_realtime"
        "&audio_format=pcm_16000&commit_strategy=manual&include_timestamps=true"
    )
    assert request.headers == {"xi-api-key": KEY}
    assert KEY not in repr(request)


def test_a_language_is_asked_for_where_one_is_configured() -> None:
    assert "language_code" not in query(language="auto")
    assert query(language="de")["language_code"] == "de"


def test_options_are_parameters_of_the_same_name() -> None:
    options = {
        "model_id": "scribe_v2_realtime_turbo",
        "include_timestamps": False,
        "include_language_detection": True,
    }
    assert query(elevenlabs=options) == {
        "model_id": "scribe_v2_realtime_turbo",
        "audio_format": "pcm_16000",
        "commit_strategy": "manual",
        "include_language_detection": "true",
    }


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/speech-to-text/realtime"),
        ("wss://proxy.example/", "wss://proxy.example/v1/speech-to-text/realtime"),
        ("wss://proxy.example/my/ear", "wss://proxy.example/my/ear"),
    ],
)
def test_another_endpoint_takes_the_usual_path_unless_it_has_its_own(url: str, place: str) -> None:
    assert Dialogue(url=url).session.request().url.split("?")[0] == place


# Becoming ready


def test_the_session_is_ready_when_the_service_says_so() -> None:
    assert Dialogue().ready().events == [Ready("abc")]


def test_a_service_that_does_not_say_so_in_time_is_given_up() -> None:
    assert not Dialogue(connect_timeout_s=10).wait(9.99).is_over
    failed = Dialogue(connect_timeout_s=10).wait(10).failed
    assert failed == Failed(Remedy.BACK_OFF, "no session_started within 10 s")


def test_a_silent_service_gets_no_keepalive_before_it_is_ready() -> None:
    assert Dialogue(connect_timeout_s=60).wait(59).sent == []


# Audio


def test_audio_is_sent_in_chunks_as_soon_as_one_is_whole() -> None:
    dialogue = Dialogue().ready().begin("a")
    for _ in range(4):
        dialogue.audio(bytes(pcm_bytes(20)))
    assert dialogue.sent == []
    dialogue.audio(bytes(pcm_bytes(20)))
    assert sizes_ms(dialogue.sent) == [100]
    assert dialogue.sent[0] == {
        "message_type": "input_audio_chunk",
        "audio_base_64": base64.b64encode(bytes(3200)).decode(),
        "commit": False,
        "sample_rate": 16000,
    }


def test_audio_that_waited_is_sent_in_chunks_of_a_second_at_most() -> None:
    dialogue = Dialogue().ready().begin("a").audio(bytes(pcm_bytes(2550)))
    assert sizes_ms(dialogue.sent) == [850, 850, 850]


def test_no_audio_waits_for_the_next_chunk_where_there_is_one() -> None:
    dialogue = Dialogue().ready().begin("a").audio(bytes(pcm_bytes(560)))
    assert sizes_ms(dialogue.sent) == [560]
    dialogue.audio(bytes(pcm_bytes(80)))
    assert sizes_ms(dialogue.sent) == [560]
    dialogue.audio(bytes(pcm_bytes(60))).audio(bytes(pcm_bytes(100)))
    assert sizes_ms(dialogue.sent) == [560, 140, 100]


def test_the_last_chunk_commits_and_no_other() -> None:
    dialogue = Dialogue().ready().say("a", "b", duration_ms=450)
    assert sizes_ms(dialogue.sent) == [450, 0, 450, 0]
    assert [message["commit"] for message in dialogue.sent] == [False, True] * 2


@pytest.mark.parametrize(
    ("duration_ms", "sizes"),
    [
        (0, [350]),
        (20, [350]),
        (100, [100, 250]),
        (340, [340, 10]),
        (350, [350, 0]),
        (360, [360, 0]),
        (400, [400, 0]),
    ],
)
def test_a_commit_never_has_less_than_350_ms_of_audio(duration_ms: int, sizes: list[int]) -> None:
    dialogue = Dialogue().ready().begin("a").audio(b"\1" * pcm_bytes(duration_ms)).end()
    assert sizes_ms(dialogue.sent) == sizes
    audio = b"".join(map(pcm, dialogue.sent))
    assert audio.rstrip(b"\0") == b"\1" * pcm_bytes(duration_ms)


def test_each_commit_is_padded_for_itself() -> None:
    dialogue = Dialogue().ready().say("a", duration_ms=2000).say("b", duration_ms=20)
    assert sizes_ms(dialogue.sent)[-1] == 350


@given(st.lists(st.binary(max_size=3000).map(lambda b: b * 16), max_size=12), st.integers(20, 1000))
def test_whatever_the_pieces_all_audio_is_sent_once_and_in_order(
    pieces: list[bytes], chunk_ms: int
) -> None:
    dialogue = Dialogue(chunk_ms=chunk_ms).ready().begin("a")
    for piece in pieces:
        dialogue.audio(piece)
        unsent = sum(map(len, pieces)) - sum(map(len, map(pcm, dialogue.sent)))
        assert unsent >= 0
    dialogue.end()
    sent = b"".join(map(pcm, dialogue.sent))
    whole = b"".join(pieces)
    assert sent == whole + bytes(max(0, pcm_bytes(350) - len(whole)))
    assert max(sizes_ms(dialogue.sent)) <= 1000
    assert all(size >= chunk_ms for size in sizes_ms(dialogue.sent)[:-1])


# Keepalive


def test_an_idle_session_says_something_every_ten_seconds() -> None:
    dialogue = Dialogue().ready().wait(9.99)
    assert dialogue.sent == []
    dialogue.wait(0.01)
    assert dialogue.sent == [
        {
            "message_type": "input_audio_chunk",
            "audio_base_64": "",
            "commit": False,
            "sample_rate": 16000,
        }
    ]
    assert len(dialogue.wait(9.99).sent) == 1
    assert len(dialogue.wait(0.01).sent) == 2


def test_audio_is_keepalive_enough() -> None:
    dialogue = Dialogue().ready().begin("a")
    for _ in range(5):
        dialogue.wait(6).audio(bytes(pcm_bytes(100)))
    assert sizes_ms(dialogue.sent) == [100] * 5


# Answers


def test_c_then_t_is_one_answer() -> None:
    dialogue = Dialogue().ready().say("a").c("Hello.")
    assert dialogue.texts == []
    assert dialogue.wait(0.015).t("Hello.", ("Hello.", 0.1, 0.5)).texts == [("a", "Hello.")]
    assert dialogue.answers[0].words == (Word("Hello.", 100, 500),)


def test_t_then_c_is_one_answer() -> None:
    dialogue = Dialogue().ready().say("a", "b").t("Hello.", ("Hello.", 0.1, 0.5))
    assert dialogue.texts == [("a", "Hello.")]
    assert dialogue.c("Hello.").texts == [("a", "Hello.")]
    assert dialogue.c("Stop.").t("Stop.").texts == [("a", "Hello."), ("b", "Stop.")]


def test_c_without_t_is_published_after_50_ms_and_a_late_t_is_swallowed() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("Hello.").wait(0.049)
    assert dialogue.texts == []
    assert dialogue.wait(0.001).texts == [("a", "Hello.")]
    assert dialogue.answers[0].words is None
    dialogue.wait(0.2).t("Hello.", ("Hello.", 0.1, 0.5)).c("Stop.").t("Stop.")
    assert dialogue.texts == [("a", "Hello."), ("b", "Stop.")]


def test_a_late_t_is_swallowed_once_and_an_early_one_with_the_same_text_is_an_answer() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("Stop.").wait(0.05).t("Stop.")
    dialogue.t("Stop.", ("Stop.", 1.2, 1.4))
    assert dialogue.texts == [("a", "Stop."), ("b", "Stop.")]
    assert dialogue.answers[1].words == (Word("Stop.", 200, 400),)


@pytest.mark.parametrize(
    ("c", "t"),
    [
        ("Turn left.", " Turn  left.\n"),
        ("Turn left. ", "Turn\u00a0left."),
        ("Gr\u00fc\u00dfe", "Gru\u0308\u00dfe"),
        ("", " \u200a"),
    ],
    ids=["spaces", "other spaces", "Unicode form", "silence"],
)
def test_the_halves_of_an_answer_belong_together_though_they_differ_in_form(c: str, t: str) -> None:
    one, other = Dialogue().ready().say("a", "b"), Dialogue().ready().say("a", "b")
    late = Dialogue().ready().say("a", "b").c(c).wait(0.05).t(t)
    for dialogue in (one.c(c).t(t), other.t(t).c(c), late):
        dialogue.c("Stop.").t("Stop.")
        assert [each for each, _ in dialogue.texts] == ["a", "b"]
        assert dialogue.texts[1] == ("b", "Stop.")
    assert one.texts[0] == ("a", c)


def test_texts_that_differ_in_a_letter_are_two_answers() -> None:
    dialogue = Dialogue().ready().say("a", "b").t("go.").c("Go.").wait(0.05)
    assert dialogue.texts == [("a", "go."), ("b", "Go.")]


def test_t_without_c_is_an_answer() -> None:
    dialogue = Dialogue().ready().say("a", "b", "c").t("One.").t("Two.").t("Three.")
    assert dialogue.texts == [("a", "One."), ("b", "Two."), ("c", "Three.")]


def test_a_c_that_never_came_does_not_turn_the_next_one_into_an_answer() -> None:
    dialogue = Dialogue().ready().say("a", "b", "c").t("One.")
    dialogue.t("Two.").c("Two.")
    assert dialogue.texts == [("a", "One."), ("b", "Two.")]
    assert dialogue.c("Three.").t("Three.").texts[2:] == [("c", "Three.")]


def test_two_equal_texts_in_a_row_are_two_answers() -> None:
    stop = ("Stop.", 0.1, 0.4)
    dialogue = Dialogue().ready().say("a", "b").c("Stop.").t("Stop.", stop)
    assert dialogue.texts == [("a", "Stop.")]
    dialogue.c("Stop.").t("Stop.", ("Stop.", 1.2, 1.4))
    assert dialogue.texts == [("a", "Stop."), ("b", "Stop.")]
    assert [answer.words for answer in dialogue.answers] == [
        (Word("Stop.", 100, 400),),
        (Word("Stop.", 200, 400),),
    ]


def test_two_equal_texts_whose_timestamps_come_first_are_two_answers() -> None:
    dialogue = Dialogue().ready().say("a", "b").t("Stop.").c("Stop.").t("Stop.").c("Stop.")
    assert dialogue.texts == [("a", "Stop."), ("b", "Stop.")]


def test_two_answers_before_their_timestamps_get_each_its_own() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("Stop.").c("Stop.")
    dialogue.t("Stop.", ("Stop.", 0.1, 0.4)).t("Stop.", ("Stop.", 1.2, 1.4))
    assert [a.words for a in dialogue.answers] == [
        (Word("Stop.", 100, 400),),
        (Word("Stop.", 200, 400),),
    ]


def test_answers_stay_in_order_where_the_first_waits_for_its_timestamps() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("One.").c("Two.").t("Two.")
    assert dialogue.texts == []
    assert dialogue.t("One.").texts == [("a", "One."), ("b", "Two.")]


def test_without_timestamps_the_text_alone_is_the_answer() -> None:
    dialogue = Dialogue(elevenlabs={"include_timestamps": False}).ready().say("a", "b")
    dialogue.c("One.").c("One.")
    assert dialogue.texts == [("a", "One."), ("b", "One.")]


def test_timestamps_that_nobody_asked_for_are_no_second_answer() -> None:
    dialogue = Dialogue(elevenlabs={"include_timestamps": False}).ready().say("a", "b")
    dialogue.c("One.").t("One.").c("Two.").t("Two.")
    assert dialogue.texts == [("a", "One."), ("b", "Two.")]


def test_with_language_detection_alone_the_text_comes_second_and_is_no_second_answer() -> None:
    options = {"include_timestamps": False, "include_language_detection": True}
    dialogue = Dialogue(elevenlabs=options).ready().say("a", "b")
    for text in ("Eins.", "Zwei."):
        dialogue.t(text, language_code="de").wait(0.014).c(text)
    assert dialogue.texts == [("a", "Eins."), ("b", "Zwei.")]


def test_a_commit_of_silence_is_answered_with_an_empty_text() -> None:
    dialogue = Dialogue().ready().say("a", "b", "c").c("").t("").c("").wait(0.05).c("Hello.")
    assert dialogue.t("Hello.").texts == [("a", ""), ("b", ""), ("c", "Hello.")]


def test_an_answer_to_nothing_is_ignored() -> None:
    for first, second in itertools.permutations("ct"):
        dialogue = Dialogue().ready()
        getattr(dialogue, first)("Hello.").wait(1).say("a")
        getattr(dialogue, second)("Hello.")
        assert dialogue.c("Stop.").t("Stop.").texts == [("a", "Stop.")]


# Words, language, confidence


def test_word_times_count_from_the_utterances_own_first_sample_padding_and_all() -> None:
    dialogue = Dialogue().ready().say("a", duration_ms=100).c("One.").t("One.", ("One.", 0, 0.1))
    dialogue.wait(25)  # keepalives add nothing to the service's clock
    dialogue.say("b").c("Two.").t("Two.", ("Two.", 0.35, 0.45))
    dialogue.say("c").c("Three.").t("Three.", ("Three.", 1.352, 1.36))
    assert [answer.words for answer in dialogue.answers] == [
        (Word("One.", 0, 100),),
        (Word("Two.", 0, 100),),
        (Word("Three.", 2, 10),),
    ]


def test_a_word_never_begins_before_its_utterance_or_ends_before_it_begins() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("").t("").c("x y z")
    dialogue.t("x y z", ("x", 0.2, 1.1), ("y", 1.5, 1.4), ("z", 1e300, 1e308))
    words = dialogue.answers[1].words
    assert words is not None
    assert [(w.start_ms, w.end_ms) for w in words[:2]] == [(0, 100), (500, 500)]
    assert all(0 <= w.start_ms <= w.end_ms for w in words)


def test_spaces_and_noises_are_no_words() -> None:
    tokens = [
        {"text": "(door)", "start": 0.0, "end": 0.1, "type": "audio_event"},
        {"text": "Go", "start": 0.1, "end": 0.2, "type": "word", "logprob": -0.1},
        {"text": " ", "start": 0.2, "end": 0.3, "type": "spacing", "logprob": -9.0},
        {"text": "on.", "start": 0.3, "end": 0.4, "type": "word", "logprob": -0.3},
    ]
    dialogue = Dialogue().ready().say("a").c("(door) Go on.").t("(door) Go on.", words=tokens)
    (answer,) = dialogue.answers
    assert answer.text == "(door) Go on."
    assert answer.words == (Word("Go", 100, 200, 0.905), Word("on.", 300, 400, 0.741))
    assert answer.confidence == round(math.exp(-0.2), 3)


def test_a_confidence_is_unknown_where_no_word_has_one_and_never_above_1() -> None:
    surer = [{"text": "Go", "start": 0.1, "end": 0.2, "logprob": 0.5}]
    dialogue = Dialogue().ready().say("a", "b").c("Go").t("Go", ("Go", 0.1, 0.2))
    dialogue.c("Go").t("Go", words=surer)
    assert [answer.confidence for answer in dialogue.answers] == [None, 1.0]


@pytest.mark.parametrize(
    ("configured", "detects", "detected", "language"),
    [
        ("auto", False, None, (None, None)),
        ("auto", False, "fr", (None, None)),  # it says what it was not asked
        ("auto", True, "fr", ("fr", "detected")),
        ("auto", True, None, (None, None)),
        ("de", False, None, ("de", "configured")),
        ("de", True, "fr", ("fr", "detected")),
        ("de", True, None, ("de", "configured")),
    ],
)
def test_the_language_is_what_was_detected_or_else_what_was_configured(
    configured: str, detects: bool, detected: str | None, language: tuple[str | None, str | None]
) -> None:
    options = {"include_language_detection": detects}
    dialogue = Dialogue(language=configured, elevenlabs=options).ready().say("a").c("Oui.")
    (answer,) = dialogue.t("Oui.", language_code=detected).answers
    assert (answer.language, answer.language_source) == language


# Commits that nobody asked for


def test_a_commit_of_the_services_own_is_a_part_of_the_utterance_that_is_being_spoken() -> None:
    dialogue = Dialogue().ready().begin("a").audio(bytes(pcm_bytes(1000)))
    dialogue.c("Turn").t("Turn", ("Turn", 0.1, 0.5))
    assert dialogue.texts == []
    dialogue.audio(bytes(pcm_bytes(1000))).end().c("left.").t("left.", ("left.", 1.1, 1.5))
    assert dialogue.texts == [("a", "Turn left.")]
    assert dialogue.answers[0].words == (Word("Turn", 100, 500), Word("left.", 1100, 1500))


def test_a_part_without_timestamps_does_not_hold_up_the_answer() -> None:
    dialogue = Dialogue().ready().begin("a").audio(bytes(pcm_bytes(1000))).c("Turn").wait(3)
    dialogue.end().c("left.").wait(0.02)
    assert dialogue.texts == []
    assert dialogue.wait(0.03).texts == [("a", "Turn left.")]


def test_empty_parts_leave_no_gap_in_the_text() -> None:
    dialogue = Dialogue().ready().begin("a").c("").t("").c("Turn").t("Turn").end().c("").t("")
    assert dialogue.texts == [("a", "Turn")]


def test_partials_after_such_a_part_repeat_it() -> None:
    dialogue = Dialogue().ready().begin("a").partial("Turn").c("Turn").t("Turn").partial("lef")
    assert dialogue.partials == [("a", "Turn"), ("a", "Turn lef")]


# Partials


def test_a_partial_replaces_the_one_before_and_a_repeated_one_is_dropped() -> None:
    dialogue = Dialogue().ready().begin("a")
    for text in ("I am tal", "I am tal", "I am talking", "", "I am talking"):
        dialogue.partial(text)
    assert dialogue.partials == [("a", "I am tal"), ("a", "I am talking")]
    assert len(dialogue.partial("I am  talking ").partials) == 2


@pytest.mark.parametrize("kind", ["final_transcript", "final_transcript_with_timestamps"])
def test_a_final_transcript_is_a_partial_too(kind: str) -> None:
    dialogue = Dialogue().ready().say("a").hear(kind, text="I am talking.", words=[])
    assert dialogue.partials == [("a", "I am talking.")]
    assert dialogue.texts == []


def test_the_echo_of_a_committed_text_is_dropped_and_the_next_word_is_not() -> None:
    dialogue = Dialogue().ready().say("a").begin("b").c("Hello.").partial("Hello.").t("Hello.")
    assert dialogue.partial("Hello.").partials == []
    assert dialogue.partial("Stop").partials == [("b", "Stop")]
    assert dialogue.end().c("Stop.").t("Stop.").begin("c").partial("Stop").partials[1:] == [
        ("c", "Stop")
    ]


def test_a_partial_belongs_to_the_oldest_utterance_without_an_answer() -> None:
    dialogue = Dialogue().ready().say("a", "b").begin("c").partial("one")
    dialogue.c("One.").partial("two").t("One.").c("Two.").t("Two.").partial("three")
    assert dialogue.partials == [("a", "one"), ("b", "two"), ("c", "three")]


def test_a_partial_of_nothing_is_dropped() -> None:
    assert Dialogue().ready().partial("hm").partials == []


# Failures


@pytest.mark.parametrize(
    ("kind", "remedy", "alert", "blames"),
    [
        ("auth_error", Remedy.REFUSED, "auth_failed", False),
        ("unaccepted_terms", Remedy.REFUSED, "auth_failed", False),
        ("quota_exceeded", Remedy.REFUSED, "quota", False),
        ("invalid_request", Remedy.REFUSED, "backend_down", False),
        ("input_error", Remedy.BACK_OFF, None, True),
        ("chunk_size_exceeded", Remedy.BACK_OFF, None, True),
        ("commit_throttled", Remedy.BACK_OFF, None, True),
        ("transcriber_error", Remedy.BACK_OFF, None, True),
        ("error", Remedy.BACK_OFF, None, False),
        ("queue_overflow", Remedy.BACK_OFF, None, False),
        ("resource_exhausted", Remedy.COOL_DOWN, None, False),
        ("rate_limited", Remedy.COOL_DOWN, None, False),
        ("session_time_limit_exceeded", Remedy.RECONNECT, None, False),
        ("insufficient_audio_activity", Remedy.RECONNECT, None, False),
    ],
)
def test_each_error_ends_the_session_with_its_remedy(
    kind: str, remedy: Remedy, alert: str | None, blames: bool
) -> None:
    dialogue = Dialogue().ready().say("a", "b", "c").c("One.").t("One.").hear(kind, error="No.")
    # Without a close: the session is over all the same.
    blamed = UtteranceId("b") if blames else None
    overloaded = kind == "queue_overflow"
    assert dialogue.failed == Failed(remedy, f"{kind}: No.", blamed, alert, overloaded=overloaded)


def test_an_utterance_that_has_its_text_is_not_to_blame() -> None:
    dialogue = Dialogue().ready().say("a", "b").c("One.").hear("input_error", error="No.")
    assert dialogue.failed.blamed == "b"


def test_an_error_before_the_session_began_blames_nobody() -> None:
    assert Dialogue().hear("input_error", error="No.").failed.blamed is None


@pytest.mark.parametrize("error", [None, 5, {"code": 1}, ["No."]])
def test_an_error_counts_however_it_says_why(error: object) -> None:
    failed = Dialogue().ready().hear("auth_error", error=error).failed
    assert (failed.remedy, failed.alert) == (Remedy.REFUSED, "auth_failed")


@pytest.mark.parametrize(
    ("code", "remedy", "alert"),
    [
        (1000, Remedy.BACK_OFF, None),
        (1011, Remedy.BACK_OFF, None),
        (None, Remedy.BACK_OFF, None),
        (1008, Remedy.REFUSED, "backend_down"),
    ],
)
def test_a_close_while_an_answer_is_owed_is_a_failure(
    code: int | None, remedy: Remedy, alert: str | None
) -> None:
    dialogue = Dialogue().ready().say("a")
    dialogue.session.receive_close(code, "bye")
    failed = dialogue.depart().failed
    assert (failed.remedy, failed.alert) == (remedy, alert)
    assert failed.reason == f"closed by the service ({code or 'without a code'}) bye"


@pytest.mark.parametrize("code", [1000, 1011, None])
def test_a_close_of_an_idle_session_is_its_ordinary_end(code: int | None) -> None:
    dialogue = Dialogue().ready().say("a").c("One.").t("One.")
    dialogue.session.receive_close(code, "")
    assert dialogue.depart().failed.remedy is Remedy.RECONNECT


def test_a_close_before_the_session_began_is_a_failure() -> None:
    dialogue = Dialogue()
    dialogue.session.receive_close(1000, "")
    assert dialogue.depart().failed.remedy is Remedy.BACK_OFF


def test_the_error_counts_and_not_the_close_that_follows_it() -> None:
    dialogue = Dialogue().hear("auth_error", error="No.")
    dialogue.session.receive_close(1000, "")
    assert dialogue.depart().failed.alert == "auth_failed"


@pytest.mark.parametrize(
    ("status", "retry_after_s", "remedy", "alert"),
    [
        (401, None, Remedy.REFUSED, "auth_failed"),
        (403, None, Remedy.REFUSED, "auth_failed"),
        (402, None, Remedy.REFUSED, "quota"),
        (400, None, Remedy.REFUSED, "backend_down"),
        (404, None, Remedy.REFUSED, "backend_down"),
        (200, None, Remedy.REFUSED, "backend_down"),
        (429, None, Remedy.COOL_DOWN, None),
        (429, 7.0, Remedy.COOL_DOWN, None),
        (503, 7.0, Remedy.COOL_DOWN, None),
        (503, None, Remedy.BACK_OFF, None),
        (500, None, Remedy.BACK_OFF, None),
    ],
)
def test_each_http_status_has_its_remedy(
    status: int, retry_after_s: float | None, remedy: Remedy, alert: str | None
) -> None:
    dialogue = Dialogue()
    dialogue.session.refused(status, "because", retry_after_s)
    said = f"HTTP {status} because"
    if status in (200, 404):
        said = f"HTTP {status} (because): no speech service answers there; correct provider.url"
    assert dialogue.depart().failed == Failed(remedy, said, None, alert, retry_after_s)


def test_a_page_is_not_repeated() -> None:
    dialogue = Dialogue()
    dialogue.session.refused(503, "<html>Bad gateway</html>", None)
    failed = dialogue.depart().failed
    assert failed is not None
    assert failed.reason == "HTTP 503"


def test_an_answer_is_owed_from_when_the_commit_left_the_machine() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().begin("a").end().wait(60)
    assert not dialogue.is_over  # on a slow link a commit may be under way for long
    assert not dialogue.depart().wait(3.99).is_over
    assert dialogue.wait(0.01).failed == Failed(
        Remedy.RECONNECT, "a commit was not answered within 4 s"
    )


def test_no_answer_is_owed_for_an_utterance_that_is_still_spoken() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a").begin("b").depart()
    dialogue.c("One.").t("One.").wait(20).end().wait(20)
    assert not dialogue.is_over
    assert dialogue.depart().wait(4).is_over


def test_each_answer_gives_the_next_commit_its_full_time() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a", "b", "c", "d")
    for text in ("One.", "Two.", "Three."):  # 11.7 s for what left at once
        assert not dialogue.wait(3.9).is_over
        dialogue.c(text).t(text)
    assert not dialogue.wait(3.99).is_over
    assert dialogue.wait(0.01).failed.remedy is Remedy.RECONNECT
    assert [each for each, _ in dialogue.texts] == ["a", "b", "c"]


def test_an_early_answer_takes_no_time_from_a_commit_that_left_later() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a").begin("b").c("One.").t("One.")
    dialogue.end().wait(3).depart()
    assert not dialogue.wait(3.99).is_over
    assert dialogue.wait(0.01).failed.remedy is Remedy.RECONNECT


def test_no_answer_is_owed_for_a_commit_that_waits_behind_another() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a")
    dialogue.begin("b").end().wait(3).c("One.").t("One.").wait(60)  # it has not left
    assert not dialogue.is_over
    assert dialogue.depart().wait(4).failed.remedy is Remedy.RECONNECT


def test_the_first_without_an_answer_is_not_blamed() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a", "b", "c").c("One.").t("One.")
    failed = dialogue.wait(4).failed
    assert failed.blamed is None


def test_only_half_an_answer_is_an_answer_in_time() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a", "b").wait(3.99).c("One.")
    assert dialogue.wait(3.99).texts == [("a", "One.")]
    assert dialogue.wait(0.01).failed.remedy is Remedy.RECONNECT


def test_what_departed_is_counted_from_the_first_time_and_strangers_do_not_count() -> None:
    dialogue = Dialogue(answer_timeout_s=4).ready().say("a").wait(3)
    dialogue.session.departed(UtteranceId("a"), dialogue.now)
    dialogue.session.departed(UtteranceId("x"), dialogue.now)
    assert dialogue.wait(1).is_over


def test_after_a_failure_nothing_more_is_said() -> None:
    dialogue = Dialogue().ready().say("a").c("One.").hear("error", error="No.")
    events = list(dialogue.events)
    dialogue.t("One.").c("Two.").partial("x").hear("error", error="No.").ready().hear_raw("{")
    dialogue.session.receive_close(1008, "")
    dialogue.session.refused(401, "", None)
    assert dialogue.session.timer() is None
    assert dialogue.wait(100).depart().events == events


# What it cannot understand


@pytest.mark.parametrize(
    "message",
    [
        '{"message_type":"brand_new","text":["not","a","string"],"words":7}',
        '{"message_type":"diarized_transcript","segment_index":0,"text":"Hm.","words":[]}',
        '{"message_type":"speakers_merged","from_speaker_id":7,"to_speaker_id":{}}',
        '{"no_type":1}',
        "{}",
        b'{"message_type":"warning"}',
    ],
)
def test_messages_of_other_kinds_change_nothing(message: str | bytes) -> None:
    dialogue = Dialogue().ready().say("a").hear_raw(message)
    assert dialogue.events == [Ready("abc")]
    assert dialogue.c("One.").t("One.").texts == [("a", "One.")]


def test_unknown_fields_of_known_messages_change_nothing() -> None:
    word = {"text": "One.", "start": 0.1, "end": 0.2, "characters": ["O"], "speaker_id": None}
    dialogue = Dialogue().ready().say("a").hear("committed_transcript", text="One.", x=[{}])
    assert dialogue.t("One.", words=[word], segment_index=3).texts == [("a", "One.")]


@pytest.mark.parametrize(
    "message",
    [
        "this is not JSON",
        "",
        b"\xff\xfe",
        "[]",
        '"committed_transcript"',
        '{"message_type":7}',
        '{"message_type":"committed_transcript","text":7}',
        '{"message_type":"committed_transcript_with_timestamps","text":"x","words":[1]}',
        '{"message_type":"partial_transcript","text":"\\ud800"}',
        '{"message_type":"session_started","session_id":{}}',
        pytest.param(
            '{"x":' + "[" * 100_000 + "]" * 100_000 + "}",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 14), reason="3.14 has room for that, and reads it"
            ),
        ),
    ],
    ids=range(11),
)
def test_a_message_that_may_have_been_an_answer_and_cannot_be_read_ends_the_session(
    message: str | bytes,
) -> None:
    failed = Dialogue().ready().say("a").hear_raw(message).failed
    assert (failed.remedy, failed.blamed, failed.alert) == (Remedy.BACK_OFF, None, None)
    assert failed.reason.startswith("a message that cannot be read: ")


@pytest.mark.parametrize("kind", ["partial_transcript", "committed_transcript"])
def test_a_text_that_nobody_can_have_said_ends_the_session(kind: str) -> None:
    dialogue = Dialogue().ready().say("a").hear(kind, text="x" * 20_000)
    assert not dialogue.is_over
    failed = Dialogue().ready().say("a").hear(kind, text="x" * 20_001).failed
    assert failed == Failed(Remedy.BACK_OFF, "a text of 20001 characters", UtteranceId("a"))


def test_words_that_nobody_can_have_said_end_the_session() -> None:
    dialogue = Dialogue().ready().say("a").t("x", *[("\u0301\u0323" * 1000, 0.0, 0.1)] * 11)
    assert dialogue.failed.reason == "a text of 22001 characters"


def test_more_words_than_anybody_can_have_said_end_the_session_however_short() -> None:
    dialogue = Dialogue().ready().say("a").t("x", words=[{}] * 1001)
    assert dialogue.failed == Failed(Remedy.BACK_OFF, "a text of 1001 words", UtteranceId("a"))


def test_a_letter_with_more_marks_than_any_language_has_ends_the_session() -> None:
    dialogue = Dialogue().ready().say("a").partial("a" + "\u0301\u0323" * 15)
    assert dialogue.partials == [("a", "a" + "\u0301\u0323" * 15)]
    reason = "a letter with more than 30 marks"
    assert dialogue.c("a" + "\u0301" * 31).failed == Failed(
        Remedy.BACK_OFF, reason, UtteranceId("a")
    )
    words = Dialogue().ready().say("a").t("x", ("a" + "\u0301" * 31, 0.0, 0.1))
    assert words.failed.reason == reason


def test_a_message_that_is_too_long_is_not_looked_into_but_for_its_kind() -> None:
    def long(kind: str) -> Dialogue:
        return Dialogue().ready().say("a").hear(kind, text="x", padding="x" * (1 << 18))

    assert long("committed_transcript").failed.blamed == "a"
    assert re.fullmatch(r"a message of \d+ characters", long("committed_transcript").failed.reason)
    assert long("auth_error").failed.alert == "auth_failed"
    assert long("brand_new").c("One.").t("One.").texts == [("a", "One.")]


def test_answers_without_end_end_the_session() -> None:
    dialogue = Dialogue().ready().begin("a")
    for n in range(9):
        assert not dialogue.is_over
        dialogue.c(str(n))
    assert dialogue.failed.reason == "more answers than commits"


# The key


@pytest.mark.parametrize("secret", [KEY, ESCAPED_KEY])
def test_no_event_tells_the_key_whatever_a_peer_sends(secret: str) -> None:
    refused, closed = Dialogue(), Dialogue()
    refused.session.refused(401, f"invalid key {secret}", None)
    closed.session.receive_close(1008, f"no {secret}")
    heard = Dialogue().hear("session_started", session_id=secret).hear("error", error=secret * 90)
    unread = Dialogue().hear_raw(json.dumps({"message_type": secret, "text": 1}))
    for dialogue in (refused.depart(), closed.depart(), heard, unread):
        assert secret not in repr(dialogue.events)
    assert refused.failed.reason == "HTTP 401 invalid key ***"


def test_a_reason_is_one_short_printable_line() -> None:
    reason = Dialogue().hear("error", error="a\nb\x1b[31m\u2028\0c" + " x" * 1000).failed.reason
    assert reason.startswith("error: a b [31m c x x")
    assert reason.isprintable()
    assert len(reason) <= 200


def test_without_a_key_a_reason_is_what_it_is() -> None:
    assert Dialogue(key="").hear("error", error="No.").failed.reason == "error: No."


# Whatever the service says

TEXTS = ["", "Go.", "Stop.", "stop", KEY, ESCAPED_KEY]
texts = st.sampled_from(TEXTS)
numbers = st.one_of(st.integers(-5, 50), st.floats(allow_nan=False), st.floats(0, 60))
tokens = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "start": st.none() | numbers,
        "end": st.none() | numbers,
        "logprob": st.none() | numbers,
        "type": st.sampled_from(["word", "spacing", "audio_event", "new"]),
    },
)
words = st.none() | st.lists(tokens, max_size=3)
talk = st.one_of(
    st.fixed_dictionaries({"message_type": st.just("committed_transcript"), "text": texts}),
    st.fixed_dictionaries(
        {
            "message_type": st.just("committed_transcript_with_timestamps"),
            "text": texts,
            "words": words,
            "language_code": st.none() | st.just("en"),
        }
    ),
    st.fixed_dictionaries({"message_type": st.just("partial_transcript"), "text": texts}),
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(texts, x),
)
kinds = st.one_of(
    st.sampled_from(["session_started", "partial_transcript", "final_transcript"]),
    st.sampled_from(["committed_transcript", "committed_transcript_with_timestamps"]),
    st.sampled_from(["auth_error", "error", "warning", "brand_new"]),
)
odd = st.fixed_dictionaries(
    {"message_type": kinds},
    optional={
        "text": anything,
        "error": anything,
        "words": anything,
        "session_id": anything,
        "language_code": anything,
    },
)
garbage = st.one_of(st.text(), st.binary(), anything.map(json.dumps))

Step = tuple[str, Any]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), talk.map(json.dumps)),
        st.tuples(st.just("hear"), talk.map(json.dumps)),
        st.tuples(st.just("utter"), st.integers(0, 1200)),
        st.tuples(st.just("utter"), st.integers(0, 1200)),
        st.tuples(st.just("audio"), st.integers(0, 1200)),
        st.tuples(st.just("depart"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.05, 1.0, 4.0, 10.0, 61.0])),
    ),
    max_size=25,
)
worse = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), odd.map(json.dumps)),
        st.tuples(st.just("hear"), garbage),
        st.tuples(st.just("close"), st.none() | st.integers(1000, 4999)),
    ),
    max_size=4,
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "language": st.sampled_from(["auto", "de"]),
        "answer_timeout_s": st.sampled_from([1.0, 4.0, 60.0]),
        "elevenlabs": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ["include_timestamps", "include_language_detection"], st.booleans()
            ),
        ),
    },
)


class Play:
    """A script played to a session as the uplink would, and what it must never do."""

    def __init__(self, **settings: Any) -> None:
        self.dialogue = Dialogue(**settings)
        self.ended: list[str] = []
        self._ids = itertools.count()
        self._open: str | None = None

    def __call__(self, script: list[Step]) -> Play:
        for word, value in script:
            getattr(self, word)(value)
            self._check()
        return self

    def hear(self, message: str | bytes) -> None:
        self.dialogue.hear_raw(message)

    def close(self, code: int | None) -> None:
        self.dialogue.session.receive_close(code, KEY)
        self.dialogue.depart()

    def audio(self, duration_ms: int) -> None:
        if self._open is None:
            self._open = f"u{next(self._ids)}"
            self.dialogue.begin(self._open)
        self.dialogue.audio(bytes(pcm_bytes(duration_ms)))

    def utter(self, duration_ms: int) -> None:
        self.audio(duration_ms)
        self.dialogue.end()
        self.ended += [self._open] if self._open else []
        self._open = None

    def depart(self, _: None) -> None:
        self.dialogue.depart()

    def wait(self, duration_s: float) -> None:
        self.dialogue.wait(duration_s)

    def _check(self) -> None:
        dialogue = self.dialogue.serve()
        failed = [isinstance(event, Failed) for event in dialogue.events]
        assert not any(failed[:-1]), "something was said after the end"
        answered = [each for each, _ in dialogue.texts]
        assert answered == self.ended[: len(answered)], "out of order, twice, or too early"
        assert KEY not in repr(dialogue.events)
        assert ESCAPED_KEY not in repr(dialogue.events)


@given(settings, steps)
def test_whatever_it_says_in_its_own_words_answers_keep_their_order(
    options: dict[str, Any], script: list[Step]
) -> None:
    Play(**options)([("hear", json.dumps({"message_type": "session_started"})), *script])


@given(settings, steps, worse, steps)
@example({}, [], [("hear", '{"message_type":"session_started","session_id":"' + KEY + '"}')], [])
def test_whatever_else_it_says_the_session_goes_on_or_fails_once(
    options: dict[str, Any], before: list[Step], worse: list[Step], after: list[Step]
) -> None:
    Play(**options)([("hear", json.dumps({"message_type": "session_started"})), *before])(worse)(
        after
    )


@given(steps, worse)
def test_whatever_it_says_before_it_is_ready_no_answer_comes_of_it(
    script: list[Step], worse: list[Step]
) -> None:
    Play()(script)(worse)


@given(settings, st.lists(texts, min_size=1, max_size=6), st.data())
def test_a_service_at_its_best_is_understood_whatever_the_order_of_c_and_t(
    options: dict[str, Any], said: list[str], data: st.DataObject
) -> None:
    dialogue = Dialogue(**options).ready()
    ids = [f"u{n}" for n in range(len(said))]
    dialogue.say(*ids)
    for text in said:
        order = data.draw(st.sampled_from(["ct", "tc", "c"]))
        for half in order:
            dialogue.c(text) if half == "c" else dialogue.t(text)
        dialogue.wait(0.05)
    assert dialogue.texts == list(zip(ids, said, strict=True))


anything_at_all = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), talk.map(json.dumps)),
        st.tuples(st.just("hear"), odd.map(json.dumps)),
        st.tuples(st.just("hear"), st.binary(max_size=40)),
        st.tuples(st.just("utter"), st.integers(0, 1200)),
        st.tuples(st.just("depart"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.05, 4.0])),
    ),
    max_size=12,
)


@pytest.mark.timeout(600)
@hypothesis.settings(max_examples=2000, deadline=None)
@given(anything_at_all)
def test_two_thousand_services_that_talk_nonsense_do_no_harm(script: list[Step]) -> None:
    Play()([("hear", '{"message_type":"session_started"}'), *script])


TYPED = '{"message_type":"committed_transcript_with_timestamps","text":"x",'
LONGEST: dict[str, tuple[str, str, str]] = {
    "words of nothing": (TYPED + '"words":[{}', ",{}", "]}"),
    "words of a letter": (TYPED + '"words":[{}', ',{"text":"x"}', "]}"),
    "a number": (TYPED + '"words":[{"start":1', "7", "}]}"),
    "a fraction": (TYPED + '"words":[{"start":0.', "7", "}]}"),
    "a text": ('{"message_type":"partial_transcript","text":"', "x ", '"}'),
    "marks": ('{"message_type":"partial_transcript","text":"', "\u0301\u0323", '"}'),
    "escaped marks": ('{"message_type":"partial_transcript","text":"', r"\u0301\u0323", '"}'),
    "an error": ('{"message_type":"error","error":"', "é\u2028 ", '"}'),
    "a session": ('{"message_type":"session_started","session_id":"', "é\u2028 ", '"}'),
    "a kind": ('{"message_type":"', "x", '"}'),
    "a kind of many keys": ('{"message_type":"x"', ',"a":1', "}"),
    "a hole": ('{"x":', "[", ""),
    "no JSON": ("", "x", ""),
}


@pytest.mark.parametrize(("before", "unit", "after"), LONGEST.values(), ids=LONGEST)
@pytest.mark.parametrize("size", [18_000, 1 << 18, 1 << 20])
def test_the_longest_messages_cost_little_time_and_leave_nothing_behind(
    before: str, unit: str, after: str, size: int
) -> None:
    units = (size - len(before) - len(after)) // len(unit.encode())
    longest = (before + unit * units + after).encode()
    dialogue = Dialogue().ready().say("a")
    tracemalloc.start()
    try:
        dialogue.hear_raw(longest.decode())
        dialogue.events.clear()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 1 << 20
    assert peak < 16 << 20


FLOODS: dict[str, dict[str, Any]] = {
    "committed_transcript": {},
    "committed_transcript_with_timestamps": {"words": [{"text": "x"}] * 500},
    "partial_transcript": {},
}


@pytest.mark.parametrize(("kind", "fields"), FLOODS.items(), ids=FLOODS)
@pytest.mark.parametrize("spoken", [True, False], ids=["asked", "unasked"])
def test_a_service_that_never_stops_talking_fills_no_memory(
    kind: str, fields: dict[str, Any], spoken: bool
) -> None:
    dialogue = Dialogue().ready()
    tracemalloc.start()
    try:
        for n in range(500):
            if spoken and n % 5 == 0:
                dialogue.begin(f"u{n}").end()
            dialogue.hear(kind, text=f"{n:03} " * 4500, **fields).wait(0.001)
            dialogue.events.clear()
            dialogue.sent.clear()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dialogue.session.timer() is not None, "it failed long before"
    assert left < 2 << 20
