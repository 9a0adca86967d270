"""What may be asked for, and what is refused, in which words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.bases import Bases
from scribed.delivery.commands import (
    COMMANDS,
    MAX_BYTES,
    MAX_CORRELATION_BYTES,
    TAKES,
    Refusal,
    Request,
    parse,
    reply_address,
)
from scribed.delivery.events import Asked
from scribed.delivery.parcels import Address
from tests.delivery.peers import BASE

BASES = Bases("scribed/{robot}/{source}")

WALL = 1_780_306_202.0  # 2026-06-01T09:30:02Z


def said(name: str, payload: bytes | str = b"", **asked: Any) -> Request | Refusal:
    data = payload if isinstance(payload, bytes) else payload.encode()
    return parse(Asked(name, data, **asked), COMMANDS, WALL)


def refused(name: str, payload: bytes | str = b"", **asked: Any) -> tuple[str, str]:
    """The code and the words of a refusal."""
    refusal = said(name, payload, **asked)
    assert isinstance(refusal, Refusal)
    return refusal.error.code, refusal.error.message


@pytest.mark.parametrize(
    ("payload", "on"),
    [
        ('{"on": true}', True),
        ('{"on": false, "unheard_of": 1}', False),
        ("ON", True),
        ("OFF", False),
        ("off\n", False),
        ("true", True),
        ("false", False),
    ],
)
def test_mute_is_said_in_json_or_in_a_word(payload: str, on: bool) -> None:
    assert said("mute", payload) == Request("mute", {"on": on, "purge": False})


def test_mute_may_also_drop_what_waits() -> None:
    assert said("mute", '{"on": true, "purge": true}') == Request(
        "mute", {"on": True, "purge": True}
    )


@pytest.mark.parametrize("name", ["flush", "state"])
@pytest.mark.parametrize("payload", ["", " ", "{}"])
def test_flush_and_state_need_no_words(name: str, payload: str) -> None:
    assert said(name, payload) == Request(name, {})


def test_the_robot_says_for_how_long_it_speaks_and_what() -> None:
    payload = '{"on": true, "id": "tts-42", "ttl_ms": 15000, "text": "Hello."}'
    wanted = {"on": True, "id": "tts-42", "ttl_ms": 15000, "text": "Hello."}
    assert said("robot_speaking", payload) == Request("robot_speaking", wanted)
    bare = {"on": False, "id": "", "ttl_ms": None}
    assert said("robot_moving", '{"on": false}') == Request("robot_moving", bare)
    assert said("robot_speaking", '{"on": false}') == Request("robot_speaking", bare | {"text": ""})


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("robot_speaking", ""),
        ("robot_speaking", "ON"),
        ("robot_speaking", '{"on": true, "ttl_ms": 0}'),
        ("robot_speaking", '{"on": true, "ttl_ms": -5}'),
        ("robot_moving", '{"on": 1}'),
        ("robot_moving", '{"on": true, "id": "%s"}' % ("x" * 129)),
        ("listen", '{"ttl_ms": 600001}'),
    ],
)
def test_what_the_robot_cannot_mean_is_told_with_an_example(name: str, payload: str) -> None:
    code, message = refused(name, payload)
    assert code == "malformed"
    assert '"ttl_ms"' in message


def test_a_window_has_a_length_or_the_configured_one() -> None:
    assert said("listen") == Request("listen", {"ttl_ms": None})
    assert said("listen", '{"ttl_ms": 8000}') == Request("listen", {"ttl_ms": 8000})
    assert said("listen", '{"ttl_ms": 0}') == Request("listen", {"ttl_ms": 0})


def test_restate_names_the_last_one_that_was_seen() -> None:
    assert said("restate", '{"since_seq": 17}') == Request("restate", {"since_seq": 17})


def test_what_the_asker_calls_it_is_kept_also_where_it_is_refused() -> None:
    assert said("flush", '{"req": "r-1"}') == Request("flush", {}, "r-1")
    for name, payload in (
        ("dance", '{"req": "r-1"}'),
        ("mute", '{"req": "r-1"}'),
        ("flush", '{"req": "r-1", "expires_at": "2020-01-01T00:00:00Z"}'),
    ):
        refusal = said(name, payload)
        assert isinstance(refusal, Refusal)
        assert (refusal.cmd, refusal.req) == (name, "r-1")


def test_an_unknown_command_is_told_what_exists() -> None:
    code, message = refused("dance", "{}")
    assert code == "unknown"
    assert all(name in message for name in COMMANDS)
    assert refused("")[0] == "unknown"


def test_a_command_that_is_not_allowed_here_names_the_key() -> None:
    refusal = parse(Asked("restate", b'{"since_seq": 1}'), ("mute",), WALL)
    assert isinstance(refusal, Refusal)
    assert refusal.error.code == "not_allowed"
    assert "mqtt.commands" in refusal.error.message


def test_a_retained_command_is_not_obeyed() -> None:
    assert refused("mute", "ON", retained=True)[0] == "retained"


@pytest.mark.parametrize(
    ("expires_at", "code"),
    [
        ("2026-06-01T09:30:03Z", None),
        ("2026-06-01T11:30:03+02:00", None),
        ("2026-06-01T09:30:01.900Z", "expired"),
        ("2026-06-01T11:30:01+02:00", "expired"),
        ("0001-01-01T00:00:00Z", "expired"),
        ("9999-12-31T23:59:59-23:59", None),
        ("2026-06-01T09:30:03", "malformed"),
        ("tomorrow", "malformed"),
        (1_880_306_202, "malformed"),
    ],
)
def test_a_command_is_obeyed_until_it_expires(expires_at: object, code: str | None) -> None:
    payload = msgspec.json.encode({"on": True, "expires_at": expires_at})
    if code is None:
        assert isinstance(said("mute", payload), Request)
    else:
        assert refused("mute", payload)[0] == code


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("mute", ""),
        ("mute", "maybe"),
        ("mute", '{"on": 1}'),
        ("mute", '{"on": "true"}'),
        ("mute", '{"on": true, "purge": "yes"}'),
        ("mute", "[true]"),
        ("mute", '{"on": true'),
        ("mute", "null"),
        ("flush", "now"),
        ("flush", "true"),
        ("flush", "[]"),
        ("restate", "{}"),
        ("restate", "17"),
        ("restate", '{"since_seq": -1}'),
        ("restate", '{"since_seq": 1.0}'),
        ("restate", '{"since_seq": true}'),
        ("restate", '{"since_seq": 9007199254740992}'),
        ("restate", '{"since_seq": "1"}'),
        ("flush", '{"req": 7}'),
        ("flush", '{"req": "' + "x" * 129 + '"}'),
        ("flush", b"\xff"),
        ("flush", b'{"req": "\xff"}'),
        ("flush", "[" * 60_000),
    ],
)
def test_what_cannot_be_read_is_malformed(name: str, payload: str | bytes) -> None:
    assert refused(name, payload)[0] == "malformed"


def test_what_is_too_large_is_not_even_read() -> None:
    assert refused("flush", b" " * (MAX_BYTES + 1))[0] == "too_large"
    assert isinstance(said("flush", b" " * MAX_BYTES), Request)
    assert refused("flush", correlation=b"x" * (MAX_CORRELATION_BYTES + 1))[0] == "too_large"


@pytest.mark.parametrize(
    ("topic", "there"),
    [
        ("answers/1", True),
        (f"{BASE}/reply", True),
        (f"{BASE}/reply/1", True),
        (f"{BASE}mobile/x", True),
        ("scribed/r8/mic/reply/of-r7", True),
        ("scribed/r8/mic/x", True),
        ("scribed/r7/front/transcript", False),
        ("scribed/r8/mic/word/stop", False),
        ("scribed/r8/mic/cmd/flush", False),
        (f"{BASE}/transcript", False),
        (f"{BASE}/text", False),
        (f"{BASE}/cmd/mute", False),
        (f"{BASE}/replyx", False),
        (BASE, False),
        ("a/+/b", False),
        ("a/#", False),
        ("$SYS/broker", False),
        ("a\x00b", False),
        ("a\nb", False),
        ("x" * 1025, False),
        ("", False),
        (None, False),
    ],
)
def test_a_reply_goes_where_the_asker_wants_but_never_into_a_mouth_of_ours(
    topic: str | None, there: bool
) -> None:
    asked = Asked("flush", b"", response_topic=topic, correlation=b"7")
    assert reply_address(asked, BASE, BASES) == Address(topic if there else None, b"7")


def test_a_template_that_any_topic_is_like_leaves_the_asker_its_own() -> None:
    anywhere = Bases("{robot}")
    asked = Asked("flush", b"", response_topic="answers/1")
    assert reply_address(asked, "r7", anywhere).topic == "answers/1"
    asked = Asked("flush", b"", response_topic="r8/transcript")
    assert reply_address(asked, "r7", anywhere).topic is None


def test_correlation_data_beyond_reason_is_not_sent_back() -> None:
    asked = Asked("flush", b"", response_topic="a", correlation=b"x" * 2000)
    assert reply_address(asked, BASE, BASES) == Address("a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["on", "req", "since_seq", "expires_at", "purge", "id", "ttl_ms", "text"])
PAYLOADS = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: msgspec.json.encode(value, enc_hook=str)),
    st.dictionaries(KEYS, JSON).map(msgspec.json.encode),
)


@given(st.sampled_from([*COMMANDS, "dance", "x" * 999]), PAYLOADS, st.booleans())
def test_whatever_is_asked_is_answered(name: str, payload: bytes, retained: bool) -> None:
    answer = said(name, payload, retained=retained)
    assert answer.req is None or len(answer.req) <= 128
    msgspec.json.encode((answer.cmd, answer.req))
    if isinstance(answer, Request):
        assert not retained
        whole = {name: set(kind.__struct_fields__) for name, kind in TAKES.items()}
        assert set(answer.args) == whole[name] - {"req", "expires_at"}
    else:
        assert answer.error.message
