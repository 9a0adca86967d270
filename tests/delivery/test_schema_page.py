"""docs/contract.md says what the schemas say, and its program does what it promises."""

from __future__ import annotations

import re

import pytest
from jsonschema import Draft202012Validator

from scribed.contract import examples, schemas
from scribed.contract.topics import TOPICS
from tests.delivery.schema_page import MARK, PAGE, filled

TEXT = PAGE.read_text("utf-8")


def test_its_tables_are_up_to_date() -> None:
    assert filled(TEXT) == TEXT, "mend it: python -m tests.delivery.schema_page"


def test_every_message_and_every_field_of_it_is_there() -> None:
    said = {found[1] for found in MARK.finditer(TEXT)}
    tables = {"transcript" if name in ("late", "partial") else name for name in TOPICS}
    plain = {name for name in TOPICS if schemas.document(name).get("type") == "string"}
    wanted = {f"fields {name}" for name in tables - plain if not name.startswith("cmd/")}
    assert wanted <= said
    assert {"topics", "header", "events", "commands"} <= said


def test_what_the_text_names_is_in_the_tables() -> None:
    tables = "".join(found[2] for found in MARK.finditer(TEXT))
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", MARK.sub("", TEXT)))
    assert len(named) > 10
    keys = {"mqtt.topic", "mqtt.commands", "vad.early_commit_ms", "echo.mode"}
    for word in named - keys:
        assert all(re.search(rf"\b{part}\b", tables) for part in word.split(".")), word


@pytest.mark.parametrize("topic", ["transcript", "late", "partial"])
def test_the_rule_for_acting_takes_only_what_may_be_obeyed(topic: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    rules: dict[str, object] = {}
    exec(compile(program, "docs/contract.md", "exec"), rules)
    may_act = rules["may_act"]
    assert callable(may_act)
    (message,) = examples.values_of()[topic]
    Draft202012Validator(schemas.document(topic)).validate(message)
    now = message["emit_unix_ms"] / 1000
    assert may_act(message, 1840, now) == (topic == "transcript")
    assert not may_act(message, message["seq"], now)
    assert not may_act(message | {"caution": ["from_the_radio"]}, 1840, now)
    assert not may_act(message, 1840, now + 3600)
