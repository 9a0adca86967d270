"""Delivery at brokers with limits that they do not tell, and beside a client with the same id."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from scribed.delivery.attempts import MAX_S
from scribed.delivery.outbox import LEAN_AFTER
from scribed.delivery.refusals import ALONE_S
from scribed.delivery.report import Report
from scribed.delivery.schemas import Metrics
from scribed.delivery.topics import ALERT_CODES
from scribed.demo.broker import Broker
from scribed.model import Alert, AlertCleared, Closed, Outcome, Partial
from tests.delivery.peers import (
    BASE,
    IDENTITY,
    PROVIDER,
    Clock,
    Relay,
    Rig,
    Robot,
    ended,
    final,
    started,
    wait_for,
)

LONG = "and then straight on " * 100


def test_what_is_said_once_or_never_costs_no_connection_where_it_is_too_large(
    tmp_path: Path,
) -> None:
    figures = Metrics({f"scribed_figure_{number}_total": 0.0 for number in range(200)})
    with (
        Broker(tmp_path, max_packet_size=2000) as broker,
        Robot(broker.port) as robot,
        Rig(broker.port) as rig,
    ):
        rig.online()
        speaker = started(1, rig.now() - 1)
        rig.post(figures, speaker, Partial(speaker, 1, "on and " * 300, PROVIDER))
        rig.post(Partial(speaker, 2, "stop", PROVIDER))
        (partial,) = robot.hears("partial")
        assert partial.json["text"] == "stop"
        assert not robot.on("metrics")
        wait_for(lambda: rig.delivery.report.dropped.get("too_large") == 2)
        assert robot.connections == 1
        assert rig.delivery.report.last_error is None


class TightBroker(Broker):
    """A broker that takes large messages, or no longer, as it runs; its clients are not told."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._path, self._told = directory / "mosquitto.conf", directory / "mosquitto.log"
        self._lines = self._path.read_text()

    def __enter__(self) -> TightBroker:
        super().__enter__()
        return self

    def limit(self, line: str = "") -> None:
        """Change its configuration: `line` says what it takes."""
        self._path.write_text(f"{self._lines}{line or 'message_size_limit 0'}\n")
        before = self._reloads()
        os.kill(self.pid, signal.SIGHUP)
        wait_for(lambda: self._reloads() > before, "the broker to read it")

    def _reloads(self) -> int:
        return self._told.read_text(errors="replace").count("Reloading config")


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[TightBroker]:
    with TightBroker(tmp_path) as broker:
        yield broker


def lost(rig: Rig, up: Report) -> Report:
    """Wait until the connection of the report `up` is no more; a report after that. Looked at is
    when it came about: the next one may be there within a millisecond."""

    def report() -> Report | None:
        said = rig.delivery.report
        return said if said.since > up.since else None

    found: Report = wait_for(report, "the loss")
    return found


def take_over(port: int) -> None:
    """Somebody connects with our id, by MQTT 3.1.1, and goes; once: this one does not come back."""
    name = IDENTITY.client_id.encode()
    rest = b"\0\4MQTT\4\2\0\x3c" + len(name).to_bytes(2, "big") + name
    with socket.create_connection(("127.0.0.1", port), 10) as rival:
        rival.sendall(b"\x10" + bytes([len(rest)]) + rest)
        assert rival.recv(4) == b"\x20\2\0\0"
        rival.sendall(b"\xe0\0")


def speak(rig: Rig, seq: int, text: str = "stop", words: int = 1) -> None:
    now = rig.now()
    timed = (final(seq, now).answer.words or ()) * words
    rig.post(started(seq, now - 1.5), ended(seq, now - 0.2), final(seq, now, text, words=timed))


def ready(rig: Rig, before: Report | None = None, *, events: int = 0) -> Report:
    """Wait until all that is retained was acknowledged since that report, which is of the
    connection `before`, and so many events in all: the broker has read all that was sent to it,
    and when it ends this one that is an end and no reset."""
    had = {} if before is None else before.published

    def acknowledged() -> Report | None:
        said = rig.delivery.report
        whole = {"status": 1, "muted": 1, "alert": len(ALERT_CODES)}
        come = all(
            said.published.get(topic, 0) >= had.get(topic, 0) + n for topic, n in whole.items()
        )
        come &= said.published.get("event", 0) >= events
        return said if said.connected and come else None

    found: Report = wait_for(acknowledged, "all that is retained")
    return found


