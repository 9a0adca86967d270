"""One connection, message by message, against a clock that is set by hand."""

from __future__ import annotations

import hashlib
import itertools
import json

import pytest

from scribed.simulate.dialects import AskAnswer, Timing
from scribed.simulate.dialects.elevenlabs import CHUNK_LIMIT_S, Session
from scribed.simulate.recognizers import Answer
from tests.simulate.dialogue import Dialogue, chunk

NO_WARM_UP = Timing(warmup_s=0.0)
NO_PARTIALS = Timing(partial_every_s=0.0)


# Commits


def test_a_commit_is_answered_after_the_time_that_the_service_takes() -> None:
    dialogue = Dialogue(timing=Timing(answer_s=0.4))
    dialogue.speak(1.0, commit=True)
    dialogue.wait(0.399)
    assert dialogue.frames("committed_transcript") == []
    dialogue.wait(0.002)
    assert dialogue.frames("committed_transcript") == [
        {"message_type": "committed_transcript", "text": "go forward ten meters"}
    ]


def test_a_commit_may_ride_on_the_last_audio() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(0.2), chunk(0.1, commit=True))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["go forward ten meters"]
    assert dialogue.records[0].duration_s == pytest.approx(0.3)


def test_commits_in_flight_are_answered_one_each_and_in_order() -> None:
    dialogue = Dialogue(answers=("one", "two", "three"), timing=NO_PARTIALS)
    for _ in range(3):
        dialogue.send(chunk(0.3, commit=True))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["one", "two", "three"]


def test_a_recogniser_that_is_slower_than_the_answer_time_delays_the_answer_and_no_more() -> None:
    session = Session("", "", admitted=True, session_id="0" * 32, timing=Timing(), now=0.0)
    session.outputs(0.0)
    session.receive(chunk(1.0, commit=True), 0.0)
    assert session.work()[-1] == AskAnswer()
    assert session.outputs(5.0) == []
    session.heard_answer(Answer("late"), 5.0)
    (frame,) = session.outputs(5.0)
    assert json.loads(str(frame))["text"] == "late"


def test_silence_is_answered_with_an_empty_text_and_no_echo() -> None:
    dialogue = Dialogue(answers=("",))
    dialogue.speak(3.0, commit=True)
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == [""]
    assert dialogue.frames("partial_transcript") == []


@pytest.mark.parametrize(("seconds", "said"), [(0.0, "0.00s"), (0.2, "0.20s"), (0.29, "0.29s")])
def test_a_commit_of_less_than_300_ms_ends_the_session(seconds: float, said: str) -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(seconds, commit=True))
    assert dialogue.frames()[-1] == {
        "message_type": "commit_throttled",
        "error": f"Commit request ignored: only {said} of uncommitted audio. You need at least "
        "0.3s of uncommitted audio before committing.",
    }
    assert dialogue.end == (1000, "commit_throttled")


def test_a_double_commit_ends_the_session_before_the_first_is_answered() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(1.0, commit=True), chunk(commit=True))
    dialogue.wait(1)
    assert dialogue.kinds() == ["session_started", "commit_throttled"]
    assert dialogue.end == (1000, "commit_throttled")


def test_the_service_commits_by_itself_at_36_s_of_audio_and_starts_counting_again() -> None:
    dialogue = Dialogue(answers=("its own", "asked for"), timing=NO_PARTIALS)
    for _ in range(36):
        dialogue.send(chunk(1.0))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["its own"]
    dialogue.send(chunk(0.5, commit=True))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["its own", "asked for"]
    taken = [record for record in dialogue.records if record.answered_at is None]
    assert [(record.asked, record.duration_s) for record in taken] == [(False, 36.0), (True, 0.5)]


def test_a_commit_right_after_the_services_own_is_throttled() -> None:
    dialogue = Dialogue(timing=NO_PARTIALS)
    for _ in range(36):
        dialogue.send(chunk(1.0))
    dialogue.send(chunk(commit=True))
    assert dialogue.end == (1000, "commit_throttled")


