"""The link to a broker that is slow, as its owner drives it."""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Iterator

import pytest

from scribed.config import Config, Mqtt
from scribed.delivery.events import Subscribed
from scribed.delivery.link import ACKNOWLEDGE_S, BrokerLink, LinkEvent, Lost
from scribed.delivery.topics import Message
from tests.delivery.peers import IDENTITY, ScriptedBroker


class Driver:
    """The thread that owns a link; its clock is moved by hand."""

    def __init__(self, port: int) -> None:
        self.at = 100.0
        self.selector = selectors.DefaultSelector()
        self.link = BrokerLink(
            Config(mqtt=Mqtt(host="127.0.0.1", port=port)),
            IDENTITY,
            None,
            selector=self.selector,
            now=lambda: self.at,
            beat=lambda _busy_s: None,
        )
        self.written: float | None = None  #: when what is not acknowledged was written
        self.until(Subscribed)

    def turn(self) -> list[LinkEvent]:
        """Read what there is, once."""
        self.selector.select(0.2)
        return self.link.service(self.written)

    def until(self, kind: type) -> LinkEvent:
        for _ in range(50):
            for event in self.turn():
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"no {kind.__name__}")

    def write(self) -> None:
        self.link.publish(Message("transcript", b"{}", 4))
        self.written = self.at


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    with ScriptedBroker(busy=True) as broker:
        yield broker


@pytest.fixture
def driver(broker: ScriptedBroker) -> Iterator[Driver]:
    with contextlib.ExitStack() as stack:
        driver = Driver(broker.port)
        stack.callback(driver.selector.close)
        stack.callback(driver.link.close)
        yield driver


def test_a_broker_that_acknowledges_nothing_is_given_up_on_time(driver: Driver) -> None:
    driver.write()
    driver.at += ACKNOWLEDGE_S - 1
    assert driver.turn() == []
    driver.at += 1
    (lost,) = driver.turn()
    assert isinstance(lost, Lost)
    assert "acknowledged nothing for 10 s" in str(lost.error)


def test_an_acknowledgement_may_wait_behind_a_large_command_while_more_of_that_comes(
    broker: ScriptedBroker, driver: Driver
) -> None:
    driver.write()
    broker.says(b"\x30\xff\xff\x03" + b"x")  # 64 KB are to come
    assert driver.turn() == []
    for _ in range(3):
        driver.at += ACKNOWLEDGE_S - 1
        broker.says(b"x" * 100)
        assert driver.turn() == []
        assert driver.link.wake_at(driver.written) > driver.at
    driver.at += ACKNOWLEDGE_S
    assert isinstance(driver.until(Lost), Lost)
