"""One connection of OpenMind's proxy, message by message, against a clock that is set by hand."""

from __future__ import annotations

import hashlib
import json

import pytest

from scribed.simulate.dialects import AskAnswer, Close, Timing
from scribed.simulate.dialects.openmind_hearing import LIMIT_S
from scribed.simulate.dialects.openmind_routes import ROUTES, admits, refusal
from scribed.simulate.recognizers import Answer
from tests.simulate.openmind import (
    ELEVENLABS,
    GOOGLE,
    GOOGLE_V1,
    RIVA,
    Dialogue,
    binary,
    silence,
    speech,
    text,
)

CLIENT_ID = "1738713600000-0123456789abcdef"
HELLO = {
    "type": "connection",
    "message": "Connected to ElevenLabs ASR service",
    "clientId": CLIENT_ID,
}
SENTENCE = speech(1.0) + silence(1.0)


# The ElevenLabs route


def test_the_first_message_says_hello_with_the_time_and_an_id() -> None:
    assert Dialogue().messages() == [HELLO]


def test_speech_and_a_second_of_silence_bring_partials_and_a_final() -> None:
    dialogue = Dialogue()
    dialogue.say(1.5)
    assert dialogue.kinds() == ["connection", "partial", "partial", None]
    first, last = dialogue.messages("partial")
    assert set(first) == {"type", "asr_reply", "clientId", "time"}
    assert last["asr_reply"].startswith(first["asr_reply"]), "the whole text so far, not a delta"
    (final,) = dialogue.messages(None)
    assert set(final) == {"asr_reply", "clientId", "time"}
    assert (final["asr_reply"], final["clientId"]) == ("go forward ten meters", CLIENT_ID)
    assert 1_738_713_602_550 - 100 <= final["time"] <= 1_738_713_602_550 + 100


@pytest.mark.parametrize("spelling", ["committed", "final", ""])
def test_finals_may_be_spelled_otherwise(spelling: str) -> None:
    dialogue = Dialogue(final=spelling)
    dialogue.say()
    assert dialogue.messages()[-1]["type"] == spelling
    assert dialogue.messages()[-1]["asr_reply"] == "go forward ten meters"


def test_without_silence_nothing_is_ever_committed() -> None:
    dialogue = Dialogue()
    dialogue.play(speech(2.0) + silence(0.7))
    dialogue.wait(20)
    assert set(dialogue.kinds()) == {"connection", "partial"}
    assert dialogue.records == []


def test_silence_counts_in_audio_however_fast_it_comes() -> None:
    dialogue = Dialogue(answers=("one", "two", "three"))
    dialogue.send(text(SENTENCE * 3))
    dialogue.wait(0.3)
    assert dialogue.finals() == ["one", "two", "three"]


def test_noises_shorter_than_a_word_and_silence_are_no_speech() -> None:
    dialogue = Dialogue()
    dialogue.play(silence(2.0) + (speech(0.05) + silence(0.5)) * 4)
    assert dialogue.kinds() == ["connection"]


def test_an_answer_takes_its_time() -> None:
    dialogue = Dialogue(timing=Timing(answer_s=0.4, warmup_s=9.0))
    dialogue.send(text(SENTENCE))
    dialogue.wait(0.39)
    assert dialogue.finals() == []
    dialogue.wait(0.02)
    assert dialogue.finals() == ["go forward ten meters"]


def test_a_final_can_be_empty_and_its_text_in_any_script() -> None:
    dialogue = Dialogue(answers=("", "你好 🤖"))
    dialogue.say()
    dialogue.say()
    assert dialogue.finals() == ["", "你好 🤖"]


def test_the_next_partial_waits_for_the_final_before_it() -> None:
    dialogue = Dialogue(answers=("one", "two"))
    dialogue.send(text(SENTENCE + speech(1.0)))
    assert dialogue.kinds() == ["connection"]
    dialogue.wait(1)
    assert dialogue.kinds() == ["connection", None, "partial"]
    assert [m["asr_reply"] for m in dialogue.messages("partial")] == ["two"]