def test_a_commit_tells_the_audio_that_it_covered() -> None:
    dialogue = Dialogue(keep_audio=True)
    dialogue.send(chunk(1.0, commit=True), chunk(0.5), chunk(0.25, commit=True))
    first, second = dialogue.records
    assert first.pcm == bytes(32_000)
    assert (second.number, second.start_s, second.duration_s) == (2, 1.0, 0.75)
    assert second.pcm == bytes(24_000)
    assert second.sha256 == hashlib.sha256(bytes(24_000)).hexdigest()
    assert dialogue.session.audio_bytes == 56_000


# What follows a commit


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", ["committed_transcript"]),
        (
            "include_timestamps=true",
            ["committed_transcript", "committed_transcript_with_timestamps"],
        ),
        (
            "include_language_detection=true",
            ["committed_transcript_with_timestamps", "committed_transcript"],
        ),
        (
            "include_timestamps=true&include_language_detection=true",
            ["committed_transcript", "committed_transcript_with_timestamps"],
        ),
        (
            "entity_detection=all&entity_redaction=all",
            ["committed_transcript", "committed_transcript_entities", "redacted_transcript"],
        ),
        ("transcript_edit=polish", ["committed_transcript", "edited_transcript"]),
    ],
)
def test_the_frames_of_a_commit_come_in_the_services_order(query: str, kinds: list[str]) -> None:
    dialogue = Dialogue(query, timing=NO_PARTIALS)
    dialogue.send(chunk(1.0, commit=True))
    dialogue.wait(1)
    assert dialogue.kinds()[1:] == kinds
    assert {frame["text"] for frame in dialogue.frames()[1:]} == {"go forward ten meters"}


def test_the_frame_with_timestamps_follows_by_14_ms_and_before_the_next_commit() -> None:
    dialogue = Dialogue("include_timestamps=true", answers=("one", "two"), timing=NO_PARTIALS)
    dialogue.send(chunk(0.3, commit=True), chunk(0.3, commit=True))
    dialogue.wait(1)
    assert dialogue.times("committed_transcript") == [0.25, 0.278]
    assert dialogue.times("committed_transcript_with_timestamps") == [0.264, 0.292]


def test_language_is_null_unless_it_was_asked_for_and_so_are_words() -> None:
    def stamped(query: str) -> tuple[object, bool]:
        dialogue = Dialogue(query)
        dialogue.send(chunk(1.0, commit=True))
        dialogue.wait(1)
        (frame,) = dialogue.frames("committed_transcript_with_timestamps")
        return frame["language_code"], frame["words"] is not None

    assert stamped("include_timestamps=true&language_code=de") == (None, True)
    assert stamped("include_language_detection=true&language_code=de") == ("de", False)
    assert stamped("include_language_detection=true") == ("en", False)
    assert stamped("include_language_detection=true&include_timestamps=true") == ("en", True)


def test_words_have_the_shape_of_the_wire_and_join_to_the_text() -> None:
    dialogue = Dialogue("include_timestamps=true", answers=("Okay. Stop",))
    dialogue.send(chunk(1.0, commit=True))
    dialogue.wait(1)
    (frame,) = dialogue.frames("committed_transcript_with_timestamps")
    okay, space, stop = frame["words"]
    assert okay == {
        "text": "Okay.",
        "start": 0.0,
        "end": pytest.approx(0.409),
        "type": "word",
        "speaker_id": None,
        "logprob": -0.05,
        "characters": [
            {"text": letter, "start": pytest.approx(start), "end": pytest.approx(end)}
            for letter, start, end in [
                ("O", 0.0, 0.082),
                ("k", 0.082, 0.164),
                ("a", 0.164, 0.245),
                ("y", 0.245, 0.327),
                (".", 0.327, 0.409),
            ]
        ],
        "channel_index": None,
    }
    assert (space["type"], space["text"]) == ("spacing", " ")
    assert okay["end"] == space["start"] <= space["end"] == stop["start"]
    assert "".join(word["text"] for word in frame["words"]) == frame["text"]


