"""The vendor's own clients, its Python and JavaScript SDKs, take the simulator for the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scribed.simulate import faults
from scribed.simulate.dialects.elevenlabs_errors import TEXTS
from scribed.simulate.recognizers.pocketsphinx import PocketSphinx
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.javascript_sdk import JavascriptSdk, needed
from tests.simulate.python_sdk import PythonSdk
from tests.simulate.sockets import speech
from tests.simulate.vendor import ERRORS, KEY, TURN, WITHOUT_EVENT, texts

Sdk = PythonSdk | JavascriptSdk
Make = Callable[..., Sdk]

SDKS = [
    pytest.param(PythonSdk, id="python"),
    pytest.param(JavascriptSdk, id="javascript", marks=needed),
]
both = pytest.mark.parametrize("make", SDKS)


def serving(*answers: str, wrong: str = "", answer_s: float = 0.05) -> Server:
    return Server(
        recognizer=Script(list(answers)),
        key=KEY,
        answer_s=answer_s,
        wrong=[faults.parse(wrong)] if wrong else [],
    )


@both
def test_manual_commits_bring_partials_and_both_committed_transcripts(make: Make) -> None:
    with serving("turn left now please", "stop") as server, make(server.url, KEY) as sdk:
        sdk.connect(
            include_timestamps=True,
            keyterms=["turn left", "stop"],
            vad_threshold=0.5,
            no_verbatim=True,
        )
        config = sdk.until("session_started")["config"]
        assert config["keyterms"] == ["turn left", "stop"]
        assert (config["vad_threshold"], config["no_verbatim"]) == (0.5, True)
        sdk.send(bytes(3 * 32_000))
        assert sdk.until("partial_transcript")["text"].startswith("turn left")
        sdk.commit()
        stamped = sdk.until("committed_transcript_with_timestamps")
        sdk.send(bytes(32_000))
        sdk.commit()
        sdk.until("committed_transcript_with_timestamps", 2)
        sdk.close()
        assert texts(sdk.events["committed_transcript"]) == ["turn left now please", "stop"]
        assert "".join(word["text"] for word in stamped["words"]) == "turn left now please"
        assert sdk.events["error"] == []


@both
def test_vad_commits_by_itself(make: Make) -> None:
    with serving("one", "two") as server, make(server.url, KEY) as sdk:
        sdk.connect(
            commit_strategy="vad",
            vad_silence_threshold_secs=0.5,
            min_speech_duration_ms=100,
            min_silence_duration_ms=100,
            include_timestamps=True,
        )
        assert sdk.until("session_started")["config"]["vad_commit_strategy"] is True
        sdk.send(TURN + TURN)
        second = sdk.until("committed_transcript_with_timestamps", 2)
        sdk.close()
        assert texts(sdk.events["committed_transcript"]) == ["one", "two"]
        assert 1.9 < second["words"][0]["start"] < 2.1, "counted from the connection's start"
        assert [commit.asked for commit in server.commits] == [False, False]
        assert sdk.events["error"] == []


@both
def test_a_token_bought_through_the_sdk_opens_one_session(make: Make) -> None:
    with serving("stop") as server, make(server.url, KEY) as sdk:
        token = sdk.mint()
        sdk.connect(token=token)
        sdk.until("session_started")
        sdk.send(bytes(32_000))
        sdk.commit()
        sdk.until("committed_transcript")
        sdk.close()
        sdk.connect(token=token)
        assert sdk.until("auth_error")["error"]
        sdk.until("close", 2)


@both
def test_36_s_of_audio_are_committed_without_being_asked(make: Make) -> None:
    with serving("its own", "asked for") as server, make(server.url, KEY) as sdk:
        sdk.connect()
        sdk.until("session_started")
        sdk.send(bytes(37 * 32_000))
        sdk.until("committed_transcript")
        sdk.commit()
        sdk.until("committed_transcript", 2)
        sdk.close()
        assert texts(sdk.events["committed_transcript"]) == ["its own", "asked for"]
        assert [(c.asked, c.duration_s) for c in server.commits] == [(False, 36.0), (True, 1.0)]


@both
def test_language_entities_and_edits_have_events_of_their_own(make: Make) -> None:
    with serving("gate 12", "gate 12") as server, make(server.url, KEY) as sdk:
        sdk.connect(entity_detection=["number"], include_language_detection=True)
        sdk.until("session_started")
        sdk.send(bytes(32_000))
        sdk.commit()
        (entity,) = sdk.until("committed_transcript_entities")["entities"]
        assert (entity["text"], entity["entity_type"]) == ("12", "number")
        stamped = sdk.until("committed_transcript_with_timestamps")
        assert (stamped["language_code"], stamped["words"]) == ("en", None)
        sdk.close()
        sdk.connect(transcript_edit="punctuate")
        sdk.until("session_started", 2)
        sdk.send(bytes(32_000))
        sdk.commit()
        assert sdk.until("edited_transcript")["edited_text"] == "Gate 12."
        sdk.close()


def test_the_python_sdk_gets_the_redacted_text() -> None:
    with serving("gate 12") as server, PythonSdk(server.url, KEY) as sdk:
        sdk.connect(entity_redaction="all", entity_redaction_mode="entity_type")
        sdk.until("session_started")
        sdk.send(bytes(32_000))
        sdk.commit()
        assert sdk.until("redacted_transcript")["redacted_text"] == "gate {NUMBER}"
        sdk.close()


@both
def test_every_error_reaches_its_own_event_and_the_general_one(make: Make) -> None:
    with serving("stop") as server, make(server.url, KEY) as sdk:
        for number, kind in enumerate(TEXTS, 1):
            sdk.events["error"].clear()
            server.inject(kind, for_s=60)
            sdk.connect()
            sdk.until("close", number)
            server.heal()
            assert sdk.events["error"][0]["error"] == TEXTS[kind]
            if kind not in WITHOUT_EVENT:
                (own,) = sdk.events[ERRORS.get(kind, kind)]
                assert own == {"message_type": kind, "error": TEXTS[kind]}


@both
def test_a_wrong_key_a_wrong_model_and_a_throttled_commit_are_understood(make: Make) -> None:
    with serving("stop") as server:
        with make(server.url, "a wrong key") as sdk:
            sdk.connect()
            assert sdk.until("auth_error")["error"]
            sdk.until("close")
        with make(server.url, KEY) as sdk:
            sdk.connect(model_id="scribe_realtime_v2")
            assert "scribe_v2_realtime" in sdk.until("invalid_request")["error"]
            sdk.until("close")
        with make(server.url, KEY) as sdk:
            sdk.connect()
            sdk.until("session_started")
            sdk.commit()
            refusal = sdk.until("commit_throttled")
            assert "only 0.00s of uncommitted audio" in refusal["error"]
            sdk.until("close")


def test_the_python_sdk_is_told_how_a_session_was_closed() -> None:
    for wrong, close in (
        ("auth_error", {"code": 1000, "reason": ""}),
        ("invalid_request", {"code": 1008, "reason": "invalid_request"}),
        ("commit_throttled", {"code": 1000, "reason": "commit_throttled"}),
    ):
        with serving("stop", wrong=wrong) as server, PythonSdk(server.url, KEY) as sdk:
            sdk.connect()
            assert sdk.until("close") == close


@both
def test_real_speech_gets_real_words(make: Make) -> None:
    pcm = speech("goforward")
    with Server(recognizer=PocketSphinx(), key=KEY) as server, make(server.url, KEY) as sdk:
        sdk.connect(include_timestamps=True, include_language_detection=True)
        sdk.until("session_started")
        sdk.send(pcm)
        sdk.commit()
        stamped = sdk.until("committed_transcript_with_timestamps")
        sdk.close()
        assert texts(sdk.events["committed_transcript"]) == ["go forward ten meters"]
    assert stamped["language_code"] == "en"
    words = [word for word in stamped["words"] if word["type"] == "word"]
    assert [word["text"] for word in words] == ["go", "forward", "ten", "meters"]
    assert 0.3 < words[0]["start"] < words[-1]["end"] < len(pcm) / 32_000


@both
def test_real_speech_is_committed_by_vad_where_it_pauses(make: Make) -> None:
    pcm = speech("goforward")
    with Server(recognizer=PocketSphinx(), key=KEY) as server, make(server.url, KEY) as sdk:
        sdk.connect(commit_strategy="vad", vad_silence_threshold_secs=0.8)
        sdk.until("session_started")
        sdk.send(pcm + bytes(2 * 32_000))
        committed = sdk.until("committed_transcript")
        sdk.close()
        assert committed["text"] == "go forward ten meters"
        assert [commit.asked for commit in server.commits] == [False]
