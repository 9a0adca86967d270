"""The AsyncAPI document is one, and says how each message really travels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from scribed.contract import asyncapi, schemas
from scribed.contract.topics import LEFT_OF_FRESHNESS, TOPICS
from scribed.delivery.topics import ALERT_CODES, RULES
from tests.e2e import contract

SPECIFICATION = (
    Path(__file__).parent.parent.parent
    / "tests/simulate/js/node_modules/@asyncapi/specs/schemas/3.0.0.json"
)
"""The AsyncAPI initiative's own JSON Schema, from npm."""

DOCUMENT = asyncapi.document()


def found(reference: str) -> Any:
    """What `reference` refers to; KeyError: nothing."""
    at: Any = DOCUMENT
    assert reference.startswith("#/")
    for level in reference[2:].split("/"):
        at = at[level]
    return at


def references(part: Any) -> Iterator[str]:
    """Every reference in `part`."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def operation(topic: str) -> dict[str, Any]:
    action = "receive" if topic.startswith("cmd/") else "send"
    said: dict[str, Any] = DOCUMENT["operations"][f"{action}_{topic.replace('/', '_')}"]
    return said


@pytest.mark.skipif(not SPECIFICATION.is_file(), reason="@asyncapi/specs is not installed (npm)")
def test_it_is_valid_by_the_specification_s_own_schema() -> None:
    specification = Draft7Validator(json.loads(SPECIFICATION.read_text("utf-8")))
    assert [f"{e.json_path}: {e.message}" for e in specification.iter_errors(DOCUMENT)] == []


def test_it_is_a_document_of_version_3_with_all_that_one_needs() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert DOCUMENT.keys() >= {"servers", "channels", "operations", "components"}
    for server in DOCUMENT["servers"].values():
        assert server["protocol"] == "mqtt"
        assert server["host"].format(**{k: v["default"] for k, v in server["variables"].items()})


def test_every_reference_leads_somewhere() -> None:
    all_of_them = list(references(DOCUMENT))
    assert len(all_of_them) > 100
    for reference in all_of_them:
        assert found(reference)


def test_nothing_is_described_that_is_not_used() -> None:
    used = set(references(DOCUMENT))
    for kind in ("messages", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in used


def test_every_topic_is_a_channel_with_its_parameters_and_one_operation() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    base = "scribed/{robot}/{source}"
    lasts = {"alert": "alert/{code}", "word": "word/{word}"}
    names = {lasts.get(name, name) for name in TOPICS}
    assert addresses == {f"{base}/{name}" for name in names}
    for channel in DOCUMENT["channels"].values():
        inside = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
        assert set(channel["parameters"]) == inside
    used = [operation(name)["channel"]["$ref"] for name in TOPICS]
    assert sorted(used) == sorted(f"#/channels/{name}" for name in DOCUMENT["channels"])
    assert DOCUMENT["channels"]["alert"]["parameters"]["code"]["enum"] == list(ALERT_CODES)


def test_an_operation_s_messages_are_its_channel_s() -> None:
    for each in DOCUMENT["operations"].values():
        for part in (each, each.get("reply", each)):
            channel = part["channel"]["$ref"]
            assert part["messages"]
            assert all(m["$ref"].startswith(f"{channel}/messages/") for m in part["messages"])


@pytest.mark.parametrize("topic", RULES)
def test_qos_retain_flag_and_expiry_are_those_of_the_contract(topic: str) -> None:
    """Held against what was written down by hand."""
    qos, retained, expiry = contract.RULES[topic]
    binding = operation(topic)["bindings"]["mqtt"]
    assert (binding["qos"], binding["retain"]) == (qos, retained)
    said = binding.get("messageExpiryInterval")
    if topic in LEFT_OF_FRESHNESS:
        assert said["minimum"] == (expiry or (None,))[0]
        assert f"{contract.RULES[topic][2][1]}" in said["description"]  # type: ignore[index]
    else:
        assert said == (None if expiry is None else expiry[1])


def test_all_bindings_are_of_one_version_of_mqtt_s() -> None:
    parts = [
        *DOCUMENT["servers"].values(),
        *DOCUMENT["operations"].values(),
        *DOCUMENT["components"]["messages"].values(),
    ]
    versions = {each["bindings"]["mqtt"]["bindingVersion"] for each in parts if "bindings" in each}
    assert versions == {"0.2.0"}


def test_a_command_says_where_its_reply_goes() -> None:
    for topic in (name for name in TOPICS if name.startswith("cmd/")):
        reply = operation(topic)["reply"]
        assert reply["channel"] == {"$ref": "#/channels/reply"}
        message = DOCUMENT["components"]["messages"][topic.replace("/", "_")]
        assert {"responseTopic", "correlationData"} <= message["bindings"]["mqtt"].keys()


def test_payloads_are_the_schemas_that_are_printed() -> None:
    for name in schemas.PAYLOADS:
        alone = schemas.document(name)
        inside = found(f"#/components/schemas/{name.replace('/', '_')}")
        assert moved(alone).items() >= inside.items()


def moved(part: Any) -> Any:
    """`part` of a schema that stands alone, as it is where others are beside it."""
    if isinstance(part, list):
        return [moved(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else moved(value)
        for key, value in part.items()
    }


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_the_examples_are_valid_in_the_document_itself(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    schema = {**message["payload"], "components": DOCUMENT["components"]}
    assert message["examples"]
    for example in message["examples"]:
        Draft202012Validator(schema).validate(example["payload"])
