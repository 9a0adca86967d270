"""The query string: what the service takes, what it refuses, and what it says of it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.dialects.elevenlabs_query import RATES, QueryError, parse
from tests.simulate.dialogue import Dialogue

WIRE_DEFAULTS = {
    "sample_rate": 16000,
    "audio_format": "pcm_16000",
    "language_code": None,
    "secondary_languages": [],
    "timestamps_granularity": "word",
    "vad_commit_strategy": False,
    "vad_silence_threshold_secs": 1.5,
    "vad_threshold": 0.4,
    "min_speech_duration_ms": 100,
    "min_silence_duration_ms": 100,
    "max_tokens_to_recompute": 5,
    "model_id": "scribe_v2_realtime",
    "disable_logging": False,
    "include_timestamps": False,
    "include_language_detection": False,
    "filter_background_audio": False,
    "keyterms": [],
    "no_verbatim": False,
    "entity_detection": None,
    "keepalive_interval_ms": None,
}


def test_a_session_starts_with_the_defaults_under_the_names_of_the_wire() -> None:
    (started,) = Dialogue("").frames()
    assert started == {
        "message_type": "session_started",
        "session_id": "0123456789abcdef0123456789abcdef",
        "config": WIRE_DEFAULTS,
    }


def test_what_was_asked_for_is_echoed() -> None:
    query = (
        "model_id=scribe_v2_realtime_turbo&audio_format=ulaw_8000&language_code=de"
        "&secondary_languages=en&secondary_languages=fr&keyterms=turn%20left&keyterms=stop"
        "&include_timestamps=true&no_verbatim=true&vad_threshold=0.9&min_speech_duration_ms=50"
        "&keepalive_interval_ms=500&entity_detection=pii"
    )
    assert parse(query).config() == WIRE_DEFAULTS | {
        "model_id": "scribe_v2_realtime_turbo",
        "audio_format": "ulaw_8000",
        "sample_rate": 8000,
        "language_code": "de",
        "secondary_languages": ["en", "fr"],
        "keyterms": ["turn left", "stop"],
        "include_timestamps": True,
        "no_verbatim": True,
        "vad_threshold": 0.9,
        "min_speech_duration_ms": 50,
        "keepalive_interval_ms": 500,
        "entity_detection": ["pii"],
    }


def test_a_name_that_the_service_does_not_know_is_ignored_without_a_word() -> None:
    query = "encoding=pcm_48000&sample_rate=48000&inactivity_timeout=60&audio_format=pcm_8000"
    assert parse(query).rate == 8000


@pytest.mark.parametrize("audio_format", RATES)
def test_every_format_of_the_service_is_taken(audio_format: str) -> None:
    assert parse(f"audio_format={audio_format}").config()["audio_format"] == audio_format


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("model_id=scribe_realtime_v2", "scribe_v2_realtime, scribe_v2_realtime_turbo"),
        ("model_id=", "is not a valid model_id"),
        ("audio_format=pcm_32000", "'pcm_32000' is not a valid audio_format"),
        ("commit_strategy=server_vad", "Supported: manual, vad, turn_prediction"),
        ("vad_silence_threshold_secs=0.29", "must be between 0.3 and 3.0 inclusive"),
        ("vad_silence_threshold_secs=3.01", "must be between 0.3 and 3.0 inclusive"),
        ("vad_threshold=nan", "must be between 0.1 and 0.9 inclusive"),
        ("vad_threshold=high", "must be between 0.1 and 0.9 inclusive"),
        ("min_speech_duration_ms=49", "must be between 50 and 2000 inclusive"),
        ("min_silence_duration_ms=2001", "must be between 50 and 2000 inclusive"),
        ("min_silence_duration_ms=100.5", "must be between 50 and 2000 inclusive"),
        ("keepalive_interval_ms=499", "must be between 500 and 10000 inclusive"),
        ("include_timestamps=True", "include_timestamps must be true or false, not 'True'"),
        ("enable_logging=1", "enable_logging must be true or false"),
        ("keyterms=" + "x" * 21, "Each keyterm must be at most 20 characters."),
        ("&".join(["keyterms=x"] * 51), "At most 50 keyterms"),
        ("entity_redaction_mode=stars", "is not a valid entity_redaction_mode"),
        ("transcript_edit=" + "x" * 2001, "at most 2000 characters"),
        (
            "filter_background_audio=true&include_timestamps=true",
            "filter_background_audio cannot be combined with include_timestamps.",
        ),
        ("transcript_edit=polish&entity_detection=all", "transcript_edit cannot be combined"),
        ("transcript_edit=polish&entity_redaction=pii", "transcript_edit cannot be combined"),
    ],
)
def test_a_query_that_the_service_refuses_gets_a_frame_and_close_1008(
    query: str, said: str
) -> None:
    dialogue = Dialogue(query)
    (refusal,) = dialogue.frames()
    assert refusal["message_type"] == "invalid_request"
    assert said in refusal["error"]
    assert dialogue.end == (1008, "invalid_request")
    assert dialogue.session.refused == "invalid_request"


@pytest.mark.parametrize(
    "query",
    [
        "vad_silence_threshold_secs=0.3&vad_threshold=0.1&min_speech_duration_ms=2000",
        "&".join(["keyterms=" + "x" * 20] * 50),
        "filter_background_audio=true&include_timestamps=false",
        "transcript_edit=" + "x" * 2000,
        "entity_detection=all&entity_redaction=pii&entity_redaction_mode=redacted",
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(query: str) -> None:
    assert Dialogue(query).kinds() == ["session_started"]


def test_zero_retention_is_not_refused_but_warned_about_and_not_applied() -> None:
    started, warning = Dialogue("enable_logging=false").frames()
    assert started["config"]["disable_logging"] is False
    assert warning["message_type"] == "warning"
    assert "not applied" in warning["warning"]


NAMES = st.sampled_from([*parse("").config(), "token", "include_timestamps", "commit_strategy"])


@given(
    st.one_of(
        st.text(),
        st.lists(st.tuples(NAMES, st.text(max_size=30))).map(urlencode),
        st.lists(st.tuples(NAMES, st.floats() | st.integers())).map(urlencode),
    )
)
def test_any_query_is_either_read_or_refused_in_words(query: str) -> None:
    try:
        words = "" if parse(query).config() else "no configuration"
    except QueryError as error:
        words = str(error)
    dialogue = Dialogue(query)
    assert [frame.get("error", "") for frame in dialogue.frames()][:1] == [words]
