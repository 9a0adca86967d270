"""JSON Schemas (2020-12) of all payloads that scribed publishes or takes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scribed.contract.asked import ASKS
from scribed.contract.shapes import Components, Schema
from scribed.contract.topics import TOPICS
from scribed.delivery import schemas
from scribed.delivery.commands import TAKES
from scribed.delivery.topics import COMMANDS, MUTED_OFF, MUTED_ON, OFFLINE, ONLINE

DIALECT = "https://json-schema.org/draft/2020-12/schema"

ONLY_IN_FINALS = (
    *("final_reason", "end_unix_ms", "age_ms", "mono_end_ns", "audio_ms", "audio_lost_ms"),
    "attempt",
)
"""What only the end of an utterance tells: null in a partial, never in a final."""

Made = Callable[[Components], Schema]


def _said(kind: type) -> Made:
    """A payload of the struct `kind`."""
    return lambda components: components.of(kind)


def _plain(*words: bytes) -> Made:
    """A payload of plain text, taken as a string; `words`: all that it may be."""
    kind: Schema = {"enum": [word.decode() for word in words]} if words else {"minLength": 1}
    return lambda _: {"$comment": "plain text, no JSON", "type": "string", **kind}


def _transcript(*, final: bool, late: bool = False) -> Made:
    """A `stt.transcript/1` as it is on one topic."""
    narrower: dict[str, Schema] = {"is_final": {"const": final}}
    if late:
        narrower["late_reason"] = {"type": "string"}
    else:
        narrower |= {"late_reason": {"type": "null"}, "restated": {"const": False}}

    def made(components: Components) -> Schema:
        whole = components.of(schemas.Transcript)
        fields = whole["properties"]
        sure = {name: _without_null(fields[name]) for name in ONLY_IN_FINALS if final}
        narrowed = {name: _narrow(fields[name], how) for name, how in (sure | narrower).items()}
        return {**whole, "properties": fields | narrowed}

    return made


def _without_null(schema: Schema) -> Schema:
    types = schema["anyOf"][-1]["type"] if "anyOf" in schema else schema["type"]
    (kind,) = set(types) - {"null"}
    return {"type": kind}


def _narrow(schema: Schema, how: Schema) -> Schema:
    """`schema` of one field, known values or not, with the keywords `how`."""
    if "anyOf" not in schema:
        return schema | how
    if how == {"type": "null"}:
        return {"description": schema["description"], **how}
    *known, kind = schema["anyOf"]
    return schema | {"anyOf": [*known, kind | how]}


def _reply(components: Components) -> Schema:
    kinds = [components.of(schemas.Done), components.of(schemas.NotDone)]
    return {"type": "object", "oneOf": kinds}


def _asked(name: str) -> Made:
    """The payload of a command."""
    bare = {"description": "as `on`", "type": "boolean"}
    if ASKS[name].bare:
        return lambda components: {"anyOf": [components.of(TAKES[name]), bare]}
    return _said(TAKES[name])


PAYLOADS: Mapping[str, Made] = {
    "status": _plain(ONLINE, OFFLINE),
    "state": _said(schemas.StateMessage),
    "transcript": _transcript(final=True),
    "text": _plain(),
    "late": _transcript(final=True, late=True),
    "partial": _transcript(final=False),
    "word": _said(schemas.FastWord),
    "speech": _said(schemas.Speech),
    "ended": _said(schemas.Ended),
    "event": _said(schemas.EventMessage),
    "alert": _said(schemas.AlertMessage),
    "muted": _plain(MUTED_ON, MUTED_OFF),
    "metrics": _said(schemas.MetricsMessage),
    "reply": _reply,
    **{f"{COMMANDS}/{name}": _asked(name) for name in ASKS},
}
"""What is published or taken, by its topic's name in `TOPICS`."""


def payload(name: str, components: Components) -> Schema:
    """The schema of the payload `name`; what it refers to is put into `components`."""
    return {"title": name, "description": TOPICS[name].says, **PAYLOADS[name](components)}


def document(name: str) -> Schema:
    """The same, complete in itself. KeyError: there is no such payload."""
    components = Components("#/$defs/")
    schema = payload(name, components)
    about = {"$schema": DIALECT, "$id": f"urn:scribed:{name.replace('/', ':')}:1"}
    return about | schema | ({"$defs": components.shared} if components.shared else {})
