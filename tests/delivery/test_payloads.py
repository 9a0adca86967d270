"""What the messages say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.delivery import cautions, payloads
from scribed.delivery.moment import Moment
from scribed.delivery.schemas import State
from scribed.delivery.topics import LateReason, Route
from scribed.model import (
    Alert,
    Answer,
    Closed,
    Device,
    EarlierBoot,
    EndReason,
    Entity,
    Event,
    Final,
    Link,
    LinkState,
    Outcome,
    Partial,
    RobotDid,
    UtteranceStarted,
    Word,
)
from scribed.text import clean
from tests.delivery.peers import IDENTITY, PROVIDER, ended, final, started, uid

WALL = 1_780_306_202.011  # 2026-06-01T09:30:02.011Z
MOMENT = Moment(now=812_347.011, wall=WALL, mono_offset=-5.0, clock_synced=True)
FRESH = Route("transcript", None, 4)
HEADER = {"robot": "r7", "source": "mic", "run_id": "run-1", "t": "2026-06-01T09:30:02.011Z"}


def decoded(message: msgspec.Struct) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(payloads.encode(message))
    return value


def said(spoken: Final, moment: Moment = MOMENT, *, more_speech: bool = False) -> dict[str, Any]:
    message = payloads.transcript(spoken, IDENTITY, moment, FRESH, more_speech=more_speech)
    return decoded(message)


def test_a_final_has_every_field_of_the_contract() -> None:
    spoken = final(1841, at=812_346.640)
    begun = UtteranceStarted(uid(1841), 1841, 812_345.120, mono_offset=-2.0)
    spoken = Final(
        **{name: getattr(spoken, name) for name in Final.__struct_fields__} | {"started": begun}
    )
    assert said(spoken) == {
        "schema": "stt.transcript/1",
        **HEADER,
        "utterance_id": uid(1841),
        "seq": 1841,
        "rev": 3,
        "is_final": True,
        "final_reason": "commit",
        "continues": None,
        "text": "Turn left, please.",
        "norm": "turn left please",
        "caution": [],
        "language": "en",
        "language_source": "detected",
        "confidence": 0.93,
        "words": [
            {"text": "Turn", "start_ms": 40, "end_ms": 210, "confidence": 0.95, "speaker": None}
        ],
        "entities": None,
        "redacted_text": None,
        "edited_text": None,
        "warnings": None,
        "start_unix_ms": 1_780_306_200_120,
        "end_unix_ms": 1_780_306_201_640,
        "emit_unix_ms": 1_780_306_202_011,
        "age_ms": 371,
        "expires_at": "2026-06-01T09:30:06.011Z",
        "clock_synced": True,
        "boot_id": "boot-1",
        "mono_start_ns": 812_343_120_000_000,
        "mono_end_ns": 812_344_640_000_000,
        "mono_emit_ns": 812_342_011_000_000,
        "audio_ms": 1200,
        "audio_lost_ms": 0,
        "level_dbfs": -31.2,
        "snr_db": 22.0,
        "trigger": "always",
        "latency": {
            "end_to_publish_ms": 371,
            "first_partial_ms": 240,
            "provider_ms": 310,
            "onset_to_gate_ms": 60,
            "gate_to_first_byte_ms": 40,
            "end_to_commit_ms": 10,
            "commit_to_text_ms": 140,
            "text_to_publish_ms": 221,
        },
        "provider": {
            "name": "elevenlabs",
            "model": "scribe_v2_realtime",
            "session_id": "session-1",
        },
        "attempt": 1,
        "while_robot_speaking": None,
        "while_robot_moving": None,
        "late_reason": None,
        "restated": False,
    }


def test_a_partial_has_the_same_fields_and_says_that_it_is_none_of_the_final() -> None:
    partial = Partial(started(3, 812_346.0), 2, "Turn  le", PROVIDER)
    message = decoded(payloads.partial(partial, IDENTITY, MOMENT))
    assert message.keys() == said(final(3, 812_346.0)).keys()
    assert message["is_final"] is False
    assert message["text"] == "Turn le"
    assert message["rev"] == 2
    assert message["expires_at"] == "2026-06-01T09:30:05.011Z"
    unknown = {"final_reason", "end_unix_ms", "mono_end_ns", "age_ms", "audio_ms", "attempt"}
    assert all(message[name] is None for name in unknown)


def test_a_late_final_says_why_and_has_expired() -> None:
    late = Route("late", LateReason.STALE, None)
    message = decoded(
        payloads.transcript(final(3, 812_300.0), IDENTITY, MOMENT, late, more_speech=False)
    )
    assert message["late_reason"] == "stale"
    assert message["age_ms"] == 47_011
    assert message["expires_at"] < message["t"]


@pytest.mark.parametrize(
    ("spoken", "cautions"),
    [
        (final(1, 812_346.0), []),
        (final(1, 812_346.0, reason="provider"), []),
        (final(1, 812_346.0, reason="length", end=EndReason.LENGTH), ["cut"]),
        (final(1, 812_346.0, reason="provider", end=EndReason.FLUSH), ["cut"]),
        (final(1, 812_346.0, reason="restart", end=EndReason.RESTART), ["cut"]),
        (final(1, 812_346.0, reason="no_commit", answer=Answer("go", guessed=True)), ["guessed"]),
        (
            final(1, 812_346.0, end=EndReason.SHUTDOWN, answer=Answer("go", guessed=True)),
            ["cut", "guessed"],
        ),
        (final(1, 812_346.0, end=EndReason.GAP, lost_ms=40), ["cut", "audio_lost"]),
        (final(1, 812_346.0, lost_ms=40), ["audio_lost"]),
    ],
)
def test_a_caution_says_why_not_to_act(spoken: Final, cautions: list[str]) -> None:
    assert said(spoken)["caution"] == cautions


@pytest.mark.parametrize(
    ("language", "source", "spoken_here", "foreign"),
    [
        ("de", "detected", ("en",), True),
        ("deu", "detected", ("en", "de-AT"), False),
        ("en", "detected", ("eng",), False),
        ("de", "detected", (), False),
        ("de", "configured", ("en",), False),
        (None, None, ("en",), False),
    ],
)
def test_a_detected_language_that_is_not_spoken_here_is_a_caution(
    language: str | None, source: str | None, spoken_here: tuple[str, ...], foreign: bool
) -> None:
    answer = Answer("Links abbiegen.", language=language, language_source=source)
    message = payloads.transcript(
        final(1, 812_346.0, answer=answer),
        IDENTITY,
        MOMENT,
        FRESH,
        more_speech=False,
        languages=spoken_here,
    )
    assert message.caution == (["language"] if foreign else [])
    assert message.language == language


RICH = Answer(
    " Call  Ann,\nplease. ",
    (Word("Call", 40, 210, 0.95, "speaker_1"),),
    "en",
    "detected",
    0.93,
    entities=(Entity("Ann", "name", 7, 10), Entity("", "nothing", 99, 99)),
    redacted_text="Call [NAME],\nplease.",
    edited_text="Call Ann.",
    warnings=("the audio\nis faint",),
)


def test_what_the_service_says_beside_the_text_is_in_the_payload() -> None:
    message = said(final(1, 812_346.0, answer=RICH))
    assert message["text"] == "Call Ann, please."
    assert message["words"][0]["speaker"] == "speaker_1"
    first, second = message["entities"]
    assert first == {"text": "Ann", "type": "name", "start": 5, "end": 8}
    assert message["text"][first["start"] : first["end"]] == "Ann"
    assert second["start"] == second["end"] == len(message["text"])
    assert message["redacted_text"] == "Call [NAME], please."
    assert message["edited_text"] == "Call Ann."
    assert message["warnings"] == ["the audio is faint"]


def test_nothing_found_is_another_thing_than_nobody_looked() -> None:
    answer = Answer("Go on.", entities=(), warnings=(), words=())
    message = said(final(1, 812_346.0, answer=answer))
    assert (message["entities"], message["warnings"], message["words"]) == ([], [], [])
    message = said(final(1, 812_346.0, answer=Answer("Go on.")))
    names = ("entities", "warnings", "words", "redacted_text", "edited_text")
    assert [message[name] for name in names] == [None] * 5


@given(st.text(), st.integers(0, 60), st.integers(0, 60))
def test_an_entity_lies_within_the_text_whatever_the_service_says(
    text: str, start: int, end: int
) -> None:
    answer = Answer(text, entities=(Entity("?", "name", start, end),))
    (entity,) = said(final(1, 812_346.0, answer=answer))["entities"]
    assert 0 <= entity["start"] <= entity["end"] <= len(clean(text))


@given(st.lists(st.text("ab c\n\t", max_size=6), min_size=3, max_size=3))
def test_an_entity_is_found_where_the_text_has_it(parts: list[str]) -> None:
    before, name, after = parts[0], f"x{parts[1]}x", parts[2]
    text = before + name + after
    answer = Answer(text, entities=(Entity(name, "name", len(before), len(before + name)),))
    message = said(final(1, 812_346.0, answer=answer))
    (entity,) = message["entities"]
    assert message["text"][entity["start"] : entity["end"]] == entity["text"] == clean(name)


@pytest.mark.parametrize(
    ("robot", "cautions"),
    [
        (RobotDid(), []),
        (RobotDid(False, False), []),
        (RobotDid(True, False, ("I will wait here.",)), ["robot_speaking"]),
        (RobotDid(None, True), ["robot_moving"]),
        (RobotDid(True, None, ("Now I turn left.",)), ["robot_speaking", "echo_text"]),
    ],
)
def test_what_the_robot_did_meanwhile_is_told_and_is_a_caution(
    robot: RobotDid, cautions: list[str]
) -> None:
    spoken = final(1, 812_346.0, "I turn left, please.")
    message = payloads.transcript(spoken, IDENTITY, MOMENT, FRESH, more_speech=False, robot=robot)
    assert message.caution == cautions
    assert message.while_robot_speaking is robot.speaking
    assert message.while_robot_moving is robot.moving
    partial = payloads.partial(Partial(started(3, 1.0), 2, "I", PROVIDER), IDENTITY, MOMENT, robot)
    assert (partial.while_robot_speaking, partial.caution) == (robot.speaking, [])


def test_what_let_it_be_heard_is_told() -> None:
    begun = UtteranceStarted(uid(1), 1, 812_345.0, trigger="listen")
    assert said(replace(final(1, 812_346.0), started=begun))["trigger"] == "listen"


def test_a_speaker_who_went_on_and_a_clock_that_was_never_set_are_cautions() -> None:
    never_set = Moment(now=812_347.0, wall=12.0, clock_synced=False)
    message = said(final(1, 812_346.0), never_set, more_speech=True)
    assert message["caution"] == ["more_speech", "unsynced"]
    assert message["t"] == "1970-01-01T00:00:12.000Z"
    assert message["clock_synced"] is False


def test_a_clock_that_was_set_after_the_speech_gives_the_speech_its_right_time() -> None:
    spoken = final(1, 812_340.0)
    assert said(spoken)["end_unix_ms"] == round((WALL - 7.011) * 1000)


def test_a_lean_one_has_the_text_and_nothing_beside_it() -> None:
    spoken = final(1, 812_346.0, answer=RICH)
    message = payloads.transcript(spoken, IDENTITY, MOMENT, FRESH, more_speech=False, lean=True)
    lean, whole = decoded(message), said(spoken)
    left_out = {"words", "entities", "redacted_text", "edited_text", "warnings"}
    assert {name for name in whole if lean[name] != whole[name]} == left_out
    assert [lean[name] for name in left_out] == [None] * 5


def test_the_start_and_the_end_of_speech() -> None:
    message = decoded(payloads.speech(started(4, 812_346.0), True, IDENTITY, MOMENT))
    assert message == {
        "schema": "stt.speech/1",
        **HEADER,
        "active": True,
        "utterance_id": uid(4),
        "seq": 4,
    }


def test_an_end_without_text() -> None:
    closed = Closed(started(4, 812_345.0), ended(4, 812_346.0), Outcome.NO_SPEECH)
    assert decoded(payloads.ended(closed, IDENTITY, MOMENT)) == {
        "schema": "stt.ended/1",
        **HEADER,
        "utterance_id": uid(4),
        "seq": 4,
        "outcome": "no_speech",
        "start_unix_ms": 1_780_306_200_000,
        "end_unix_ms": 1_780_306_201_000,
    }
    crashed = Closed(started(4, 812_345.0), None, Outcome.FAILED)
    assert decoded(payloads.ended(crashed, IDENTITY, MOMENT))["end_unix_ms"] is None


BEFORE = EarlierBoot("boot-0", WALL - 5_000.0, clock_synced=False)


def test_speech_of_an_earlier_boot_has_that_boots_times_and_an_age_by_the_wall_clock() -> None:
    spoken = final(3, at=4_000.0, boot=BEFORE)  # 1 000 s ago
    late = Route("late", LateReason.EARLIER_BOOT, None)
    message = decoded(payloads.transcript(spoken, IDENTITY, MOMENT, late, more_speech=False))
    assert message.items() >= HEADER.items()
    assert message["late_reason"] == "earlier_boot"
    assert (message["boot_id"], message["clock_synced"]) == ("boot-0", False)
    assert message["start_unix_ms"] == round((WALL - 1001.5) * 1000)
    assert message["end_unix_ms"] == round((WALL - 1000) * 1000)
    assert message["emit_unix_ms"] == round(WALL * 1000)
    assert message["age_ms"] == message["latency"]["end_to_publish_ms"] == 1_000_000
    assert message["mono_end_ns"] == 4_000_000_000_000
    assert message["mono_emit_ns"] == 5_000_000_000_000
    assert message["expires_at"] < message["t"]


def test_a_clock_that_went_back_between_two_boots_makes_nothing_younger_than_now() -> None:
    spoken = final(3, at=9_000.0, boot=BEFORE)
    late = Route("late", LateReason.EARLIER_BOOT, None)
    message = decoded(payloads.transcript(spoken, IDENTITY, MOMENT, late, more_speech=False))
    assert message["age_ms"] == 0
    assert message["end_unix_ms"] == round((WALL + 4_000) * 1000)


def test_a_boot_whose_clock_was_never_set_is_unsynced() -> None:
    spoken = final(3, at=50.0, boot=EarlierBoot("boot-0", 0.0, clock_synced=False))
    assert cautions.of_final(spoken, MOMENT, more_speech=False) == ["unsynced"]


def test_an_end_of_an_earlier_boot_has_that_boots_times() -> None:
    closed = Closed(started(4, 3_999.0, BEFORE), ended(4, 4_000.0), Outcome.EVICTED)
    message = decoded(payloads.ended(closed, IDENTITY, MOMENT))
    assert message["start_unix_ms"] == round((WALL - 1001) * 1000)
    assert message["end_unix_ms"] == round((WALL - 1000) * 1000)
    assert message.items() >= HEADER.items()


def test_an_event_and_an_alert() -> None:
    happened = Event("audio_gap", {"lost_ms": 120})
    assert decoded(payloads.event(happened, IDENTITY, MOMENT)) == {
        "schema": "stt.event/1",
        **HEADER,
        "event": "audio_gap",
        "detail": {"lost_ms": 120},
    }
    raised = Alert("no_device", "no microphone", "plug it in")
    assert decoded(payloads.alert(raised, 812_287.011, IDENTITY, MOMENT)) == {
        "schema": "stt.alert/1",
        **HEADER,
        "code": "no_device",
        "severity": "error",
        "since": "2026-06-01T09:29:02.011Z",
        "message": "no microphone",
        "remedy": "plug it in",
    }


def test_the_state_has_every_field_of_the_contract_and_null_where_nothing_is_known() -> None:
    link = Link(LinkState.BACKOFF, 812_345.011, "HTTP 503")
    device = Device("hw:1,0", 16000, 1, "open")
    message = decoded(
        payloads.state(State(hearing=True, link=link, device=device), IDENTITY, MOMENT)
    )
    assert message["schema"] == "stt.state/1"
    assert message.items() >= HEADER.items()
    assert message["link"] == {
        "state": "backoff",
        "since": "2026-06-01T09:30:00.011Z",
        "last_error": "HTTP 503",
    }
    assert message["device"] == {"name": "hw:1,0", "rate": 16000, "channels": 1, "state": "open"}
    assert message.keys() - {"schema", *HEADER} == {
        "hearing", "hearing_reason", "state", "mute_reasons", "link", "device", "level_dbfs",
        "noise_floor_dbfs", "heard", "last_frame_age_ms", "last_final_age_s", "backlog",
        "echo_signal", "fast_words", "language", "overrides", "clock_synced", "version",
        "config_sha", "config_on_disk_differs",
    }  # fmt: skip
    assert message["level_dbfs"] is None
