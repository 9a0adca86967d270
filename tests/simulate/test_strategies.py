"""Sessions in which the service commits by itself: vad, turn_prediction, and the length limit."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from scribed.simulate.dialects import Close, Timing
from tests.simulate.dialogue import Dialogue, chunk, chunk_of
from tests.simulate.sockets import voice

QUIET = Timing(partial_every_s=0.0)
spoken = functools.lru_cache(voice)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(16_000 * seconds))


def taken(dialogue: Dialogue) -> list[tuple[bool, Any]]:
    """Whether a client asked for each commit, and how many seconds of audio it had."""
    return [
        (record.asked, record.duration_s)
        for record in dialogue.records
        if record.answered_at is None
    ]


def test_vad_commits_after_silence_without_being_asked() -> None:
    dialogue = Dialogue("commit_strategy=vad", answers=("one", "two"), timing=QUIET)
    dialogue.speak_of(silence(0.5) + spoken(1.0) + silence(2.0) + spoken(1.0) + silence(2.0))
    assert dialogue.texts("committed_transcript") == ["one", "two"]
    (first, second) = taken(dialogue)
    assert first == (False, pytest.approx(3.1, abs=0.15)), "0.5 + 1 + 1.5 s and VAD's own lag"
    assert second == (False, pytest.approx(3.0, abs=0.15))


def test_vad_is_told_of_its_thresholds() -> None:
    dialogue = Dialogue(
        "commit_strategy=vad&vad_silence_threshold_secs=0.5&min_speech_duration_ms=500",
        timing=QUIET,
    )
    dialogue.speak_of(spoken(0.3) + silence(1.0) + spoken(1.0) + silence(1.0))
    ((asked, duration_s),) = taken(dialogue)
    assert (asked, duration_s) == (False, pytest.approx(2.9, abs=0.15))


def test_vad_commits_inside_a_chunk_where_the_silence_was_long_enough() -> None:
    dialogue = Dialogue("commit_strategy=vad&vad_silence_threshold_secs=0.5", timing=QUIET)
    dialogue.send(chunk_of(spoken(1.0)), chunk(1.9))
    ((_, duration_s),) = taken(dialogue)
    assert duration_s == pytest.approx(1.6, abs=0.15)
    dialogue.send(chunk(0.1, commit=True))
    dialogue.wait(1.0)
    assert [record.start_s for record in dialogue.records][-1] == duration_s


def test_a_client_may_still_commit_by_itself_in_mid_speech() -> None:
    dialogue = Dialogue("commit_strategy=vad", answers=("one", "two"), timing=QUIET)
    dialogue.speak_of(spoken(1.0))
    dialogue.send(chunk(commit=True))
    dialogue.speak_of(silence(3.0))
    assert dialogue.texts("committed_transcript") == ["one"], "nothing was said after it"
    assert taken(dialogue) == [(True, 1.0)]


def test_a_commit_right_after_vads_own_is_throttled() -> None:
    dialogue = Dialogue("commit_strategy=vad&vad_silence_threshold_secs=0.5", timing=QUIET)
    dialogue.speak_of(spoken(1.0))
    while not taken(dialogue):
        dialogue.send(chunk(0.02))
    dialogue.send(chunk(commit=True))
    assert dialogue.end == Close(1000, "commit_throttled")


def test_a_trailing_segment_stays_open_until_the_silence_has_passed() -> None:
    dialogue = Dialogue("commit_strategy=vad", timing=QUIET)
    dialogue.speak_of(spoken(1.0) + silence(1.0))
    dialogue.wait(10)
    assert dialogue.texts("committed_transcript") == []


def test_turn_prediction_commits_at_a_shorter_pause_if_more_than_a_word_was_said() -> None:
    dialogue = Dialogue("commit_strategy=turn_prediction", answers=("one", "two"), timing=QUIET)
    dialogue.speak_of(spoken(1.0) + silence(0.8) + spoken(0.3) + silence(2.0))
    assert dialogue.texts("committed_transcript") == ["one", "two"]
    assert taken(dialogue)[0] == (False, pytest.approx(1.6, abs=0.15))


@pytest.mark.parametrize("strategy", ["manual", "vad", "turn_prediction"])
def test_36_s_of_audio_are_committed_in_every_strategy(strategy: str) -> None:
    dialogue = Dialogue(f"commit_strategy={strategy}", answers=("its own", "asked"), timing=QUIET)
    for _ in range(36):
        dialogue.send(chunk_of(spoken(1.0)))
    assert taken(dialogue) == [(False, 36.0)]
    dialogue.send(chunk_of(spoken(0.5), commit=True))
    dialogue.wait(1)
    assert dialogue.texts("committed_transcript") == ["its own", "asked"]


def test_vad_hears_every_format() -> None:
    for name, rate in (("pcm_8000", 8_000), ("pcm_48000", 48_000), ("pcm_22050", 22_050)):
        dialogue = Dialogue(
            f"commit_strategy=vad&vad_silence_threshold_secs=0.5&audio_format={name}", timing=QUIET
        )
        pcm = resampled(spoken(1.0), rate) + bytes(2 * rate)
        for start in range(0, len(pcm), rate // 5 * 2):
            dialogue.send(chunk_of(pcm[start : start + rate // 5 * 2]))
        assert len(taken(dialogue)) == 1, name


def resampled(pcm: bytes, rate: int) -> bytes:
    """The nearest sample of 16 kHz audio for each at another rate."""
    count = len(pcm) // 2 * rate // 16_000
    return b"".join(
        pcm[2 * at : 2 * at + 2] for at in (index * 16_000 // rate for index in range(count))
    )


@pytest.mark.parametrize(
    ("query", "echo"),
    [("commit_strategy=vad", True), ("commit_strategy=turn_prediction", True), ("", False)],
)
def test_the_echo_of_the_strategy_is_a_boolean(query: str, echo: bool) -> None:
    (started,) = Dialogue(query).frames()
    assert started["config"]["vad_commit_strategy"] is echo


def test_a_model_that_predicts_turns_does_so_unless_it_is_asked_not_to() -> None:
    live = Dialogue("model_id=scribe_v3_live")
    assert live.session.parameters.commit_strategy == "turn_prediction"
    manual = Dialogue("model_id=scribe_v3_live&commit_strategy=manual")
    assert manual.session.parameters.commit_strategy == "manual"
    assert (live.session.note, manual.session.note) == (None, None)


def test_what_only_a_newer_model_may_have_is_answered_and_noted() -> None:
    session = Dialogue("commit_strategy=turn_prediction&diarize=true").session
    assert "commit_strategy=turn_prediction is answered here" in str(session.note)
    assert "diarize is answered here" in str(session.note)


def test_the_turbo_models_first_partial_comes_sooner() -> None:
    def first(model: str) -> float:
        dialogue = Dialogue(f"model_id={model}", answers=("one two three four",))
        dialogue.speak(3.0)
        return dialogue.times("partial_transcript")[0]

    assert first("scribe_v2_realtime") - first("scribe_v2_realtime_turbo") == pytest.approx(0.8)


def test_a_session_ends_at_its_time_limit() -> None:
    dialogue = Dialogue(timing=Timing(session_s=20.0))
    dialogue.speak(19.9)
    assert dialogue.end is None
    dialogue.wait(0.2)
    assert dialogue.kinds()[-1] == "session_time_limit_exceeded"
    assert dialogue.end == Close(1000, "session_time_limit_exceeded")


@pytest.mark.parametrize(
    ("query", "stamped_first", "kinds"),
    [
        ("include_timestamps=true", True, ["with_timestamps", "transcript"]),
        ("include_language_detection=true", False, ["transcript", "with_timestamps"]),
    ],
)
def test_the_order_of_the_two_frames_can_be_turned_round(
    query: str, stamped_first: bool, kinds: list[str]
) -> None:
    timing = Timing(partial_every_s=0.0, stamped_first=stamped_first)
    dialogue = Dialogue(query, timing=timing)
    dialogue.send(chunk(1.0, commit=True))
    dialogue.wait(1)
    assert [
        kind.removeprefix("committed_").removeprefix("transcript_") for kind in dialogue.kinds()[1:]
    ] == kinds
