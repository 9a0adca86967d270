"""Looks for a secret in whatever a program leaves behind, in every form that it may have. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

SHORTEST_HALF = 6
"""A shorter one would be found by chance."""


@dataclass(frozen=True)
class Canary:
    """A secret of ASCII characters, and the forms in which it is recognised.

    As it is, reversed, escaped as in an address or a JSON string, in hexadecimal digits, as UTF-16,
    in base64 whatever stands before it, and each half by itself: what was cut or wrapped.
    """

    secret: str
    forms: Mapping[str, bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "forms", dict(_forms(self.secret)))

    def found_in(self, content: bytes) -> list[str]:
        """The names of the forms that are in `content`."""
        folded = content.lower()
        return [
            name
            for name, form in self.forms.items()
            if (form.lower() in folded if name in _ANY_CASE else form in content)
        ]


def leaks(canaries: Mapping[str, Canary], places: Mapping[str, bytes]) -> list[str]:
    """A line for each canary that is in one of the `places`."""
    return [
        f"{name} is in {place} ({', '.join(forms)})"
        for place, content in places.items()
        for name, canary in canaries.items()
        if (forms := canary.found_in(content))
    ]


_ANY_CASE = ("hexadecimal", "percent of all")


def _forms(secret: str) -> list[tuple[str, bytes]]:
    plain = secret.encode("ascii")
    forms = {
        "plain": plain,
        "reversed": plain[::-1],
        "percent": quote(secret, safe="").encode(),
        "percent but /": quote(secret).encode(),
        "plus": quote_plus(secret).encode(),
        "percent of all": "".join(f"%{byte:02x}" for byte in plain).encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON \\/": json.dumps(secret)[1:-1].replace("/", "\\/").encode(),
        "hexadecimal": plain.hex().encode(),
        "UTF-16": secret.encode("utf-16-le"),
    }
    for offset in range(3):
        forms[f"base64 at {offset}"] = _inner(base64.b64encode, plain, offset)
        forms[f"base64url at {offset}"] = _inner(base64.urlsafe_b64encode, plain, offset)
    middle = len(plain) // 2
    for name, half in (("first half", plain[:middle]), ("second half", plain[middle:])):
        if len(half) >= SHORTEST_HALF:
            forms[name], forms[f"{name} reversed"] = half, half[::-1]
    return [(name, form) for name, form in forms.items() if name == "plain" or form != plain]


def _inner(encode: Callable[[bytes], bytes], plain: bytes, offset: int) -> bytes:
    """What is the same in base64 whatever stands around it, with `offset` bytes more than whole
    triples before it."""
    bits = 8 * offset
    return encode(bytes(offset) + plain)[-(-bits // 6) : (bits + 8 * len(plain)) // 6]
