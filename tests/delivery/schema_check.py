"""Holds payloads against the schemas that scribed prints, more strictly than a consumer may."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from scribed.contract import schemas

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_date_time(value: object) -> bool:
    """Whether `value` is a time with a zone, or no string at all."""
    if not isinstance(value, str):
        return True
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is not None
    except ValueError:
        return False


def closed(schema: Any) -> Any:
    """`schema` without what is left open for later versions: no other field, no other value."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if is_known(schema):
        known, kind = schema["anyOf"]
        null = [None] if "null" in kind["type"] else []
        return {"enum": [*known["enum"], *null]}
    narrowed = {name: closed(each) for name, each in schema.items()}
    return narrowed | ({"additionalProperties": False} if "properties" in schema else {})


def is_known(schema: dict[str, Any]) -> bool:
    """Whether `schema` is a list of known values, and others beside."""
    alternatives = schema.get("anyOf", [])
    return len(alternatives) == 2 and set(alternatives[0]) == {"enum"}


@cache
def validator(name: str, *, strict: bool = True) -> Draft202012Validator:
    """For payloads `name`; `strict`: what is left open for later versions is refused."""
    document = schemas.document(name)
    return Draft202012Validator(closed(document) if strict else document, format_checker=FORMATS)


def is_valid(name: str, value: object) -> bool:
    """Whether `value` is a payload `name` to a consumer."""
    return bool(validator(name, strict=False).is_valid(value))


def assert_valid(name: str, value: object) -> None:
    """`value` is a payload `name`, with no field and no value that the schema does not name."""
    errors = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]
    assert not errors, f"{name}: {errors}\n{value}"
