"""What the service adds to a committed text, if it is asked to."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.dialects import Timing
from scribed.simulate.dialects import elevenlabs_extras as extras
from tests.simulate.dialogue import Dialogue, chunk

QUIET = Timing(partial_every_s=0.0)
TEXT = "mail ann@example.com or call 555 123 4567 at ten"


def said(query: str, *answers: str, timing: Timing = QUIET) -> Dialogue:
    """A session that has committed these texts."""
    dialogue = Dialogue(query, answers=answers, timing=timing)
    for _ in answers:
        dialogue.send(chunk(1.0, commit=True))
        dialogue.wait(1.0)
    return dialogue


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ("all", ["email_address", "phone_number", "number"]),
        ("pii", ["email_address", "phone_number"]),
        ("number", ["number", "number", "number", "number"]),
        ("phi", []),
    ],
)
def test_entities_are_found_by_type_and_by_category(wanted: str, kinds: list[str]) -> None:
    (frame,) = said(f"entity_detection={wanted}", TEXT).frames("committed_transcript_entities")
    assert [entity["entity_type"] for entity in frame["entities"]] == kinds
    for entity in frame["entities"]:
        assert TEXT[entity["start_char"] : entity["end_char"]] == entity["text"]


def test_a_text_without_entities_has_an_empty_list() -> None:
    (frame,) = said("entity_detection=all", "go forward").frames("committed_transcript_entities")
    assert (frame["text"], frame["entities"]) == ("go forward", [])


@pytest.mark.parametrize(
    ("mode", "hidden"),
    [
        ("", "gates {NUMBER_1} and {NUMBER_2}"),
        ("&entity_redaction_mode=entity_type", "gates {NUMBER} and {NUMBER}"),
        ("&entity_redaction_mode=redacted", "gates {REDACTED} and {REDACTED}"),
    ],
)
def test_redaction_has_three_forms_and_leaves_the_other_texts_as_they_are(
    mode: str, hidden: str
) -> None:
    dialogue = said(f"entity_redaction=all&include_timestamps=true{mode}", "gates 12 and seven")
    (frame,) = dialogue.frames("redacted_transcript")
    assert (frame["text"], frame["redacted_text"]) == ("gates 12 and seven", hidden)
    assert dialogue.texts("committed_transcript") == ["gates 12 and seven"]


@pytest.mark.parametrize(
    ("instruction", "edited"),
    [
        ("fix the punctuation", "Turn left."),
        ("write all in UPPER CASE", "TURN LEFT"),
        ("use lower-case letters", "turn left"),
    ],
)
def test_an_edit_follows_a_simple_instruction(instruction: str, edited: str) -> None:
    (frame,) = said(f"transcript_edit={instruction}", "turn left").frames("edited_transcript")
    assert (frame["text"], frame["edited_text"]) == ("turn left", edited)


def test_an_edit_that_changes_nothing_is_sent_all_the_same() -> None:
    assert [
        frame["edited_text"]
        for frame in said("transcript_edit=tidy", "Stop.", "").frames("edited_transcript")
    ] == ["Stop.", ""]


def test_no_verbatim_leaves_out_what_nobody_meant_to_say() -> None:
    dialogue = said("no_verbatim=true&include_timestamps=true", "um turn uh left hmm")
    (frame,) = dialogue.frames("committed_transcript_with_timestamps")
    assert frame["text"] == "turn left"
    assert "".join(word["text"] for word in frame["words"]) == "turn left"
    assert dialogue.texts("committed_transcript") == ["turn left"]


def test_diarized_texts_follow_and_are_matched_by_their_segments_index() -> None:
    dialogue = said("diarize=true&include_timestamps=true", "one two", "three", "four")
    assert dialogue.kinds()[1:] == [
        *("committed_transcript", "committed_transcript_with_timestamps", "diarized_transcript"),
        *("committed_transcript", "committed_transcript_with_timestamps", "diarized_transcript"),
        *("committed_transcript", "committed_transcript_with_timestamps", "diarized_transcript"),
        "speakers_merged",
    ]
    for kind in ("committed_transcript", "diarized_transcript"):
        assert [frame["segment_index"] for frame in dialogue.frames(kind)] == [0, 1, 2]
    first = dialogue.frames("diarized_transcript")[0]
    assert first["text"] == "one two"
    assert {word["speaker_id"] for word in first["words"]} == {"speaker_0"}
    stamped = dialogue.frames("committed_transcript_with_timestamps")[0]
    assert {word["speaker_id"] for word in stamped["words"]} == {None}


def test_without_diarize_nobody_speaks_of_segments_or_speakers() -> None:
    dialogue = said("", "one")
    assert dialogue.kinds() == ["session_started", "committed_transcript"]
    assert "segment_index" not in dialogue.frames("committed_transcript")[0]


def test_two_people_are_told_apart_in_the_end_by_merges_that_chain() -> None:
    frames = said("diarize=true", *["word"] * 6).frames()
    same: dict[str, str] = {}
    speakers: list[str] = []
    for frame in frames:
        if frame["message_type"] == "diarized_transcript":
            speakers.append(frame["words"][0]["speaker_id"])
        elif frame["message_type"] == "speakers_merged":
            same[frame["from_speaker_id"]] = frame["to_speaker_id"]

    def who(speaker: str) -> str:
        return who(same[speaker]) if speaker in same else speaker

    assert len(set(speakers)) == 6, "ids are never used again"
    assert [who(speaker) for speaker in speakers] == ["speaker_0", "speaker_1"] * 3


WORDS = st.text(alphabet=string.ascii_lowercase + string.digits + " @.-+", max_size=60)
WANTED = st.lists(st.sampled_from(["all", "pii", "pci", "other", "number", "nothing"]), max_size=3)


@given(WORDS, WANTED)
def test_entities_lie_in_the_text_in_order_and_never_overlap(text: str, wanted: list[str]) -> None:
    end = 0
    for entity in extras.entities(text, wanted):
        assert end <= entity.start < entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
        end = entity.end


@given(WORDS, WANTED)
def test_redaction_hides_every_entity_and_nothing_else(text: str, wanted: list[str]) -> None:
    rest: Any = text
    hidden = extras.redacted(text, wanted, "redacted")
    for part in hidden.split("{REDACTED}"):
        assert part in rest
        rest = rest[rest.index(part) + len(part) :]
    assert hidden.count("{REDACTED}") == len(extras.entities(text, wanted))