def test_a_partial_that_was_overtaken_by_its_commit_is_not_sent() -> None:
    dialogue = Dialogue()
    dialogue.send(text(speech(0.2)))
    before = len(dialogue.got)
    dialogue.send(text(speech(0.5) + silence(1.0)))
    dialogue.session.heard_partial(0, "too late")
    dialogue.wait(1)
    assert "too late" not in str(dialogue.got[before:])


def test_partials_can_be_switched_off() -> None:
    dialogue = Dialogue(timing=Timing(partial_every_s=0.0))
    dialogue.say(3.0)
    assert dialogue.kinds() == ["connection", None]


def test_36_s_of_speech_are_committed_and_what_follows_is_heard() -> None:
    dialogue = Dialogue(answers=("long", "short"))
    dialogue.play(speech(LIMIT_S + 1.0) + silence(1.0))
    assert dialogue.finals() == ["long", "short"]


# Framing and formats


def test_binary_messages_say_the_same_as_json() -> None:
    dialogue = Dialogue()
    header = {"rate": 16_000, "language_code": "en", "timestamp": 1_738_713_600_123}
    dialogue.send(binary(SENTENCE[:32_000], **header), binary(SENTENCE[32_000:], **header))
    dialogue.wait(1)
    assert dialogue.finals() == ["go forward ten meters"]
    assert dialogue.session.audio_bytes == len(SENTENCE)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
def test_each_documented_rate_is_heard_in_its_own_time(rate: int) -> None:
    dialogue = Dialogue(keep_audio=True)
    pcm = silence(0.5, rate) + speech(1.0, rate) + silence(1.0, rate)
    dialogue.play(pcm, rate=rate)
    dialogue.wait(1)
    taken, answered = dialogue.records
    assert taken.duration_s == pytest.approx(2.3, abs=0.05)
    assert (taken.start_s, taken.asked, taken.text) == (0.0, False, None)
    assert taken.pcm == pcm[: taken.audio_bytes]
    assert taken.sha256 == hashlib.sha256(pcm[: taken.audio_bytes]).hexdigest()
    assert answered.text == "go forward ten meters"


def test_segments_are_the_audio_without_a_gap() -> None:
    dialogue = Dialogue(keep_audio=True, answers=("a", "b"))
    pcm = SENTENCE * 3
    dialogue.send(*[text(pcm[at : at + 5000]) for at in range(0, len(pcm), 5000)])
    taken = [record.pcm or b"" for record in dialogue.records if record.answered_at is None]
    assert len(taken) == 3
    assert pcm.startswith(b"".join(taken))


def test_only_the_first_message_says_what_the_audio_is() -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE), text(SENTENCE, rate=48_000, language_code="en-US"))
    dialogue.wait(1)
    assert len(dialogue.finals()) == 2


@pytest.mark.parametrize("rate", [48_000, 11_025, 0, -1, "16000", True, None, 16_000.0])
def test_other_rates_end_the_session(rate: object) -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE, rate=rate))
    (error,) = dialogue.messages("error")
    assert error["message"] == f"Speech recognition error: 400 unsupported rate {rate!r}"
    assert dialogue.end == (1011, "")
    assert "rate" in str(dialogue.session.note)


def test_a_region_tag_makes_a_session_that_is_never_transcribed() -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE, language_code="en-US"))
    dialogue.wait(5)
    assert dialogue.kinds() == ["connection"]
    assert 'use "en"' in str(dialogue.session.note)


@pytest.mark.parametrize("code", ["en", "auto", "", "yue"])
def test_short_codes_are_languages(code: str) -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE, language_code=code))
    dialogue.wait(1)
    assert len(dialogue.finals()) == 1


