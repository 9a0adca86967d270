"""Whatever a client sends, and whenever, the session keeps its own rules."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.dialects import Close, Timing
from scribed.simulate.dialects.elevenlabs import MIN_COMMIT_S
from tests.simulate.dialogue import Dialogue, chunk, chunk_of
from tests.simulate.sockets import voice

VOICE = voice(2.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
VOICED = st.integers(1, 20).map(lambda tenths: chunk_of(VOICE[: 3200 * tenths]))
CHUNKS = st.builds(
    chunk,
    st.sampled_from([0.0, 0.0, 0.1, 0.29, 0.3, 1.0, 2.0, 2.1]),
    commit=st.booleans(),
)
ODD_CHUNKS = st.builds(
    lambda fields: chunk(**fields),
    st.fixed_dictionaries(
        {},
        optional={
            "audio_base_64": JSON | st.binary().map(lambda data: base64.b64encode(data).decode()),
            "previous_text": JSON,
            "sample_rate": JSON,
            "message_type": JSON,
        },
    ),
)
MESSAGES: st.SearchStrategy[str | bytes] = st.one_of(
    CHUNKS, CHUNKS, CHUNKS, VOICED, VOICED, ODD_CHUNKS, st.text(), st.binary(), JSON.map(json.dumps)
)
STEPS = st.lists(MESSAGES | st.floats(0, 20), max_size=40)
QUERIES = st.sampled_from(
    [
        "",
        "include_timestamps=true",
        "include_language_detection=true",
        "include_timestamps=true&include_language_detection=true&entity_detection=all",
        "keepalive_interval_ms=500&audio_format=ulaw_8000",
        "audio_format=pcm_48000&enable_logging=false",
        "language_code=en-US",
        "commit_strategy=vad&vad_silence_threshold_secs=0.3&include_timestamps=true",
        "commit_strategy=turn_prediction&diarize=true&entity_redaction=all&no_verbatim=true",
        "model_id=scribe_v3_live&transcript_edit=tidy",
    ]
)
ANSWERS = st.lists(st.sampled_from(["", "stop", "turn left please"]), min_size=1, max_size=3)


def run(dialogue: Dialogue, steps: list[str | bytes | float]) -> None:
    for step in steps:
        if isinstance(step, float):
            dialogue.wait(step)
        else:
            dialogue.send(step)


@given(QUERIES | st.text(), STEPS, ANSWERS, st.sampled_from([0.0, 2.0]))
def test_nothing_that_a_client_sends_raises_and_a_close_is_the_last_thing_it_gets(
    query: str, steps: list[Any], answers: list[str], warmup_s: float
) -> None:
    dialogue = Dialogue(query, answers=tuple(answers), timing=Timing(warmup_s=warmup_s))
    run(dialogue, steps)
    dialogue.wait(60)
    closes = [index for index, (_, output) in enumerate(dialogue.got) if isinstance(output, Close)]
    assert closes == [len(dialogue.got) - 1], "60 s of silence end every session, once"
    assert dialogue.session.timer() is None
    assert all(isinstance(frame["message_type"], str) for frame in dialogue.frames())
    times = [at for at, _ in dialogue.got]
    assert times == sorted(times)


@given(QUERIES, STEPS, ANSWERS)
def test_answers_are_never_more_than_commits_and_keep_their_order(
    query: str, steps: list[Any], answers: list[str]
) -> None:
    dialogue = Dialogue(query, answers=tuple(answers))
    run(dialogue, steps)
    dialogue.wait(1)
    taken = [record for record in dialogue.records if record.answered_at is None]
    answered = [record for record in dialogue.records if record.answered_at is not None]
    assert [record.number for record in taken] == list(range(1, len(taken) + 1))
    assert [record.number for record in answered] == list(range(1, len(answered) + 1))
    assert all(record.duration_s >= MIN_COMMIT_S for record in taken)
    assert dialogue.texts("committed_transcript") == [record.text for record in answered]
    if dialogue.end is None and "en-US" not in query:
        assert len(answered) == len(taken)
