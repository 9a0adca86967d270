"""What is shown to others holds no secret in any form, and nothing of what was said."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.doctor.redaction import MASK, SAID, Redactor

SECRET = "k3y/with+odd=signs&0123"


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        SECRET[::-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(f"a:{SECRET}@host".encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_a_known_secret_is_masked_in_every_form(shown: str) -> None:
    redactor = Redactor([SECRET])
    text = redactor(f"before {shown} after")
    assert MASK in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    for at in range(len(shown) - 8):
        assert shown[at : at + 9] not in text
    assert not redactor.finds(text)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=9, max_size=60),
    st.binary(max_size=7),
    st.binary(max_size=7),
)
def test_no_secret_survives_in_base64_wherever_it_stands(
    secret: str, before: bytes, after: bytes
) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()
    assert MASK in Redactor([secret])(text)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("xi-api-key: abcdef", f"xi-api-key: {MASK}"),
        ("Environment=ELEVENLABS_API_KEY=abc", f"Environment=ELEVENLABS_API_KEY={MASK}"),
        ('{"token": "abcdef", "a": 1}', f'{{"token": "{MASK}", "a": 1}}'),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ("wss://host/asr?api_key=abc&x=1", f"wss://host/asr?api_key={MASK}&x=1"),
        ("rtsp://me:word@camera/1", f"rtsp://{MASK}@camera/1"),
        ("got sk_0123456789abcdef here", f"got {MASK} here"),
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_knows_it(line: str, shown: str) -> None:
    assert Redactor([])(line) == shown


def test_what_was_said_is_left_out_and_what_became_of_it_stays() -> None:
    line = "12:00:01 INFO delivery: utterance 7 published on transcript 12 ms after its end (a 1)"
    redactor = Redactor([])
    assert redactor(f"{line}: open the door") == f"{line}: {SAID}"
    assert redactor(line) == line
    assert redactor("utterance 7 ended: no_speech") == "utterance 7 ended: no_speech"


def test_a_short_secret_is_no_reason_to_mask_half_of_everything() -> None:
    assert Redactor(["ear"])("hearing, ear, near") == f"hearing, {MASK}, near"