def test_a_language_that_is_none_ends_the_session() -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE, language_code=7))
    assert dialogue.end == (1011, "")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param("not JSON", "Invalid message format: Expecting value", id="bad JSON"),
        pytest.param("[" * 100_000, "Invalid message format: ", id="nested too deep"),
        pytest.param("[]", "Invalid message format: not a JSON object", id="not an object"),
        pytest.param("{}", "Invalid message format: 'audio' field missing", id="no audio"),
        pytest.param(text(b""), "Invalid message format: 'audio' field missing", id="empty audio"),
        pytest.param('{"audio": 7}', "Failed to decode audio: ", id="audio is a number"),
        pytest.param('{"audio": "AAA"}', "Failed to decode audio: ", id="bad base64"),
        pytest.param('{"audio": "ÄÄÄÄ"}', "Failed to decode audio: ", id="base64 not ASCII"),
        pytest.param('{"audio": "AAAA"}', "Failed to decode audio: ", id="half a sample"),
        pytest.param(b"", "Invalid message format: ", id="empty binary"),
        pytest.param(b"\0\0\0\x09{}", "Invalid message format: the header", id="short header"),
        pytest.param(b"\xff" * 8, "Invalid message format: the header has", id="huge header"),
        pytest.param(b"\0\0\0\x01\xff\0\0", "Invalid message format: ", id="header not UTF-8"),
        pytest.param(b"\0\0\0\x01{\0\0", "Invalid message format: ", id="header not JSON"),
        pytest.param(binary(b"", rate=16_000), "Invalid message format: 'audio'", id="header only"),
        pytest.param(binary(b"\0\0\0"), "Failed to decode audio: ", id="binary half a sample"),
    ],
)
@pytest.mark.parametrize("path", [ELEVENLABS, GOOGLE])
def test_a_bad_message_is_answered_with_an_error_and_forgotten(
    path: str, message: str | bytes, said: str
) -> None:
    dialogue = Dialogue(path)
    dialogue.send(message)
    (error,) = dialogue.messages("error")
    assert error["message"].startswith(said)
    assert error["clientId"] == CLIENT_ID
    dialogue.send(text(SENTENCE))
    dialogue.wait(1)
    assert len(dialogue.finals()) == 1


def test_old_riva_hears_the_header_of_a_binary_message() -> None:
    dialogue = Dialogue(RIVA, binary="raw")
    message = binary(silence(0.1))
    dialogue.send(message)
    assert dialogue.session.audio_bytes == len(message)


# Silence, restarts, ends


def test_nobody_speaking_closes_the_connection_and_that_is_no_error() -> None:
    dialogue = Dialogue(timing=Timing(idle_s=5.0))
    dialogue.play(silence(4.9))
    assert dialogue.end is None
    dialogue.wait(0.2)
    assert dialogue.kinds() == ["connection"]
    assert dialogue.end == (1000, "")
    assert dialogue.session.refused is None
    assert dialogue.session.timer() is None


def test_speech_keeps_the_connection_open_and_an_open_segment_is_lost_with_it() -> None:
    dialogue = Dialogue(timing=Timing(idle_s=5.0, warmup_s=0.0))
    dialogue.play(speech(7.0))
    assert dialogue.end is None
    dialogue.wait(6)
    assert dialogue.finals() == []
    assert dialogue.end == (1000, "")


def test_without_a_time_of_its_own_the_route_closes_after_30_s() -> None:
    dialogue = Dialogue()
    dialogue.wait(29.9)
    assert dialogue.end is None
    dialogue.wait(0.2)
    assert dialogue.end == (1000, "")


def restarted(restart: str) -> Dialogue:
    """Somebody speaks while recognition begins anew after 10 s."""
    dialogue = Dialogue(
        answers=("cut off", "said again"),
        timing=Timing(session_s=10.0, idle_s=0.0, warmup_s=0.0, partial_every_s=0.0),
        restart=restart,
    )
    dialogue.wait(9)
    dialogue.play(speech(2.0))
    return dialogue


def test_a_restart_in_mid_utterance_loses_what_was_said() -> None:
    dialogue = restarted("lose")
    assert dialogue.messages("info") == [
        {"type": "info", "message": "Recognition session restarted", "clientId": CLIENT_ID}
    ]
    dialogue.play(silence(1.0))
    dialogue.wait(1)
    assert dialogue.finals() == ["said again"], "what followed the restart"
    assert [record.text for record in dialogue.records] == [None, "said again"]


def test_or_it_commits_it() -> None:
    dialogue = restarted("commit")
    dialogue.play(silence(1.0))
    dialogue.wait(1)
    assert dialogue.kinds() == ["connection", "info", None, None]
    assert dialogue.finals() == ["cut off", "said again"]


