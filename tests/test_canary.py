"""The searcher for secrets finds one in every form that it may have, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parts.canary import Canary, leaks

SECRET = "sk_c4n/ary+7d1f=09&e"
CANARY = Canary(SECRET)
DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda text: text,
    "base64": base64.b64encode,
    "base64 for addresses": base64.urlsafe_b64encode,
    "hexadecimal": lambda text: text.hex().upper().encode(),
    "an address": lambda text: quote(text, safe="").encode(),
    "JSON": lambda text: json.dumps(text.decode("latin-1")).encode(),
    "backwards": lambda text: text[::-1],
    "UTF-16": lambda text: text.decode("latin-1").encode("utf-16-le"),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@given(before=st.binary(max_size=8), after=st.binary(max_size=8))
def test_it_is_found_wherever_it_stands(
    disguise: Callable[[bytes], bytes], before: bytes, after: bytes
) -> None:
    assert CANARY.found_in(disguise(before + SECRET.encode() + after))


@given(st.binary(max_size=200))
def test_nothing_is_found_where_it_is_not(noise: bytes) -> None:
    assert CANARY.found_in(noise) == []


def test_a_form_is_named() -> None:
    assert CANARY.found_in(urlencode({"token": SECRET}).encode()) == ["percent", "plus"]
    assert CANARY.found_in(f"{SECRET[:10]}\n  {SECRET[10:]}".encode()) == [
        "first half",
        "second half",
    ]


def test_each_leak_is_a_line() -> None:
    found = leaks(
        {"the key": CANARY, "the password": Canary("w0rd-of-the-broker")},
        {"the log": b"all is well", "the topic state": b"x w0rd-of-the-broker"},
    )
    assert found == ["the password is in the topic state (plain, first half, second half)"]
