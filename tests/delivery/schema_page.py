"""The tables of docs/contract.md, made of what makes the schemas.

`python -m tests.delivery.schema_page` brings the page up to date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scribed.contract import examples, schemas, values
from scribed.contract.asked import ASKS
from scribed.contract.shapes import Components
from scribed.contract.topics import LEFT_OF_FRESHNESS, TOPICS, Topic
from scribed.contract.words import FIELDS, HEADER, Field, Fields
from scribed.delivery import schemas as said

PAGE = Path(__file__).parent.parent.parent / "docs" / "contract.md"
MARK = re.compile(r"<!-- (?!end )([a-z_ ]+) -->\n(.*?)<!-- end -->", re.DOTALL)

_TYPES: Mapping[str, tuple[type, ...]] = {
    "transcript": (said.Transcript,),
    "word": (said.FastWord,),
    "speech": (said.Speech,),
    "ended": (said.Ended,),
    "event": (said.EventMessage,),
    "alert": (said.AlertMessage,),
    "state": (said.StateMessage,),
    "metrics": (said.MetricsMessage,),
    "reply": (said.Done, said.NotDone),
}
_PARTS = {kind.__name__: fields for kind, fields in FIELDS.items()}


def filled(page: str) -> str:
    """`page` with the text between each `<!-- name -->` and `<!-- end -->` made anew."""
    return MARK.sub(lambda found: f"<!-- {found[1]} -->\n\n{_made(found[1])}\n<!-- end -->", page)


def _made(name: str) -> str:
    kind, _, what = name.partition(" ")
    return "\n".join(_KINDS[kind](what)) + "\n"


def _topics(_: str) -> Iterator[str]:
    yield "| topic | QoS | retained | expires after | payload |"
    yield "|---|---|---|---|---|"
    for name, topic in TOPICS.items():
        if not topic.command:
            rule = topic.rule
            address = topic.address.replace("{", "<").replace("}", ">")
            retained = "until cleared" if name == "alert" else "yes" if rule.retain else "no"
            yield (
                f"| `{address}` | {rule.qos} | {retained} | {_expiry(name, topic)} "
                f"| {_payload(name)}. {topic.says} |"
            )


def _expiry(name: str, topic: Topic) -> str:
    if name in LEFT_OF_FRESHNESS:
        return "what is left of `transcript.stale_after_s`, at least 1 s"
    return "–" if topic.rule.expiry_s is None else f"{topic.rule.expiry_s} s"


def _payload(name: str) -> str:
    schema = schemas.document(name)
    if schema["type"] == "string":
        return " or ".join(f"`{word}`" for word in schema.get("enum", ())) or "Plain text"
    (tag, *_) = [kind["properties"]["schema"] for kind in schema.get("oneOf", [schema])]
    return f"`{tag['const']}`"


def _header(_: str) -> Iterator[str]:
    fields = Components("").of(said.Transcript)["properties"]
    yield from _table({name: fields[name] for name in HEADER}, HEADER)


def _fields(name: str) -> Iterator[str]:
    """The fields of a message but for the header, and of its parts."""
    components = Components("#/$defs/")
    fields: dict[str, Any] = {}
    words: dict[str, Field] = {}
    for kind in _TYPES[name]:
        fields |= components.of(kind)["properties"]
        words |= FIELDS[kind]
    own = {k: v for k, v in fields.items() if k not in HEADER}
    yield from _table(own, words)
    for part, shape in components.shared.items():
        users = [f"`{k}`" for k, v in own.items() if f"$defs/{part}" in json.dumps(v)]
        yield from ("", f"In {', '.join(users)}:", "")
        yield from _table(shape["properties"], _PARTS[part])


def _table(fields: Mapping[str, Any], words: Fields) -> Iterator[str]:
    yield "| field | type | |"
    yield "|---|---|---|"
    for name, schema in fields.items():
        yield f"| `{name}` | {_type(schema)} | {words[name].says} |"
    for name in fields:
        known = words[name].known
        if known is not None and name != "event":  # which has a table of its own
            yield from ("", f"| `{name}` | |", "|---|---|")
            yield from (f"| `{value}` | {means} |" for value, means in known.items())


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return _type(schema["anyOf"][-1])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return " or ".join(
        f"array of {_type(schema['items'])}s" if kind == "array" else kind for kind in kinds
    )


def _events(_: str) -> Iterator[str]:
    yield "| `event` | | `detail` |"
    yield "|---|---|---|"
    for name, happening in values.EVENTS.items():
        detail = ", ".join(f"`{key}`: {says}" for key, says in happening.detail.items())
        yield f"| `{name}` | {happening.means} | {detail} |"


def _commands(_: str) -> Iterator[str]:
    yield "| topic | payload | | `result` of the reply |"
    yield "|---|---|---|---|"
    for name, ask in ASKS.items():
        shown = ", ".join(f"`{example}`" for example in ask.examples)
        bare = ", `ON`, `OFF`" if ask.bare else ""
        yield f"| `cmd/{name}` | {shown}{bare} | {ask.does} | {ask.result} |"


def _example(name: str) -> Iterator[str]:
    yield "```json"
    yield json.dumps(examples.values_of()[name][0], ensure_ascii=False, indent=1)
    yield "```"


_KINDS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "topics": _topics,
    "header": _header,
    "fields": _fields,
    "events": _events,
    "commands": _commands,
    "example": _example,
}

if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
