"""What ElevenLabs sends beside texts: entities, redacted and edited texts, speakers, warnings, the
echo of its settings, and what nobody knows."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.errors import Remedy
from scribed.interfaces import Ready, Warned
from scribed.model import Entity, UtteranceId, Word
from scribed.uplink.providers.elevenlabs_chunks import MAX_PREVIOUS
from scribed.uplink.providers.elevenlabs_extras import Speakers, read_config, read_extra
from scribed.uplink.providers.elevenlabs_messages import Token
from scribed.uplink.providers.elevenlabs_positions import Positions
from tests.uplink.test_elevenlabs import ESCAPED_KEY, KEY, Dialogue, anything, garbage

NO_TIMES = {"include_timestamps": False}


def entities(*found: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [
        {"text": text, "entity_type": "name", "start_char": start, "end_char": end}
        for text, start, end in found
    ]


# The credential and the context


def test_a_token_is_in_the_url_alone_and_no_key_is_sent_with_it() -> None:
    request = Dialogue(elevenlabs={"auth": "token"}, token="sutkn/1").session.request()
    assert request.headers == {}
    assert request.url.endswith("&token=sutkn%2F1")
    assert "sutkn" not in repr(request)


def test_a_key_is_in_a_header_and_never_in_the_url() -> None:
    request = Dialogue(token="unused").session.request()
    assert request.headers == {"xi-api-key": KEY}
    assert "unused" not in request.url
    assert ESCAPED_KEY not in request.url


@pytest.mark.parametrize("form", ["sutkn/1", "sutkn%2F1"])
def test_no_event_tells_the_token(form: str) -> None:
    options = {"auth": "token"}
    for dialogue in (
        Dialogue(elevenlabs=options, token="sutkn/1").hear("error", error=form),
        Dialogue(elevenlabs=options, token="sutkn/1").hear("session_started", session_id=form),
        Dialogue(elevenlabs=options, token="sutkn/1").ready().hear("warning", warning=form),
    ):
        assert dialogue.events
        assert form not in repr(dialogue.events)


def test_a_key_in_a_name_of_a_message_is_not_counted_under_it() -> None:
    dialogue = Dialogue().ready().hear("x" + KEY).hear("x" * 55 + KEY)
    assert dialogue.session.unknown == {"x***": 1, "(others)": 1}


@given(st.text(alphabet="ab \n\t\u00e4\U0001f600", max_size=120) | st.text(max_size=120))
def test_the_context_is_the_last_whole_words_that_are_few_enough(text: str) -> None:
    dialogue = Dialogue(previous_text=text, elevenlabs=NO_TIMES).ready().say("a", "b")
    contexts = [message.get("previous_text", "") for message in dialogue.sent]
    assert not any(contexts[1:])
    assert len(contexts[0]) <= MAX_PREVIOUS
    words, context = " ".join(text.split()), contexts[0].split()
    if text.isprintable() and words.isascii():
        assert context == (words.split()[-len(context) :] if context else [])


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("", None),
        ("Go on.", "Go on."),
        ("x" * 49, "x" * 49),
        ("x" * 50, None),
        ("a " + "x" * 48, "x" * 48),
        ("a " + "x" * 49, "x" * 49),
        ("a b " + "x" * 46, "b " + "x" * 46),
    ],
)
def test_the_context_is_cut_at_a_word(text: str, context: str | None) -> None:
    dialogue = Dialogue(previous_text=text).ready().say("a")
    assert dialogue.sent[0].get("previous_text") == context
    assert ("previous_text" in dialogue.sent[0]) is (context is not None)


def test_what_is_billed_is_all_audio_with_its_padding() -> None:
    dialogue = Dialogue().ready().begin("a").audio(bytes(32 * 20))
    assert dialogue.session.sent_s() == 0
    assert dialogue.end().session.sent_s() == pytest.approx(0.35)
    assert dialogue.wait(30).session.sent_s() == pytest.approx(0.35)


# Entities


def test_entities_that_lie_beside_the_text_are_put_inside_it() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_detection": ["all"]}).ready().say("a")
    found = entities(("Eva", -5, 2), ("x", 3, 1), ("y", 2, 10**25), ("z", 99, 100))
    dialogue.c("Eva.").hear("committed_transcript_entities", text="Eva.", entities=found)
    assert dialogue.answers[0].entities == (
        Entity("Eva", "name", 0, 2),
        Entity("x", "name", 3, 3),
        Entity("y", "name", 2, 4),
        Entity("z", "name", 4, 4),
    )


def test_two_answers_get_each_its_own_entities() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_detection": ["all"]}).ready()
    dialogue.say("a", "b").c("Eva.").c("Ann.")
    dialogue.hear("committed_transcript_entities", text="Ann.", entities=entities(("Ann", 0, 3)))
    assert dialogue.texts == []
    dialogue.hear("committed_transcript_entities", text="Eva.", entities=entities(("Eva", 0, 3)))
    assert [answer.entities for answer in dialogue.answers] == [
        (Entity("Eva", "name", 0, 3),),
        (Entity("Ann", "name", 0, 3),),
    ]


def test_nothing_is_waited_for_where_nothing_was_said() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_detection": ["all"]}).ready()
    assert dialogue.say("a").c("").texts == [("a", "")]


def test_an_extra_that_cannot_be_read_is_counted_and_ends_nothing() -> None:
    kind = "committed_transcript_entities"
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_detection": ["all"]}).ready().say("a")
    dialogue.hear(kind, text="One.", entities=7).hear(kind, text=7)
    dialogue.hear(kind, text="One.", entities=[{"entity_type": "x" * 65}])
    dialogue.hear(kind, text="One.", entities=[{}] * 1001)
    dialogue.hear(kind, text="One.", entities=[{"text": "x" * 20_001}])
    assert dialogue.session.unknown == {kind: 4, "unreadable": 1}
    assert dialogue.c("One.").wait(0.3).texts == [("a", "One.")]


# Redacted and edited texts


def test_a_redacted_text_lacks_no_part_or_is_not_there() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_redaction": ["all"]}).ready().begin("a")
    dialogue.audio(bytes(64_000)).c("I am Eva").wait(1).end().c("of Ulm.")
    dialogue.hear("redacted_transcript", text="of Ulm.", redacted_text="of {PLACE}.").wait(0.3)
    assert dialogue.texts == [("a", "I am Eva of Ulm.")]
    assert dialogue.answers[0].redacted_text is None


def test_a_redacted_text_is_put_together_as_its_text_is() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_redaction": ["all"]}).ready().begin("a")
    dialogue.audio(bytes(64_000)).c("I am Eva").c("")
    dialogue.hear("redacted_transcript", text="I am Eva", redacted_text="I am {NAME}")
    dialogue.end().c("of Ulm.")
    dialogue.hear("redacted_transcript", text="of Ulm.", redacted_text="of {PLACE}.")
    assert dialogue.answers[0].redacted_text == "I am {NAME} of {PLACE}."


def test_a_text_may_be_edited_away() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "transcript_edit": "Drop it."}).ready().say("a")
    dialogue.c("Er.").hear("edited_transcript", text="Er.", edited_text="")
    assert dialogue.answers[0].edited_text == ""


# Speakers


def test_words_have_speakers_where_the_service_tells_them_with_their_times() -> None:
    said = [{"text": "Go.", "start": 0.1, "end": 0.2, "speaker_id": "speaker_3"}]
    dialogue = Dialogue().ready().say("a").c("Go.").t("Go.", words=said)
    assert dialogue.answers[0].words == (Word("Go.", 100, 200, None, "speaker_3"),)


@pytest.mark.parametrize("who", [None, "", 7, {}, ["x"], "x" * 65, "a\nb"])
def test_a_speaker_that_is_no_name_is_unknown(who: object) -> None:
    said = [{"text": "Go.", "start": 0.1, "end": 0.2, "speaker_id": who}]
    dialogue = Dialogue().ready().say("a").c("Go.").t("Go.", words=said)
    assert dialogue.answers[0].words == (Word("Go.", 100, 200),)


def test_merges_chain_and_never_turn_in_circles() -> None:
    speakers = Speakers()
    speakers.merge("c", "b")
    speakers.merge("b", "a")
    assert speakers.name("c") == "a"
    for old, new in (("a", "c"), ("a", "a"), ("", "x"), ("x", ""), ("b", "b")):
        speakers.merge(old, new)
    assert [speakers.name(each) for each in "abcx"] == ["a", "a", "a", "x"]
    for n in range(10_000):
        speakers.merge(f"s{n}", f"s{n + 1}")
    assert speakers.name("s0") is not None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"))))
def test_whatever_is_merged_each_has_a_last_name(merges: list[tuple[str, str]]) -> None:
    speakers = Speakers()
    for old, new in merges:
        speakers.merge(old, new)
    for each in "abcde":
        last = speakers.name(each)
        assert last is not None
        assert speakers.name(last) == last


# Warnings and the echo


def test_a_warning_without_words_is_none() -> None:
    dialogue = Dialogue().ready().hear("warning").hear("warning", warning="").hear("warning", x=1)
    assert dialogue.warned == []
    assert dialogue.session.unknown == {}


def test_a_service_that_always_warns_is_not_listened_to_for_ever() -> None:
    dialogue = Dialogue(elevenlabs=NO_TIMES).ready()
    for n in range(1000):
        dialogue.hear("warning", warning=f"{n} " + "x" * 1000)
    (answer,) = dialogue.say("a").c("One.").answers
    assert len(dialogue.warned) == len(answer.warnings or ()) == 24
    assert max(map(len, answer.warnings or ())) <= 200


def test_a_warning_about_logging_is_no_alert_where_nothing_was_asked() -> None:
    dialogue = Dialogue().ready().hear("warning", warning="Zero retention is not active.")
    assert dialogue.warned == [Warned("the service warns: Zero retention is not active.")]


def test_the_echo_is_compared_once() -> None:
    dialogue = Dialogue(language="de")
    for _ in range(2):
        dialogue.hear("session_started", session_id="s", config={"language_code": "fr"})
    reason = 'the service uses language_code = "fr", asked for "de"'
    assert dialogue.events == [Warned(reason), Ready("s"), Ready("s")]


def test_an_extra_that_is_too_long_is_not_looked_into() -> None:
    assert read_extra('{"text":"' + "x" * (1 << 18) + '"}') is None


@given(garbage)
def test_any_echo_and_any_extra_may_be_anything(message: str | bytes) -> None:
    assert isinstance(read_config(message), dict)
    read_extra(message)


@given(anything | st.dictionaries(st.sampled_from(["language_code", "keyterms"]), anything))
def test_a_session_begins_whatever_its_echo(config: object) -> None:
    dialogue = Dialogue(language="de")
    echo = json.dumps(config).replace("Infinity", "1e9")  # which is not JSON
    dialogue.hear_raw(f'{{"message_type":"session_started","config":{echo}}}')
    assert dialogue.events[-1] == Ready("")


# What nobody knows


def test_unknown_messages_are_counted_by_type_and_the_types_are_bounded() -> None:
    dialogue = Dialogue().ready().hear("speech_started").hear("speech_started").hear_raw("{}")
    assert dialogue.session.unknown == {"speech_started": 2, "": 1}
    for n in range(100):
        dialogue.hear(f"kind_{n}").hear("x" * 65 + str(n))
    assert len(dialogue.session.unknown) == 32
    assert dialogue.session.unknown["(others)"] == 171
    assert max(map(len, dialogue.session.unknown)) <= 64
    assert not dialogue.is_over


def test_what_comes_too_late_is_counted() -> None:
    dialogue = Dialogue(elevenlabs={**NO_TIMES, "entity_detection": ["all"]}).ready().c("Hm.")
    assert dialogue.session.late == 1
    dialogue.say("a").c("One.").wait(0.3)
    dialogue.hear("committed_transcript_entities", text="One.", entities=[])
    assert dialogue.session.late == 2


@pytest.mark.parametrize("code", ["x" * 36, "d\u0435", "a\nb", ""])
def test_a_language_that_is_none_is_unknown(code: str) -> None:
    options = {"include_language_detection": True}
    dialogue = Dialogue(elevenlabs=options).ready().say("a").c("Oui.")
    assert dialogue.t("Oui.", language_code=code).answers[0].language is None


@pytest.mark.parametrize(
    ("code", "reason", "remedy", "alert", "blames"),
    [
        (1003, "", Remedy.BACK_OFF, None, True),
        (1007, "", Remedy.BACK_OFF, None, True),
        (1008, "", Remedy.REFUSED, "backend_down", False),
        (1008, "quota_exceeded", Remedy.REFUSED, "quota", False),
        (1009, "", Remedy.BACK_OFF, None, True),
        (1013, "", Remedy.COOL_DOWN, None, False),
        (3000, "", Remedy.REFUSED, "auth_failed", False),
        (3003, "", Remedy.REFUSED, "auth_failed", False),
        (1000, " commit_throttled ", Remedy.BACK_OFF, None, True),
        (1000, "session_time_limit_exceeded", Remedy.RECONNECT, None, False),
        (1001, "", Remedy.BACK_OFF, None, False),
        (4999, "whatever", Remedy.BACK_OFF, None, False),
    ],
)
def test_each_close_has_its_remedy(
    code: int, reason: str, remedy: Remedy, alert: str | None, blames: bool
) -> None:
    dialogue = Dialogue().ready().say("a")
    dialogue.session.receive_close(code, reason)
    failed = dialogue.depart().failed
    blamed = UtteranceId("a") if blames else None
    assert (failed.remedy, failed.alert, failed.blamed) == (remedy, alert, blamed)


# Positions


def word(start: float | None, end: float | None = None) -> Token:
    return Token("x", start, end)


def test_words_belong_to_the_last_utterance_that_begins_before_their_middle() -> None:
    said = [word(0.5, 0.7), Token(" ", 0.7, 0.9, "spacing"), word(0.95, 1.2), word(None), word(2.1)]
    shares = Positions().shares(said, [0.2, 1.0, 2.0])
    assert shares == [(0, said[:2]), (1, said[2:4]), (2, said[4:])]
    assert Positions().shares([word(0.1)], [0.2, 1.0]) == [(-1, [word(0.1)])]
    assert Positions().shares([word(0.1)], []) == [(-1, [word(0.1)])]


def test_words_without_times_or_with_times_that_run_back_are_nowhere() -> None:
    positions = Positions()
    assert positions.shares([word(None), Token(" ", 1.0, 1.1, "spacing")], [0.0]) == []
    assert positions.shares([word(5.0, 6.0)], [0.0]) == [(0, [word(5.0, 6.0)])]
    assert positions.shares([word(0.3, 0.6)], [0.0, 5.0]) == []


# However long


LONGEST = {
    "warning": ("warning", "é\u2028 "),
    "redacted_transcript": ("redacted_text", "x"),
    "committed_transcript_entities": ("text", "\u0301\u0323"),
    "speakers_merged": ("from_speaker_id", "x"),
}


@pytest.mark.parametrize("kind", LONGEST)
@pytest.mark.parametrize("size", [18_000, 1 << 17, 1 << 20])
def test_the_longest_extras_cost_little_time_and_leave_nothing_behind(kind: str, size: int) -> None:
    field, unit = LONGEST[kind]
    message = json.dumps({"message_type": kind, field: unit * (size // len(unit))})
    options = {"entity_detection": ["all"], "entity_redaction": ["all"]}
    dialogue = Dialogue(elevenlabs=options).ready().say("a")
    tracemalloc.start()
    try:
        for _ in range(20):
            dialogue.hear_raw(message)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 1 << 20
    assert not dialogue.is_over