def test_a_restart_loses_an_answer_that_is_owed() -> None:
    dialogue = Dialogue(timing=Timing(answer_s=1.0, idle_s=0.0, warmup_s=9.0))
    dialogue.send(text(SENTENCE))
    dialogue.fail("openmind-restart")
    dialogue.wait(5)
    assert dialogue.kinds() == ["connection", "info"]
    dialogue.say()
    dialogue.wait(1)
    assert len(dialogue.finals()) == 1


def test_an_answer_that_is_recognised_after_the_restart_is_lost_as_well() -> None:
    session = Dialogue().session
    session.receive(text(SENTENCE), 101.0)
    assert AskAnswer() in session.work()
    session.fail("openmind-restart")
    session.outputs(101.1)
    session.heard_answer(Answer("too late"), 101.2)
    assert session.outputs(105.0) == []


def test_a_restart_comes_every_five_minutes() -> None:
    dialogue = Dialogue(timing=Timing(idle_s=1000.0))
    dialogue.wait(601)
    assert dialogue.kinds() == ["connection", "info", "info"]


def test_a_complaint_is_no_end() -> None:
    dialogue = Dialogue()
    dialogue.fail("openmind-complaint")
    assert dialogue.kinds() == ["connection", "error"]
    dialogue.say()
    assert len(dialogue.finals()) == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [("transcriber_error", 1011), ("quota_exceeded", 1008), ("auth_error", 1008), ("error", 1011)],
)
def test_other_errors_end_it_and_what_was_not_due_is_lost(kind: str, code: int) -> None:
    dialogue = Dialogue()
    dialogue.send(text(SENTENCE))
    dialogue.fail(kind)
    dialogue.send(text(SENTENCE), "bad")
    dialogue.wait(5)
    assert dialogue.kinds() == ["connection", "error"]
    assert dialogue.messages("error")[0]["message"].startswith("Speech recognition error: ")
    assert dialogue.end == (code, "")
    assert dialogue.session.refused == "error"


def test_a_broken_or_swamped_recogniser_ends_the_session() -> None:
    broken, swamped = Dialogue(), Dialogue()
    broken.session.recognizer_failed()
    swamped.session.overflow()
    for dialogue, said in ((broken, "engine failed"), (swamped, "Audio stream buffer full")):
        dialogue.wait(0.1)
        assert said in dialogue.messages("error")[0]["message"]
        assert dialogue.end == (1011, "")


def test_answers_can_go_astray_or_come_twice() -> None:
    session = Dialogue().session
    session.receive(text(SENTENCE * 2), 101.0)
    session.heard_answer(Answer("lost"), 101.0, times=0)
    session.heard_answer(Answer("twice"), 101.0, times=2)
    said = [json.loads(str(message)) for message in session.outputs(102.0)]
    assert [message["asr_reply"] for message in said] == ["twice", "twice"]
    answered = [record.text for record in session.records() if record.answered_at is not None]
    assert answered == ["twice"]


def test_a_final_may_be_echoed_by_a_partial() -> None:
    dialogue = Dialogue(echo=True, timing=Timing(partial_every_s=0.0))
    dialogue.say()
    assert dialogue.kinds() == ["connection", None, "partial"]
    assert dialogue.messages("partial")[0]["asr_reply"] == dialogue.finals()[0]


def test_the_services_clock_may_be_hours_off() -> None:
    dialogue = Dialogue(clock_off_s=7 * 3600.0)
    assert dialogue.messages()[0]["clientId"].startswith("1738738800000-")


def test_the_greeting_may_fail_to_come() -> None:
    assert Dialogue(hello=False).messages() == []


# Google and Riva


def test_google_tells_of_speech_and_has_finals_only_without_a_time() -> None:
    dialogue = Dialogue(GOOGLE)
    dialogue.say(2.0)
    assert dialogue.messages() == [
        {"type": "connection", "message": "Connected to ASR v2 service", "clientId": CLIENT_ID},
        {"type": "speech_start", "message": "Speech activity detected", "clientId": CLIENT_ID},
        {"type": "speech_end", "message": "Speech activity ended", "clientId": CLIENT_ID},
        {"type": "end_of_utterance", "message": "End of utterance", "clientId": CLIENT_ID},
        {"asr_reply": "go forward ten meters", "clientId": CLIENT_ID},
    ]


