"""Home Assistant: the device that it finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from scribed import __version__
from scribed.contract.topics import TOPICS
from scribed.delivery.compat import home_assistant
from tests.delivery.compat.golden import frozen, goldens
from tests.delivery.peers import BASE, IDENTITY


def document(*, texts: bool = True, may_mute: bool = True) -> dict[str, Any]:
    said = home_assistant.document(IDENTITY, texts=texts, may_mute=may_mute)
    value: dict[str, Any] = json.loads(said)
    return value


@pytest.mark.parametrize("name", ["home_assistant_status", "home_assistant_text"])
def test_it_is_the_document_that_was_tried_on_home_assistant(name: str) -> None:
    now_is, then = goldens()[name], frozen(name)
    for place in ("device", "origin"):
        assert now_is["payload"][place].pop("sw_version") == __version__
        del then["payload"][place]["sw_version"]
    assert now_is == then


def test_nothing_that_was_said_is_shown_unless_it_may_be() -> None:
    said = json.dumps(document(texts=False))
    assert "text" not in said
    assert "last_speech" not in document(texts=False)["components"]
    assert "value_json.text" in json.dumps(document(texts=True))


def test_a_mute_that_is_not_allowed_is_only_shown() -> None:
    assert document(may_mute=False)["components"]["mute"]["platform"] == "binary_sensor"
    assert document(may_mute=True)["components"]["mute"]["command_topic"] == f"{BASE}/cmd/mute"


def test_every_topic_is_one_of_the_contract() -> None:
    known = {"alert/+"} | set(TOPICS)
    entities = document()["components"].values()
    named = {v for each in entities for name, v in each.items() if name.endswith("_topic")}
    assert {topic.removeprefix(f"{BASE}/") for topic in named} <= known


def test_no_two_robots_are_the_same_device() -> None:
    one = replace(IDENTITY, robot="a_b", source="c")
    other = replace(IDENTITY, robot="a", source="b_c")
    topics = {home_assistant.address("homeassistant", each) for each in (one, other)}
    ids = {
        json.loads(home_assistant.document(each, texts=False, may_mute=True))["device"][
            "identifiers"
        ][0]
        for each in (one, other)
    }
    assert len(topics) == len(ids) == 2
