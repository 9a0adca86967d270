"""What was promised to robots stays: a change that takes something away fails here."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from scribed.delivery.topics import RULES
from tests.delivery.schema_compat import broken, current, frozen

FROZEN, CURRENT = frozen(), current()


@pytest.mark.parametrize("name", FROZEN)
def test_nothing_that_was_promised_is_taken_away(name: str) -> None:
    assert name in CURRENT, f"{name.removesuffix('.json')} was promised, and is gone"
    assert broken(name, FROZEN[name], CURRENT[name]) == []


def test_every_topic_is_promised() -> None:
    assert {f"{topic}.json" for topic in (*RULES, "topics")} <= set(FROZEN)


def test_what_is_compared_is_what_was_printed() -> None:
    for name, document in CURRENT.items():
        assert broken(name, document, json.loads(json.dumps(document))) == []


Mutation = Callable[[dict[str, Any]], object]


def fields(document: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = document["properties"]
    return said


def add_field(document: dict[str, Any]) -> None:
    fields(document)["mood"] = {"type": "string"}


def changed(name: str, mutation: Mutation) -> list[str]:
    """What is broken where `mutation` is made of what there is now."""
    document = copy.deepcopy(CURRENT[name])
    mutation(document)
    assert document != CURRENT[name], "nothing was changed"
    return broken(name, CURRENT[name], document)


BREAKING: dict[str, tuple[str, Mutation]] = {
    "a field is removed": ("transcript", lambda d: fields(d).pop("norm")),
    "a field of a part is removed": (
        "late",
        lambda d: d["$defs"]["Word"]["properties"].pop("text"),
    ),
    "a field of another part changes its type": (
        "state",
        lambda d: d["$defs"]["Device"]["properties"]["rate"].update(type="string"),
    ),
    "a field changes its type": ("speech", lambda d: fields(d)["seq"].update(type="string")),
    "an integer becomes a number": ("speech", lambda d: fields(d)["seq"].update(type="number")),
    "an item changes its type": (
        "partial",
        lambda d: fields(d)["warnings"]["items"].update(type="integer"),
    ),
    "a figure changes its type": (
        "metrics",
        lambda d: fields(d)["metrics"]["additionalProperties"].update(type="string"),
    ),
    "a known value is taken away": (
        "ended",
        lambda d: fields(d)["outcome"]["anyOf"][0]["enum"].remove("muted"),
    ),
    "a known value in a list is taken away": (
        "transcript",
        lambda d: fields(d)["caution"]["items"]["anyOf"][0]["enum"].remove("cut"),
    ),
    "the known values are gone": (
        "ended",
        lambda d: d["properties"].update(outcome={"type": "string"}),
    ),
    "the only values are others": ("muted", lambda d: d.update(enum=["ON", "OFF", "MAYBE"])),
    "a schema has another name": (
        "event",
        lambda d: fields(d)["schema"].update(const="stt.event/2"),
    ),
    "a field may be null now": (
        "ended",
        lambda d: fields(d)["seq"].update(type=["integer", "null"]),
    ),
    "a field with known values may be null now": (
        "transcript",
        lambda d: fields(d)["final_reason"]["anyOf"][1].update(type=["string", "null"]),
    ),
    "a field may be absent now": ("alert", lambda d: d["required"].remove("remedy")),
    "a time is any text now": ("alert", lambda d: fields(d)["since"].pop("format")),
    "a limit is wider": ("transcript", lambda d: fields(d)["confidence"].update(maximum=100)),
    "there is no limit any more": ("transcript", lambda d: fields(d)["confidence"].pop("maximum")),
    "a reply has another shape": ("reply", lambda d: d["oneOf"][1]["properties"].pop("error")),
    "there is a third kind of reply": ("reply", lambda d: d["oneOf"].append({"type": "object"})),
    "a command wants one more argument": ("cmd-flush", lambda d: d.update(required=["req"])),
    "a command knows an argument no more": (
        "cmd-mute",
        lambda d: d["anyOf"][0]["properties"].pop("purge"),
    ),
    "a command takes less": (
        "cmd-restate",
        lambda d: fields(d)["since_seq"].update(maximum=1000),
    ),
    "a command takes null no more": ("cmd-flush", lambda d: fields(d)["req"].update(type="string")),
    "a command takes no bare word any more": ("cmd-mute", lambda d: d["anyOf"].pop()),
    "a topic is gone": ("topics", lambda d: d["topics"].pop("text")),
    "a topic is retained": ("topics", lambda d: d["topics"]["speech"].update(retain=True)),
    "an alert is gone": ("topics", lambda d: d["alerts"].remove("quota")),
}

ADDING: dict[str, tuple[str, Mutation]] = {
    "a field is added": ("transcript", add_field),
    "a field that is always there is added": (
        "speech",
        lambda d: d.update(
            properties={**fields(d), "mood": {"type": "string"}}, required=[*d["required"], "mood"]
        ),
    ),
    "a value is added": (
        "ended",
        lambda d: fields(d)["outcome"]["anyOf"][0]["enum"].append("lost"),
    ),
    "a field is never null any more": (
        "state",
        lambda d: fields(d)["hearing"].update(type="boolean"),
    ),
    "a number is always whole": (
        "metrics",
        lambda d: fields(d)["metrics"]["additionalProperties"].update(type="integer"),
    ),
    "a limit is narrower": ("transcript", lambda d: fields(d)["seq"].update(minimum=1)),
    "a command wants one argument less": (
        "cmd-mute",
        lambda d: d["anyOf"][0].update(required=[]),
    ),
    "a command knows one more argument": ("cmd-flush", add_field),
    "a command takes more": ("cmd-restate", lambda d: fields(d)["since_seq"].pop("maximum")),
    "a command takes null": (
        "cmd-restate",
        lambda d: fields(d)["since_seq"].update(type=["integer", "null"]),
    ),
    "a command takes a bare word": (
        "cmd-mute",
        lambda d: d["anyOf"].append({"type": "integer"}),
    ),
    "a topic is added": ("topics", lambda d: d["topics"].update(mood={"qos": 1})),
    "an alert is added": ("topics", lambda d: d["alerts"].append("on_fire")),
}


@pytest.mark.parametrize("what", BREAKING)
def test_what_takes_something_away_is_found(what: str) -> None:
    name, mutation = BREAKING[what]
    assert len(changed(f"{name}.json", mutation)) == 1


@pytest.mark.parametrize("what", ADDING)
def test_what_only_adds_passes(what: str) -> None:
    name, mutation = ADDING[what]
    assert changed(f"{name}.json", mutation) == []
