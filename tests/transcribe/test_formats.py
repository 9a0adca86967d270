"""Transcripts as files, to the last byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scribed.model import (
    Answer,
    EndReason,
    Final,
    Provider,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    Word,
)
from scribed.transcribe.formats import Format, Spoken, Writer, stamp

TURN = "Turn left, please."
TURN_WORDS = (Word("Turn", 40, 210, 0.95), Word("left,", 210, 600), Word("please.", 700, 1300))
LONG = (
    "Mister John Dashwood had then leisure to consider how much there might be prudently in his "
    "power to do for them. He was not an ill-disposed young man, unless to be rather cold hearted "
    "is to be ill-disposed."
)


def spoken(text: str, seq: int = 1, start_ms: int = 0, end_ms: int = 1520, **more: Any) -> Spoken:
    utterance = UtteranceId(f"u{seq}")
    ended: dict[str, Any] = {"reason": EndReason.COMMIT, "audio_ms": end_ms - start_ms}
    ended |= {key: more.pop(key) for key in ("reason", "lost_ms") if key in more}
    final = Final(
        UtteranceStarted(utterance, seq, start_ms / 1000),
        UtteranceEnded(utterance, at=end_ms / 1000, **ended),
        1,
        Answer(text, **more),
        "commit",
        1,
        Provider("elevenlabs", "scribe_v2_realtime", "s1"),
        0.2,
        None,
        0.0,
    )
    return Spoken("talk.wav", seq, start_ms, end_ms, final)


def written(form: Format, *said: Spoken) -> str:
    writer = Writer(form)
    return writer.head() + "".join(map(writer.write, said))


def even(text: str, start_ms: int, word_ms: int) -> tuple[Word, ...]:
    """The words of `text`, one after the other."""
    return tuple(
        Word(word, start_ms + n * word_ms, start_ms + (n + 1) * word_ms)
        for n, word in enumerate(text.split())
    )


def test_text_is_a_line_for_each_utterance() -> None:
    said = [spoken(" Turn\n left. "), spoken("Stop!", 2)]
    assert written("text", *said) == "Turn left.\nStop!\n"


def test_srt_has_numbered_cues_with_the_words_times() -> None:
    said = [
        spoken(TURN, words=TURN_WORDS, start_ms=1000, end_ms=2520),
        spoken("Stop!", 2, start_ms=3_725_000, end_ms=3_725_500),
    ]
    assert written("srt", *said) == (
        "1\n"
        "00:00:01,040 --> 00:00:02,300\n"
        "Turn left, please.\n"
        "\n"
        "2\n"
        "01:02:05,000 --> 01:02:05,500\n"
        "Stop!\n"
        "\n"
    )


def test_vtt_has_a_head_and_no_markup_of_its_own() -> None:
    said = [spoken("a < b & c > d", start_ms=500, end_ms=2000)]
    assert written("vtt", *said) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\na &lt; b &amp; c &gt; d\n\n"
    )


def test_a_long_utterance_is_cut_where_a_sentence_ends() -> None:
    words = even(LONG, 0, 300)
    assert written("srt", spoken(LONG, words=words, end_ms=12_000)) == (
        "1\n"
        "00:00:00,000 --> 00:00:04,200\n"
        "Mister John Dashwood had then leisure to\n"
        "consider how much there might be prudently\n"
        "\n"
        "2\n"
        "00:00:04,200 --> 00:00:06,300\n"
        "in his power to do for them.\n"
        "\n"
        "3\n"
        "00:00:06,300 --> 00:00:08,400\n"
        "He was not an ill-disposed young man,\n"
        "\n"
        "4\n"
        "00:00:08,400 --> 00:00:11,400\n"
        "unless to be rather cold\n"
        "hearted is to be ill-disposed.\n"
        "\n"
    )


def test_numbers_of_cues_go_on_where_an_earlier_run_ended() -> None:
    writer = Writer("srt", cues=41)
    assert writer.write(spoken("Stop!")).startswith("42\n")
    assert writer.cues == 42


def test_who_speaks_is_told_and_never_two_in_a_cue() -> None:
    words = (Word("Yes?", 0, 400, None, "A & B"), Word("No.", 500, 900, None, "C"))
    said = spoken("Yes? No.", words=words, end_ms=900)
    assert written("srt", said) == (
        "1\n00:00:00,000 --> 00:00:00,500\nA & B: Yes?\n\n"
        "2\n00:00:00,500 --> 00:00:00,900\nC: No.\n\n"
    )
    assert "<v A &amp; B>Yes?" in written("vtt", said)


def test_what_was_asked_to_be_redacted_is_redacted_for_people() -> None:
    said = spoken("I am Ann.", redacted_text="I am [NAME].", words=even("I am Ann.", 0, 400))
    forms: tuple[Format, ...] = ("text", "srt", "vtt")
    for form in forms:
        assert "Ann" not in written(form, said)
        assert "[NAME]" in written(form, said)


def test_a_json_line_has_the_fields_of_a_transcript_and_the_time_in_the_source() -> None:
    said = spoken(
        TURN, 3, 1000, 2520, words=TURN_WORDS, language="en", language_source="detected",
        confidence=0.93,
    )  # fmt: skip
    (line,) = written("jsonl", said).splitlines()
    assert json.loads(line) == {
        "source": "talk.wav",
        "utterance_id": "u3",
        "seq": 3,
        "final_reason": "commit",
        "continues": None,
        "text": TURN,
        "norm": "turn left please",
        "caution": [],
        "language": "en",
        "language_source": "detected",
        "confidence": 0.93,
        "words": [
            {"text": "Turn", "start_ms": 40, "end_ms": 210, "confidence": 0.95, "speaker": None},
            {"text": "left,", "start_ms": 210, "end_ms": 600, "confidence": None, "speaker": None},
            {
                "text": "please.",
                "start_ms": 700,
                "end_ms": 1300,
                "confidence": None,
                "speaker": None,
            },
        ],
        "entities": None,
        "redacted_text": None,
        "edited_text": None,
        "warnings": None,
        "start_ms": 1000,
        "end_ms": 2520,
        "audio_ms": 1520,
        "audio_lost_ms": 0,
        "level_dbfs": None,
        "snr_db": None,
        "provider": {"name": "elevenlabs", "model": "scribe_v2_realtime", "session_id": "s1"},
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("more", "caution"),
    [
        ({"reason": EndReason.COMMIT}, []),
        ({"reason": EndReason.FLUSH}, []),
        ({"reason": EndReason.LENGTH}, ["cut"]),
        ({"guessed": True}, ["guessed"]),
        ({"lost_ms": 20}, ["audio_lost"]),
    ],
)
def test_cautions_are_those_that_mean_something_here(
    more: dict[str, Any], caution: list[str]
) -> None:
    assert json.loads(written("jsonl", spoken("Stop!", **more)))["caution"] == caution


def test_a_language_that_is_not_spoken_here_is_a_caution() -> None:
    said = spoken("Ja.", language="deu", language_source="detected")
    for languages, caution in ((["en"], ["language"]), (["de"], []), ([], [])):
        line = Writer("jsonl", languages=languages).write(said)
        assert json.loads(line)["caution"] == caution


def test_stamps() -> None:
    assert stamp(0) == "00:00:00.000"
    assert stamp(360_000_001, ",") == "100:00:00,001"