def test_what_exceeds_a_limit_that_nobody_told_goes_without_words_and_else_waits(
    tight: TightBroker,
) -> None:
    now = Clock()
    with Robot(tight.port) as robot, Rig(tight.port, now=now) as rig:
        ready(rig)
        tight.limit("message_size_limit 1500")
        speak(rig, 1, words=40)
        (first,) = robot.hears("transcript")
        assert first.json["words"] is None
        speak(rig, 2, LONG)
        alert = rig.tells(Alert, "mqtt_denied")
        assert alert.message.startswith(f"{BASE}/transcript of 5")
        assert alert.message.endswith(" bytes is more than the broker takes in a message")
        assert "message_size_limit" in alert.remedy
        speak(rig, 3)
        robot.hears("transcript", 2)
        wait_for(lambda: rig.delivery.report.queued == 1)
        since = rig.delivery.report.since
        tight.limit()
        now.skip(MAX_S, rig)
        (late,) = robot.hears("late")
        assert (late.json["seq"], late.json["text"]) == (2, LONG.strip())
        rig.tells(AlertCleared, "mqtt_denied")
        assert rig.delivery.report.since == since  # one connection all the time
        assert robot.seqs("transcript", "late") == [1, 3, 2]


def test_what_ends_every_connection_is_put_aside_until_the_broker_takes_it(tmp_path: Path) -> None:
    now = Clock()
    with (
        Broker(tmp_path, max_packet_size=1500) as broker,  # which version 3.1.1 cannot tell
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, now=now, protocol="3.1.1") as rig,
    ):
        ready(rig)
        speak(rig, 1, LONG)

        def denied() -> bool:
            now.skip(0.1, rig)  # the pauses before each attempt
            rig.told += rig.supervisor.drain()
            return any(getattr(item, "code", "") == "mqtt_denied" for item in rig.told)

        wait_for(denied, "the alert")
        alert = rig.tells(Alert, "mqtt_denied")
        assert " of 5" in alert.message
        assert alert.message.endswith(" bytes: the broker ends the connection when it gets it")
        assert "message_size_limit" in alert.remedy
        now.skip(MAX_S, rig)
        rig.online()
        speak(rig, 2)
        (behind,) = robot.hears("transcript")
        assert behind.json["seq"] == 2
        wait_for(lambda: rig.delivery.report.queued == 1)
        assert relay.connections == LEAN_AFTER + 2
        assert not any(getattr(item, "code", "") == "duplicate_id" for item in rig.told)
        relay.refusing = True  # the robot shall be back before the final is
        broker.stop()
        with Broker(tmp_path, port=broker.port):
            robot.returns(2)
            relay.refusing = False
            now.skip(MAX_S, rig)
            (late,) = robot.hears("late")
            assert (late.json["seq"], late.json["words"]) == (1, None)
            rig.tells(AlertCleared, "mqtt_denied")
            rig.finish()


def test_a_topic_that_the_acl_forgot_does_not_hold_up_what_is_said(tmp_path: Path) -> None:
    acl = f"topic readwrite {BASE}/#\ntopic deny {BASE}/ended\n"
    with Broker(tmp_path, acl=acl) as broker, Robot(broker.port) as robot:
        now = Clock()
        with Rig(broker.port, now=now) as rig:
            ready(rig)
            rig.post(
                started(1, now() - 1.0), Closed(started(1, now() - 1.0), None, Outcome.NO_SPEECH)
            )
            rig.tells(Alert, "mqtt_denied")
            speak(rig, 2)
            robot.hears("transcript")
            now.skip(40, rig)
            rig.post(final(3, now() - 10))
            robot.hears("late")
            wait_for(lambda: rig.delivery.report.queued == 1, "the broker's word that it has it")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_is_killed_and_back_at_once_again_and_again_is_no_other_client(
    broker: Broker, protocol: Literal["5", "3.1.1"]
) -> None:
    now = Clock()
    with Rig(broker.port, now=now, protocol=protocol) as rig:
        up = None
        for skipped in range(4):  # each skip is an event
            up = ready(rig, up, events=skipped)
            broker.kill()
            assert "without a reason" in (lost(rig, up).last_error or "")
            broker.start()  # before it is tried again
            now.skip(5, rig)
        rig.online()
        rig.told += rig.supervisor.drain()
        assert not any(getattr(item, "code", "") == "duplicate_id" for item in rig.told)


def test_a_client_with_our_id_is_suspected_where_the_broker_says_nothing(broker: Broker) -> None:
    now = Clock()
    text = f'another client is connected as "{IDENTITY.client_id}" (mqtt.client_id)'
    with Rig(broker.port, now=now) as rig:
        up = None
        for _ in range(3):
            up = ready(rig, up)
            take_over(broker.port)
            lost(rig, up)
        alert = rig.tells(Alert, "duplicate_id")
        assert alert.message.endswith(text)
        now.skip(20, rig)  # it stands back for 30 s
        wait_for(lambda: rig.delivery.report.last_error)
        now.skip(11, rig)
        ready(rig, up)
        now.skip(ALONE_S, rig)
        rig.tells(AlertCleared, "duplicate_id")
