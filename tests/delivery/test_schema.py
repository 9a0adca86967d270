"""The JSON Schemas say what the daemon says, in every field, and what it takes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scribed.contract import examples, schemas, values, words
from scribed.contract.asked import ASKS
from scribed.contract.topics import TOPICS
from scribed.delivery import payloads
from scribed.delivery.commands import COMMANDS, Request, parse
from scribed.delivery.events import Asked
from scribed.delivery.moment import Moment
from scribed.delivery.topics import ALERT_CODES, RULES, LateReason, Route
from scribed.model import Answer, Entity, Partial, Word
from tests.delivery.peers import IDENTITY, PROVIDER, final, started
from tests.delivery.schema_check import assert_valid, is_valid
from tests.e2e import contract

SOURCE = Path(schemas.__file__).parent.parent
WALL = 1_780_306_202.0
MOMENT = Moment(now=812_347.0, wall=WALL, clock_synced=True)
FRESH = Route("transcript", None, 4)
LATE = Route("late", LateReason.STALE, None)


def decoded(message: msgspec.Struct) -> Any:
    return msgspec.json.decode(payloads.encode(message))


@pytest.mark.parametrize("name", schemas.PAYLOADS)
def test_every_schema_is_one_and_says_what_its_fields_mean(name: str) -> None:
    document = schemas.document(name)
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    for fields in every_properties(document):
        assert all(field["description"] for field in fields.values())


def every_properties(schema: object) -> Iterator[dict[str, Any]]:
    """The fields of each object in `schema`."""
    if isinstance(schema, dict):
        fields = schema.get("properties")
        if isinstance(fields, dict):
            yield fields
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from every_properties(each)


def test_every_topic_and_every_command_has_a_schema() -> None:
    assert set(schemas.PAYLOADS) == set(TOPICS) == {*RULES, *(f"cmd/{name}" for name in COMMANDS)}


@pytest.mark.parametrize("name", schemas.PAYLOADS)
def test_examples_are_valid_and_there_is_one_of_each(name: str) -> None:
    said = examples.values_of()[name]
    assert said
    for value in said:
        assert_valid(name, value)


Types = Mapping[str, tuple[type, ...]]

FIELDS: Mapping[str, Types] = {
    "state": contract.STATE,
    "transcript": contract.TRANSCRIPT,
    "late": contract.TRANSCRIPT,
    "speech": contract.SPEECH,
    "ended": contract.ENDED,
    "event": contract.EVENT,
    "alert": contract.ALERT,
    "metrics": contract.METRICS,
    "partial": contract.TRANSCRIPT,
}
TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}
PARTS: Mapping[str, Types] = {
    "Latency": contract.LATENCY,
    "Provider": contract.PROVIDER,
    "Word": contract.WORD,
    "Entity": contract.ENTITY,
    "LinkMessage": contract.LINK,
    "Device": contract.DEVICE,
    "Backlog": contract.BACKLOG,
    "ReplyError": contract.REPLY_ERROR,
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_and_types_are_those_of_the_contract(name: str) -> None:
    """Held against what was written down by hand; a topic may narrow a type, never widen it."""
    document = schemas.document(name)
    assert_fields(document, FIELDS[name])
    for part, fields in document.get("$defs", {}).items():
        assert_fields(fields, PARTS[part])


def test_the_fields_of_both_replies_are_those_of_the_contract() -> None:
    document = schemas.document("reply")
    done, refused = document["oneOf"]
    assert_fields(done, contract.REPLY | {"result": (dict,)})
    assert_fields(refused, contract.REPLY | {"error": (dict,)})
    assert_fields(document["$defs"]["ReplyError"], contract.REPLY_ERROR)


def assert_fields(schema: Mapping[str, Any], fields: Types) -> None:
    assert set(schema["properties"]) == set(schema["required"]) == set(fields)
    for name, types in fields.items():
        said = types_of(schema["properties"][name])
        assert said <= {TYPES[each] for each in types}, name


def types_of(field: Mapping[str, Any]) -> set[str]:
    if "$ref" in field:
        return {"object"}
    kind = field["anyOf"][-1] if "anyOf" in field else field
    return set(kind["type"]) if isinstance(kind["type"], list) else {kind["type"]}


@pytest.mark.parametrize(
    ("described", "known"),
    [
        (values.CAUTIONS, contract.CAUTIONS),
        (values.FINAL_REASONS, contract.FINAL_REASONS),
        (values.LATE_REASONS, contract.LATE_REASONS),
        (values.OUTCOMES, contract.OUTCOMES),
        (values.ERRORS, contract.ERROR_CODES),
        (values.LINK_STATES, contract.LINK_STATES),
        (values.HEARING_REASONS, contract.HEARING_REASONS),
        (values.ALERTS, ALERT_CODES),
    ],
)
def test_values_are_those_of_the_contract(described: values.Values, known: tuple[str, ...]) -> None:
    assert set(described) == set(known)


def test_an_enumeration_that_grows_needs_words_for_what_is_new() -> None:
    with pytest.raises(ValueError, match="left"):
        values._of(("stayed", "left"), stayed="where it was")


def calls(function: str) -> Iterator[ast.Call]:
    """Every call of `function` in the daemon."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name == function:
                    yield node


