"""A broker in one word, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.cli.addresses import Address, address, word
from scribed.config import Mqtt
from scribed.errors import ScribedError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hub", Address(host="hub")),
        ("hub:1884", Address(host="hub", port=1884)),
        ("::1", Address(host="::1")),
        ("[::1]:1884", Address(host="::1", port=1884)),
        ("mqtt://hub/", Address(host="hub", tls=False)),
        ("mqtts://hub:1", Address(host="hub", port=1, tls=True)),
        ("ws://hub", Address("websockets", "hub", tls=False)),
        ("wss://[::1]:9/a/b", Address("websockets", "::1", 9, "/a/b", tls=True)),
        ("unix:/run/mqtt.sock", Address("unix", path="/run/mqtt.sock", tls=False)),
        ("unix:///run/mqtt.sock", Address("unix", path="/run/mqtt.sock", tls=False)),
    ],
)
def test_what_people_write_is_read(text: str, said: Address) -> None:
    assert address(text) == said


@pytest.mark.parametrize(
    "text",
    [
        *("", ":1", "hub:0", "hub:99999", "hub:x", "http://hub", "mqtt://hub/topic", "ws://"),
        *("ws://hub:x", "ws://hub/?q", "ws://[::1", "unix:run", "unix:", "unix://run"),
    ],
)
def test_what_is_no_broker_is_refused(text: str) -> None:
    with pytest.raises(ScribedError, match="is no broker"):
        address(text)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ScribedError, match="they have options") as raised:
        address("mqtt://eye:s3cret@hub")
    assert "s3cret" not in str(raised.value)


@given(st.text())
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        said = address(text)
    except ScribedError:
        return
    assert bool(said.host) is (said.transport != "unix")
    assert said.port is None or 1 <= said.port <= 65_535


@pytest.mark.parametrize(
    "mqtt",
    [
        Mqtt("hub", 1884),
        Mqtt("::1", 1884),
        Mqtt("hub", 80, "websockets", "/mqtt"),
        Mqtt("hub", 443, "websockets", tls=True),
        Mqtt(transport="unix", path="/run/mqtt.sock"),
    ],
)
def test_what_is_shown_may_be_entered_again(mqtt: Mqtt) -> None:
    said = address(word(mqtt))
    assert (said.transport, said.path, bool(said.tls)) == (mqtt.transport, mqtt.path, mqtt.tls)
    if mqtt.transport != "unix":
        assert (said.host, said.port) == (mqtt.host, mqtt.port)
