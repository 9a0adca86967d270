"""What a change of a schema breaks for who relies on the old one; and the schemas that are frozen.

`python -m tests.delivery.schema_compat` freezes what there is now, after an addition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scribed.contract import schemas
from scribed.contract.topics import TOPICS
from scribed.delivery.topics import ALERT_CODES

FROZEN = Path(__file__).parent / "frozen"

Schema = dict[str, Any]

_LEAST, _MOST = ("minimum", "minLength"), ("maximum", "maxLength")
_WORDS = ("description", "title", "$comment")


def current() -> dict[str, Schema]:
    """What may be frozen now, by file name."""
    files = {
        f"{name.replace('/', '-')}.json": wordless(schemas.document(name))
        for name in schemas.PAYLOADS
    }
    return files | {"topics.json": topics()}


def wordless(schema: Any) -> Any:
    """`schema` without what is for people only."""
    if isinstance(schema, list):
        return [wordless(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: wordless(field) for key, field in each.items()}
        if name in ("properties", "$defs")
        else wordless(each)
        for name, each in schema.items()
        if name not in _WORDS
    }


def topics() -> Schema:
    """How messages travel, by topic, and which alerts there are."""
    said = {
        name: {"address": topic.address, **topic.rule._asdict()} for name, topic in TOPICS.items()
    }
    return {"topics": said, "alerts": list(ALERT_CODES)}


def frozen() -> dict[str, Schema]:
    """What was promised, by file name."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in FROZEN.glob("*.json")}


def broken(name: str, old: Schema, new: Schema) -> list[str]:
    """What `new` takes away from who relies on `old`; both are of the file `name`."""
    if name == "topics.json":
        return list(_broken_topics(old, new))
    return list(_Change(old, new, taken=name.startswith("cmd-")).breaks())


def _broken_topics(old: Schema, new: Schema) -> Iterator[str]:
    for topic, rule in old["topics"].items():
        now = new["topics"].get(topic, {})
        if {name: now.get(name) for name in rule} != rule:
            yield f"{topic}: was {rule}, is {now or None}"
    for code in set(old["alerts"]) - set(new["alerts"]):
        yield f"alert/{code} is gone"


class _Change:
    """From the document `old` to `new`, of what the daemon says or, where `taken`, is told.

    What it says may only become narrower, what it takes only wider, but for fields and known
    values: they may be added to both, and be taken away from neither.
    """

    def __init__(self, old: Schema, new: Schema, *, taken: bool) -> None:
        self._old, self._new, self._taken = old, new, taken

    def breaks(self) -> Iterator[str]:
        yield from self._compare("$", self._old, self._new)

    def _compare(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        old_known, old = _split(old)
        new_known, new = _split(new)
        if gone := set(old_known) - set(new_known):
            yield f"{at}: the known values {sorted(gone)} are gone"
        yield from self._kinds(at, old, new)
        yield from self._fixed(at, old, new)
        yield from self._limits(at, old, new)
        yield from self._fields(at, old, new)
        for part, place in (("items", "[]"), ("additionalProperties", ".*")):
            if part in old:
                yield from self._compare(at + place, old[part], new.get(part, {}))
        for word in ("oneOf", "anyOf"):
            yield from self._alternatives(at, old.get(word, []), new.get(word, []))

    def _kinds(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = _types(old), _types(new)
        if before is None or after is None:
            fine = before == after or (after if self._taken else before) is None
        else:
            fine = before <= after if self._taken else after <= before
        if not fine:
            yield f"{at}: was {_named(before)}, is {_named(after)}"

    def _fixed(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        """Values that are all there are, and what else a value must be."""
        for word in ("const", "enum", "format", "propertyNames"):
            if old.get(word) != new.get(word) and (self._taken or word in old):
                yield f"{at}: {word} was {old.get(word)!r}, is {new.get(word)!r}"

    def _limits(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        for words, sign in ((_LEAST, 1), (_MOST, -1)):
            for word in words:
                before, after = (
                    sign * schema[word] if word in schema else float("-inf")
                    for schema in (old, new)
                )
                if after > before if self._taken else after < before:
                    yield f"{at}: {word} was {old.get(word)}, is {new.get(word)}"

    def _fields(self, at: str, old: Schema, new: Schema) -> Iterator[str]:
        fields = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name not in fields:
                yield f"{at}.{name} is gone"
            else:
                yield from self._compare(f"{at}.{name}", field, fields[name])
        before, after = (set(schema.get("required", ())) for schema in (old, new))
        if self._taken and (wanted := after - before):
            yield f"{at}: {sorted(wanted)} must be there now"
        if not self._taken and (lacking := before & set(fields) - after):
            yield f"{at}: {sorted(lacking)} may be absent now"

    def _alternatives(self, at: str, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        if len(new) < len(old) or (len(new) > len(old) and not self._taken):
            yield f"{at}: there were {len(old)} kinds of it, there are {len(new)}"
        for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
            yield from self._compare(f"{at}#{number}", before, after)


def _resolved(schema: Schema, document: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = document["$defs"][reference.removeprefix("#/$defs/")]
    return found


def _split(schema: Schema) -> tuple[list[str], Schema]:
    """The values that are known, and the schema of those and of all others."""
    match schema.get("anyOf"):
        case [{"enum": known, **others}, kind] if not others:
            return known, {k: v for k, v in schema.items() if k != "anyOf"} | kind
    return [], schema


def _types(schema: Schema) -> set[str] | None:
    """The types that are allowed; None: any."""
    kind = schema.get("type")
    if kind is None:
        return None
    types = {kind} if isinstance(kind, str) else set(kind)
    return types | {"integer"} if "number" in types else types


def _named(types: set[str] | None) -> str:
    return "anything" if types is None else " or ".join(sorted(types))


def freeze() -> None:
    """Promise what there is now."""
    FROZEN.mkdir(exist_ok=True)
    for name, document in current().items():
        text = json.dumps(document, ensure_ascii=False, indent=1)
        (FROZEN / name).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    freeze()
