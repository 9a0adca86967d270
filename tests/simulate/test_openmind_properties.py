"""Whatever a client sends OpenMind's proxy, and whenever, the session keeps its own rules."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate.dialects import Close, Timing
from scribed.simulate.dialects.openmind_faults import OPENMIND_FAULTS
from scribed.simulate.dialects.openmind_routes import ROUTES
from tests.simulate.openmind import Dialogue, binary, silence, speech, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PCM = st.builds(
    lambda make, seconds: make(seconds),
    st.sampled_from([speech, silence]),
    st.sampled_from([0.01, 0.05, 0.1, 0.3, 1.0, 2.0]),
)
AUDIO = st.builds(lambda make, pcm: make(pcm), st.sampled_from([text, binary]), PCM)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "rate": st.sampled_from([8_000, 16_000, 44_100, 48_000, 10**12]) | JSON,
        "language_code": st.sampled_from(["auto", "en", "en-US"]) | JSON,
        "timestamp": JSON,
    },
)
ODD: st.SearchStrategy[str | bytes] = st.one_of(
    st.builds(lambda pcm, fields: text(pcm, **fields), PCM | st.binary(max_size=9), FIELDS),
    st.builds(lambda pcm, fields: binary(pcm, **fields), PCM | st.binary(max_size=9), FIELDS),
    st.builds(lambda fields, audio: json.dumps({**fields, "audio": audio}), FIELDS, JSON),
    st.builds(lambda n, rest: struct.pack(">I", n) + rest, st.integers(0, 2**32 - 1), st.binary()),
    st.text(),
    st.binary(),
    JSON.map(json.dumps),
)
PATHS = st.sampled_from(list(ROUTES))
WAITS = st.sampled_from([0.0, 0.1, 0.3, 1.0, 9.0, 20.0])
FAULTS = st.sampled_from(
    [*[name for name, fault in OPENMIND_FAULTS.items() if fault.is_event], "transcriber_error"]
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "final": st.sampled_from([None, "committed", "final", ""]),
        "restart": st.sampled_from(["lose", "commit"]),
        "binary": st.sampled_from(["header", "raw"]),
        "echo": st.booleans(),
    },
)
ANSWERS = st.lists(st.sampled_from(["", "stop", "turn left please"]), min_size=1, max_size=3)


class Fault(str):
    """A step: this goes wrong."""

    __slots__ = ()


def run(dialogue: Dialogue, steps: list[str | bytes | float | Fault]) -> None:
    for step in steps:
        if isinstance(step, float):
            dialogue.wait(step)
        elif isinstance(step, Fault):
            dialogue.fail(step)
        else:
            dialogue.send(step)


@given(
    PATHS,
    st.lists(AUDIO | ODD | WAITS | FAULTS.map(Fault), max_size=30),
    ANSWERS,
    OPTIONS,
    st.sampled_from([0.0, 3.0]),
)
def test_nothing_that_a_client_sends_raises_and_nothing_follows_a_close(
    path: str, steps: list[Any], answers: list[str], options: dict[str, Any], session_s: float
) -> None:
    timing = Timing(session_s=session_s, warmup_s=0.0)
    dialogue = Dialogue(path, answers=tuple(answers), timing=timing, **options)
    run(dialogue, steps)
    dialogue.wait(60)
    closes = [index for index, (_, output) in enumerate(dialogue.got) if isinstance(output, Close)]
    assert closes in ([], [len(dialogue.got) - 1])
    assert (dialogue.session.timer() is None) == bool(closes)
    times = [at for at, _ in dialogue.got]
    assert times == sorted(times)
    assert all(isinstance(message, dict) for message in dialogue.messages())


@given(PATHS, st.lists(AUDIO | WAITS, max_size=30), ANSWERS)
def test_every_committed_segment_is_answered_once_and_in_order(
    path: str, steps: list[Any], answers: list[str]
) -> None:
    dialogue = Dialogue(path, answers=tuple(answers), timing=Timing(warmup_s=0.0))
    run(dialogue, steps)
    dialogue.wait(1)
    taken = [record for record in dialogue.records if record.answered_at is None]
    answered = [record for record in dialogue.records if record.answered_at is not None]
    assert [record.number for record in taken] == list(range(1, len(taken) + 1))
    assert [record.number for record in answered] == [r.number for r in taken][: len(answered)]
    if dialogue.end is None:
        assert len(answered) == len(taken)
    texts = [record.text for record in answered]
    if path.endswith("elevenlabs/asr"):
        assert dialogue.finals() == texts
    else:
        assert dialogue.finals() == [text for text in texts if text]
    ends = [round(record.start_s + record.duration_s, 6) for record in taken]
    assert [round(record.start_s, 6) for record in taken[1:]] == ends[:-1]


@given(
    st.lists(AUDIO | WAITS | st.just(Fault("openmind-restart")), max_size=30),
    st.sampled_from(["lose", "commit"]),
)
def test_restarts_lose_answers_at_most_and_never_confuse_them(
    steps: list[Any], restart: str
) -> None:
    dialogue = Dialogue(
        answers=tuple(str(number) for number in range(100)),
        timing=Timing(idle_s=10_000.0, warmup_s=0.0),
        restart=restart,
    )
    run(dialogue, steps)
    dialogue.wait(1)
    answered = [record for record in dialogue.records if record.answered_at is not None]
    assert dialogue.finals() == [record.text for record in answered]
    numbers = [record.number for record in answered]
    assert numbers == sorted(set(numbers))
    assert [record.text for record in answered] == [str(number - 1) for number in numbers]
    if restart == "commit":
        assert len(answered) == len({record.number for record in dialogue.records})