def test_a_pause_between_two_words_is_told_and_does_not_end_the_utterance() -> None:
    dialogue = Dialogue(GOOGLE)
    dialogue.play(speech(0.5) + silence(0.5) + speech(0.5) + silence(1.2))
    start, end = "speech_start", "speech_end"
    assert dialogue.kinds() == [
        "connection", start, end, start, end, "end_of_utterance", None,
    ]  # fmt: skip


def test_google_v1_tells_of_nothing_not_even_a_restart() -> None:
    dialogue = Dialogue(GOOGLE_V1, timing=Timing(session_s=5.0))
    dialogue.play(silence(6.0))
    dialogue.say()
    assert dialogue.kinds() == ["connection", None]
    assert dialogue.messages()[0]["message"] == "Connected to ASR v1 service"


def test_google_says_nothing_where_it_understood_nothing() -> None:
    dialogue = Dialogue(GOOGLE_V1, answers=("",))
    dialogue.say()
    assert dialogue.kinds() == ["connection"]
    assert dialogue.records[-1].text == ""


@pytest.mark.parametrize("code", ["auto", "en", ""])
def test_google_wants_a_language_with_its_region(code: str) -> None:
    dialogue = Dialogue(GOOGLE)
    dialogue.send(text(SENTENCE, language_code=code))
    assert "language_code" in dialogue.messages("error")[0]["message"]
    assert dialogue.end == (1011, "")


@pytest.mark.parametrize("code", ["en-US", "cmn-Hans-CN"])
def test_google_takes_any_rate_and_language_with_a_region(code: str) -> None:
    dialogue = Dialogue(GOOGLE)
    dialogue.send(text(speech(1.0, 48_000) + silence(1.0, 48_000), rate=48_000, language_code=code))
    dialogue.wait(1)
    assert dialogue.finals() == ["go forward ten meters"]


def test_google_gives_up_where_audio_stops_coming() -> None:
    dialogue = Dialogue(GOOGLE)
    dialogue.wait(30)
    assert dialogue.end is None, "nothing has begun"
    dialogue.send(text(silence(0.1)))
    dialogue.wait(10)
    assert dialogue.messages("error")[0]["message"].startswith(
        "Speech recognition error: 400 Audio Timeout Error: Long duration elapsed without audio."
    )
    assert dialogue.end == (1011, "")


def test_riva_has_a_text_and_nothing_else() -> None:
    dialogue = Dialogue(RIVA)
    dialogue.send("bad", b"bad", text(b""))
    dialogue.say(2.0)
    assert dialogue.messages() == [{"asr_reply": "go forward ten meters"}]


def test_riva_hangs_up_after_five_minutes_whatever_happens() -> None:
    dialogue = Dialogue(RIVA)
    dialogue.wait(299)
    dialogue.play(speech(0.9))
    assert dialogue.end is None
    dialogue.wait(0.2)
    assert dialogue.got[-1][1] == Close(1000, "")
    assert dialogue.messages() == []


# The upgrade


@pytest.mark.parametrize("path", [path for path in ROUTES if path != RIVA])
def test_a_key_opens_every_route(path: str) -> None:
    assert admits(path, "api_key=om1_live_1&model=chirp_3", "om1_live_1")
    assert admits(path, "api_key=anything", None)
    for query in ("", "api_key=", "api_key=wrong", "key=om1_live_1", "api_key=om1_live_1&api_key="):
        assert not admits(path, query, "om1_live_1")
    assert not admits(path, "api_key=", None)


def test_riva_on_the_robot_asks_for_no_key() -> None:
    assert admits(RIVA, "", "om1_live_1")


def test_a_refusal_is_json_with_an_error() -> None:
    missing = {"error": "Missing API key. Please connect with ?api_key=YOUR_API_KEY"}
    assert json.loads(refusal(401, None)) == json.loads(refusal(401, "")) == missing
    assert json.loads(refusal(401, "wrong"))["error"].startswith("Invalid API key: ")
    assert json.loads(refusal(402, "right")) == {"error": "Insufficient balance"}
    assert json.loads(refusal(503, "right")) == {"error": "Service Unavailable"}


def test_whoever_is_let_in_without_a_key_is_told_and_turned_away() -> None:
    dialogue = Dialogue(admitted=False)
    assert dialogue.kinds() == ["error"]
    assert dialogue.end == (1008, "")
