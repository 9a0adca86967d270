"""What a dialogue expects, held against what a session did."""

from __future__ import annotations

import base64
import binascii
import enum
import json
import re
from typing import Any

import msgspec

from scribed.interfaces import SessionEvent
from scribed.model import pcm_bytes

SPOKEN = b"\1\0"
"""One sample of an utterance."""
PIECE = re.compile(r"(\d+) ms( silence)?")


class Mismatch(AssertionError):
    """A session that does not do what its dialogue says; the text has file and line."""


def compare(expected: Any, real: Any, line: str) -> None:
    """Raise `Mismatch`, with the line of the dialogue, where `real` is not what was expected."""
    if not matches(expected, real):
        raise Mismatch(f"expected {line}\n  got {json.dumps(real, ensure_ascii=False)[:1000]}")


def matches(expected: Any, real: Any) -> bool:
    """Whether what is expected is a part of what there is."""
    match expected:
        case dict():
            return isinstance(real, dict) and all(
                key in real and matches(value, real[key]) for key, value in expected.items()
            )
        case list():
            return (
                isinstance(real, list)
                and len(expected) == len(real)
                and all(map(matches, expected, real))
            )
        case str() if expected.startswith("~"):
            return isinstance(real, str) and re.search(expected[1:], real) is not None
        case str() if PIECE.match(expected[1:]) and expected.startswith("<"):
            return isinstance(real, str) and _decoded(real) == pcm(expected)
        case bool() | None:
            return expected is real
        case _:
            return bool(expected == real)


def pcm(words: str) -> bytes:
    """The audio that "<100 ms + 50 ms silence>" stands for."""
    pcm = b""
    for piece in words.strip("<>").split(" + "):
        if (found := PIECE.fullmatch(piece)) is None:
            raise Mismatch(f"not a piece of audio: {piece!r}")
        sample = b"\0\0" if found[2] else SPOKEN
        pcm += sample * (pcm_bytes(float(found[1])) // 2)
    return pcm


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def plain(event: SessionEvent) -> dict[str, Any]:
    """The fields of an event as a dialogue writes them."""
    fields = msgspec.to_builtins(event)
    if "utterance_id" in fields:
        fields["id"] = fields["utterance_id"]
    fields |= fields.pop("answer", {})
    plain: dict[str, Any] = json.loads(json.dumps(fields, default=_value))
    return plain


def _value(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else str(value)


def shown(what: SessionEvent | str | bytes) -> str:
    """An event or a message as the text of a failure has it."""
    if isinstance(what, (str, bytes)):
        return repr(what[:200])
    return f"{type(what).__name__} {json.dumps(plain(what), ensure_ascii=False)}"