def test_every_event_that_the_daemon_tells_is_described_with_its_detail() -> None:
    told: dict[str, set[str] | None] = {}
    for call in calls("Event"):
        name = ast.literal_eval(call.args[0])
        match call.args[1:]:
            case []:
                told[name] = set()
            case [ast.Dict(keys=keys)]:
                told[name] = {ast.literal_eval(key) for key in keys if key is not None}
            case _:
                told[name] = None  # put together elsewhere
    assert set(told) == set(values.EVENTS)
    for name, detail in told.items():
        assert detail is None or detail == set(values.EVENTS[name].detail), name


def test_every_alert_that_the_daemon_raises_is_described() -> None:
    raised = {arg.value for call in calls("Alert") if isinstance(arg := call.args[0], ast.Constant)}
    assert raised
    assert raised <= set(values.ALERTS)


def test_every_field_has_words_and_no_words_are_about_nothing() -> None:
    described = dict(words.FIELDS)
    broken = {name: says for name, says in words.TRANSCRIPT.items() if name != "seq"}
    for fields in (broken, {**words.TRANSCRIPT, "seqq": words.Field("nothing")}):
        with pytest.raises(KeyError, match="seq"):
            shape(described, fields)


def shape(described: dict[type, words.Fields], fields: words.Fields) -> object:
    from scribed.contract.shapes import Components
    from scribed.delivery.schemas import Transcript

    return Components("", described | {Transcript: fields}).of(Transcript)


texts = st.text(max_size=20)
shares = st.none() | st.floats(0, 1)
counts = st.integers(0, 2**40)
answers = st.builds(
    Answer,
    texts.map(lambda text: f"go {text}"),
    words=st.none()
    | st.lists(st.builds(Word, texts, counts, counts, shares, st.none())).map(tuple),
    language=st.none() | texts,
    language_source=st.sampled_from([None, *values.LANGUAGE_SOURCES]),
    confidence=shares,
    guessed=st.booleans(),
    entities=st.none() | st.lists(st.builds(Entity, texts, texts, counts, counts)).map(tuple),
    redacted_text=st.none() | texts,
    edited_text=st.none() | texts,
    warnings=st.none() | st.lists(texts).map(tuple),
)


@given(answers, st.booleans(), st.sampled_from([*values.FINAL_REASONS]))
def test_whatever_the_service_answers_comes_out_as_the_schema_says(
    answer: Answer, more_speech: bool, reason: str
) -> None:
    spoken = final(7, 812_346.0, answer=answer, reason=reason)
    for name, route in (("transcript", FRESH), ("late", LATE)):
        said = payloads.transcript(spoken, IDENTITY, MOMENT, route, more_speech=more_speech)
        assert_valid(name, decoded(said))


@given(texts)
def test_whatever_is_said_so_far_comes_out_as_the_schema_says(text: str) -> None:
    said = Partial(started(3, 812_346.0), 2, f"go {text}", PROVIDER)
    assert_valid("partial", decoded(payloads.partial(said, IDENTITY, MOMENT)))


def test_a_text_is_valid_on_its_own_topic_only() -> None:
    on = {name: said[0] for name, said in examples.values_of().items()}
    for topic in ("transcript", "late", "partial"):
        for other in ("transcript", "late", "partial"):
            assert is_valid(topic, on[other]) == (topic == other)


def test_a_consumer_takes_what_later_versions_may_add() -> None:
    said = examples.values_of()["transcript"][0]
    later = said | {"mood": "calm", "caution": ["from_the_radio"], "final_reason": "hint"}
    assert is_valid("transcript", later)
    for wrong in ({"seq": "7"}, {"text": None}, {"schema": "stt.transcript/2"}, {"words": "Turn"}):
        assert not is_valid("transcript", said | wrong)
    assert not is_valid("transcript", {k: v for k, v in said.items() if k != "caution"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "on": st.booleans() | json_values,
        "purge": st.booleans() | json_values,
        "since_seq": json_values | st.sampled_from([0, 17, 2**53 - 1, 2**53, 0.5]),
        "req": json_values | st.sampled_from(["r" * 128, "r" * 129]),
        "expires_at": json_values
        | st.sampled_from(["2100-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00", "2100-01-01"]),
        "something": json_values,
    },
)


@given(st.sampled_from(COMMANDS), json_values | arguments)
def test_a_command_is_taken_where_its_schema_takes_it_and_nowhere_else(
    name: str, said: object
) -> None:
    asked = Asked(name, msgspec.json.encode(said))
    taken = isinstance(parse(asked, COMMANDS, WALL), Request)
    assert taken == is_valid(f"cmd/{name}", said)


@pytest.mark.parametrize("name", ASKS)
def test_the_commands_that_are_shown_are_taken(name: str) -> None:
    for payload in ASKS[name].examples:
        assert isinstance(parse(Asked(name, payload.encode()), COMMANDS, WALL), Request)
    bare = [
        isinstance(parse(Asked(name, word), COMMANDS, WALL), Request) for word in (b"ON", b"off")
    ]
    assert bare == [ASKS[name].bare] * 2


def test_the_daemon_imports_nothing_of_it() -> None:
    code = "import sys, scribed.daemon; print([m for m in sys.modules if 'scribed.contract' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "[]\n"
