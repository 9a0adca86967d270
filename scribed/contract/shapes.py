"""The JSON Schema of a type, made of its fields as msgspec sees them and of their words. Pure.

It is as open as the contract: fields may be added, and values; what is there stays as it is. A list
of known values is therefore `anyOf` the list and its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import inspect

from scribed.contract.words import FIELDS, Field, Fields
from scribed.delivery.commands import Asking

METRIC_NAME = "^scribed_[a-z0-9_]+$"

Schema = dict[str, Any]

_SIMPLE = {
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.NoneType: "null",
}


class Components:
    """Schemas of types; those that others refer to are in `shared`, by name.

    `place` is where a reference finds them, as "#/$defs/".
    """

    def __init__(self, place: str, words: Mapping[type, Fields] = FIELDS) -> None:
        self.shared: dict[str, Schema] = {}
        self._place, self._words = place, words

    def of(self, kind: type) -> Schema:
        """The schema of the struct or dataclass `kind`; KeyError where words and fields differ."""
        return self._object(inspect.type_info(kind), asks=issubclass(kind, Asking))

    def _object(self, info: Any, *, asks: bool) -> Schema:
        words = self._words[info.cls]
        properties: Schema = {}
        if info.__class__ is inspect.StructType and info.tag_field is not None:
            tag = {"type": "string", "const": info.tag}
            properties[info.tag_field] = {"description": words[info.tag_field].says, **tag}
        required = list(properties)
        for field in info.fields:
            properties[field.name] = self._field(field, words[field.name], asks=asks)
            if field.required or not asks:
                required.append(field.name)  # what we say has all fields, always
        if strange := set(words) - set(properties):
            raise KeyError(f"{info.cls.__name__} has no {', '.join(sorted(strange))}")
        return {"type": "object", "properties": properties, "required": required}

    def _field(self, field: inspect.Field, words: Field, *, asks: bool) -> Schema:
        schema = _told(self._schema(field.type), words)
        if asks and not field.required and field.default is not None:
            schema["default"] = field.default
        elif isinstance(field.default, bool) and field.name == "ok":
            schema["const"] = field.default  # what tells the two replies apart
        return schema

    def _schema(self, info: inspect.Type) -> Schema:
        match info:
            case inspect.UnionType(types=types):
                return _union([self._schema(each) for each in types])
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return {"type": "array", "items": self._schema(item)}
            case inspect.DictType(value_type=inspect.FloatType() as value):
                names = {"pattern": METRIC_NAME}
                each = self._schema(value)
                return {"type": "object", "propertyNames": names, "additionalProperties": each}
            case inspect.DictType():
                return {"type": "object"}
            case inspect.StructType() | inspect.DataclassType():
                name = info.cls.__name__
                if name not in self.shared:
                    self.shared[name] = self._object(info, asks=False)
                return {"$ref": f"{self._place}{name}"}
            case _:
                return _simple(info)


def _simple(info: inspect.Type) -> Schema:
    if isinstance(info, inspect.Metadata):  # a description, and the field's own words say it
        info = info.type
    if isinstance(info, inspect.LiteralType):
        return {"type": "string", "enum": list(info.values)}
    return {"type": _SIMPLE[type(info)], **_limits(info)}


def _limits(info: inspect.Type) -> Schema:
    limits = {"ge": "minimum", "le": "maximum", "max_length": "maxLength", "pattern": "pattern"}
    found = {says: getattr(info, name, None) for name, says in limits.items()}
    return {says: limit for says, limit in found.items() if limit is not None}


def _union(schemas: list[Schema]) -> Schema:
    """One schema, with a list of types where none of them refers to another."""
    if any("$ref" in each for each in schemas):
        return {"anyOf": schemas}
    types = [each["type"] for each in schemas]
    merged: Schema = {}
    for each in schemas:
        merged |= each
    if "enum" in merged and "null" in types:
        merged["enum"] = [*merged["enum"], None]
    return merged | {"type": types}


def _told(schema: Schema, words: Field) -> Schema:
    """`schema` of a field with what its words add to it."""
    says = words.says
    if words.known is not None:
        says += ". " + "; ".join(f"`{value}`: {means}" for value, means in words.known.items())
        known = list(words.known)
        if schema["type"] == "array":
            schema["items"] = {"anyOf": [{"enum": known}, schema["items"]]}
        else:
            schema = {"anyOf": [{"enum": known}, schema]}
    extra = {"format": words.format, "minimum": words.least, "maximum": words.most}
    return {
        "description": says,
        **schema,
        **{name: value for name, value in extra.items() if value is not None},
    }