def test_word_times_count_the_audio_sent_on_the_connection_not_the_time_that_passed() -> None:
    dialogue = Dialogue("include_timestamps=true", answers=("stop",), timing=NO_PARTIALS)
    dialogue.send(chunk(2.0, commit=True))
    dialogue.wait(10)
    dialogue.send(chunk(1.0, commit=True))
    dialogue.wait(1)
    starts = [
        frame["words"][0]["start"]
        for frame in dialogue.frames("committed_transcript_with_timestamps")
    ]
    assert starts == [0.0, 2.0]


# Partials


def test_partials_replace_each_other_about_once_a_second_after_the_warm_up() -> None:
    dialogue = Dialogue(answers=("one two three four five six seven eight nine ten eleven",))
    dialogue.speak(4.5)
    texts = dialogue.texts("partial_transcript")
    assert dialogue.times("partial_transcript") == [1.9, 2.9, 3.9]
    assert all(new.startswith(old) for old, new in itertools.pairwise(texts))
    assert texts[-1].split()[0] == "one"


def test_the_same_partial_is_sent_again_and_again_also_while_nothing_arrives() -> None:
    dialogue = Dialogue(timing=NO_WARM_UP, answers=("stop",))
    dialogue.speak(1.2)
    dialogue.wait(5)
    assert set(dialogue.texts("partial_transcript")) == {"stop"}
    times = dialogue.times("partial_transcript")
    assert len(times) >= 5
    assert all(0.9 < later - sooner < 1.2 for sooner, later in itertools.pairwise(times))


def test_faster_than_real_time_the_partials_come_as_fast() -> None:
    dialogue = Dialogue(answers=(" ".join("abcdefghijklmnopqrst"),))
    dialogue.send(*[chunk(1.0)] * 5)
    assert len(dialogue.frames("partial_transcript")) == 4
    assert set(dialogue.times("partial_transcript")) == {0.0}


def test_a_commit_is_followed_by_an_echo_of_its_text() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(1.0, commit=True))
    dialogue.wait(5)
    assert dialogue.kinds() == ["session_started", "committed_transcript", "partial_transcript"]
    assert dialogue.texts("partial_transcript") == dialogue.texts("committed_transcript")
    (committed,), (echo,) = (
        dialogue.times("committed_transcript"),
        dialogue.times("partial_transcript"),
    )
    assert 0.005 <= echo - committed <= 0.05


def test_the_next_segments_partial_waits_for_the_answer_to_the_last() -> None:
    dialogue = Dialogue(answers=("one", "two"), timing=NO_WARM_UP)
    dialogue.send(chunk(0.3, commit=True), chunk(2.0))
    dialogue.wait(0.5)
    assert dialogue.kinds() == [
        "session_started",
        "committed_transcript",
        "partial_transcript",
        "partial_transcript",
    ]
    assert sorted(dialogue.texts("partial_transcript")) == ["one", "two"]


def test_a_partial_that_was_overtaken_by_its_commit_is_not_sent() -> None:
    session = Session("", "", admitted=True, session_id="0" * 32, timing=NO_WARM_UP, now=0.0)
    session.outputs(0.0)
    session.receive(chunk(1.0), 0.0)
    session.receive(chunk(commit=True), 0.0)
    session.heard_partial(0, "too late")
    assert session.outputs(1.0) == []


def test_partials_can_be_switched_off() -> None:
    dialogue = Dialogue(timing=NO_PARTIALS)
    dialogue.speak(5.0, commit=True)
    dialogue.wait(2)
    assert dialogue.kinds() == ["session_started", "committed_transcript"]


def test_keepalive_interval_brings_empty_partials_while_audio_flows_and_only_then() -> None:
    dialogue = Dialogue("keepalive_interval_ms=500", answers=("",))
    dialogue.speak(2.0)
    assert dialogue.times("partial_transcript") == [0.6, 1.2, 1.8], "with the next chunk"
    dialogue.wait(5)
    assert dialogue.texts("partial_transcript") == ["", "", ""]


