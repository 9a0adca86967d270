"""Looking on at a broker: real ones, and such as misbehave."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from scribed.config import Mqtt
from scribed.delivery.events import Heard
from scribed.delivery.watch import Access, Watch
from scribed.demo.broker import Broker
from scribed.errors import BrokerError
from tests.delivery.peers import Robot, ScriptedBroker

STATE = "scribed/r7/mic/state"


def at(port: int, password: str | None = None, **mqtt: Any) -> Access:
    return Access(Mqtt(host="127.0.0.1", port=port, **mqtt), password)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_hears_what_was_kept_and_what_comes(broker: Broker, protocol: str) -> None:
    with Robot(broker.port) as robot:
        robot.publish(STATE, b"{}", retain=True)
        with Watch(at(broker.port, protocol=protocol), ["scribed/#"], name="test") as watch:
            assert watch.heard(5) == [Heard(STATE, b"{}", retained=True)]
            robot.publish(STATE, b"{1}", retain=True)
            assert watch.heard(5) == [Heard(STATE, b"{1}", retained=False)]
            begun = time.monotonic()
            assert watch.heard(0.05) == []
            assert time.monotonic() - begun < 4


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_empties_what_is_retained(broker: Broker, protocol: str) -> None:
    topics = [f"scribed/r7/mic/alert/a{number}" for number in range(60)]
    with Robot(broker.port) as robot:
        for topic in topics:
            robot.publish(topic, b"x", retain=True)
        with Watch(at(broker.port, protocol=protocol), ["none"], name="test") as watch:
            assert watch.clear(topics) == {}
        with Watch(at(broker.port), ["scribed/#"], name="test") as watch:
            assert watch.heard(0.3) == []


def test_what_it_may_not_empty_is_said(tmp_path: Path) -> None:
    acl = "topic read #\ntopic write scribed/r7/#\n"
    with Broker(tmp_path, acl=acl) as broker, Watch(at(broker.port), ["#"], name="test") as watch:
        refused = watch.clear([STATE, "scribed/r8/mic/state"])
    assert refused == {"scribed/r8/mic/state": "not authorized"}


def test_a_broker_that_speaks_only_3_1_1_is_found_out() -> None:
    with ScriptedBroker(speaks=(4,)) as broker:
        with Watch(at(broker.port), ["#"], name="test") as watch:
            assert watch.heard(0) == []
        assert broker.levels == [5, 4]


def test_a_subscription_that_is_refused_is_an_error() -> None:
    refused = pytest.raises(BrokerError, match=r"not let this user read scribed/# \(not auth")
    with ScriptedBroker(suback_reason=135) as broker, refused as raised:
        Watch(at(broker.port), ["scribed/#"], name="test")
    assert raised.value.denied


@pytest.mark.parametrize("hangs_up", [False, True])
def test_what_is_asked_for_beside_may_be_refused_in_either_way(hangs_up: bool) -> None:
    with (
        ScriptedBroker(private=b"homeassistant", hangs_up=hangs_up) as broker,
        Watch(at(broker.port), ["scribed/#"], name="test", beside="homeassistant/#") as watch,
    ):
        assert watch.heard(0.1) == []
        assert len(broker.levels) == (2 if hangs_up else 1)
    if not hangs_up:
        assert watch.unheard == (
            "the broker does not let this user read homeassistant/# (not authorized); see its ACL"
        )
    assert watch.unheard


def test_what_is_heard_beside_is_heard_like_all_else(broker: Broker) -> None:
    with Robot(broker.port) as robot:
        for topic in (STATE, "other/state"):
            robot.publish(topic, b"{}", retain=True)
        with Watch(at(broker.port), ["scribed/#"], name="test", beside="other/#") as watch:
            heard = watch.heard(5)
            while len(heard) < 2:
                heard += watch.heard(5)
            assert {each.topic for each in heard} == {STATE, "other/state"}
            assert watch.unheard == ""


def test_a_wrong_password_is_an_error_that_names_the_user(tmp_path: Path) -> None:
    refused = pytest.raises(BrokerError, match='refuses the user "eye"')
    with Broker(tmp_path, passwords={"eye": "right"}) as broker, refused as raised:
        Watch(at(broker.port, "wrong", username="eye"), ["#"], name="test")
    assert raised.value.denied


def test_a_broker_that_goes_away_is_an_error_at_once(broker: Broker) -> None:
    with Watch(at(broker.port), ["#"], name="test") as watch:
        broker.stop()
        begun = time.monotonic()
        with pytest.raises(BrokerError):
            watch.heard(30)
        assert time.monotonic() - begun < 10