def test_a_region_tag_makes_a_session_that_is_never_transcribed() -> None:
    dialogue = Dialogue("language_code=en-US")
    dialogue.speak(3.0, commit=True)
    dialogue.wait(5)
    assert dialogue.kinds() == ["session_started"]


# Ends


def test_a_refused_credential_gets_a_frame_and_an_ordinary_close() -> None:
    dialogue = Dialogue(admitted=False)
    assert dialogue.frames() == [
        {
            "message_type": "auth_error",
            "error": "You must be authenticated to use this endpoint.",
        }
    ]
    assert dialogue.end == (1000, "")


def test_15_s_without_a_message_end_the_session_without_a_word() -> None:
    dialogue = Dialogue()
    dialogue.wait(14.9)
    assert dialogue.end is None
    dialogue.wait(0.2)
    assert dialogue.kinds() == ["session_started"]
    assert dialogue.end == (1000, "")
    assert dialogue.session.refused is None


def test_an_empty_chunk_keeps_the_session_alive() -> None:
    dialogue = Dialogue()
    for _ in range(4):
        dialogue.wait(10)
        dialogue.send(chunk())
    assert dialogue.end is None
    assert dialogue.session.audio_bytes == 0


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\0\0" * 1600, id="binary frame"),
        pytest.param("not JSON", id="bad JSON"),
        pytest.param("[" * 100_000, id="nested too deep"),
        pytest.param("[]", id="not an object"),
        pytest.param('{"message_type": "commit"}', id="a message type that does not exist"),
        pytest.param('{"message_type": "input_audio_chunk"}', id="no audio"),
        pytest.param(chunk(audio_base_64="AAA"), id="bad base64"),
        pytest.param(chunk(audio_base_64="ÄÄÄÄ"), id="base64 that is not ASCII"),
        pytest.param(chunk(audio_base_64="AAAA"), id="half a sample"),
        pytest.param(chunk().replace("false", "0"), id="commit is not a boolean"),
        pytest.param(chunk(previous_text=7), id="previous_text is not a string"),
    ],
)
def test_a_bad_message_ends_the_session(message: str | bytes) -> None:
    dialogue = Dialogue()
    dialogue.send(message)
    assert dialogue.kinds() == ["session_started", "input_error"]
    assert dialogue.end == (1000, "input_error")


def test_previous_text_belongs_to_the_first_chunk() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(previous_text="I said"), chunk(0.1, previous_text=None))
    assert dialogue.end is None
    dialogue.send(chunk(0.1, previous_text="too late"))
    assert dialogue.kinds()[-1] == "input_error"


def test_sample_rate_in_a_message_is_decoration() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(0.3, commit=True, sample_rate=48_000), chunk(sample_rate="many"))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["go forward ten meters"]


def test_a_chunk_of_more_than_the_limit_ends_the_session() -> None:
    dialogue = Dialogue()
    dialogue.send(chunk(CHUNK_LIMIT_S))
    assert dialogue.end is None
    dialogue.send(chunk(CHUNK_LIMIT_S + 0.01))
    assert dialogue.kinds()[-1] == "chunk_size_exceeded"
    assert dialogue.end == (1000, "chunk_size_exceeded")


def test_what_is_due_is_sent_before_the_error_and_nothing_after_it() -> None:
    dialogue = Dialogue(timing=NO_PARTIALS)
    dialogue.send(chunk(0.3, commit=True))
    dialogue.wait(0.3)
    dialogue.send(chunk(0.3, commit=True), "bad", chunk(0.3, commit=True))
    dialogue.wait(20)
    assert dialogue.kinds() == ["session_started", "committed_transcript", "input_error"]
    assert dialogue.session.timer() is None


def test_a_broken_or_swamped_recogniser_ends_the_session_as_the_service_would() -> None:
    for end, kind in (
        (Session.recognizer_failed, "transcriber_error"),
        (Session.overflow, "queue_overflow"),
    ):
        session = Session("", "", admitted=True, session_id="0" * 32, timing=Timing(), now=0.0)
        end(session)
        *_, error, close = session.outputs(0.0)
        assert json.loads(str(error))["message_type"] == kind
        assert close == (1000, kind)
