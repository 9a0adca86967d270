"""Delivery beside the store: what is kept, what is taken over from earlier runs, what is told."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from scribed.delivery.schemas import Metrics, Muted
from scribed.demo.broker import Broker, stable_port
from scribed.model import Closed, Delivered, EarlierBoot, Outcome, Recovered
from scribed.worker import Stop
from tests.delivery.peers import (
    Relay,
    Rig,
    Robot,
    ScriptedBroker,
    ended,
    final,
    started,
    uid,
    wait_for,
)


def test_the_store_is_told_of_what_the_broker_has_and_of_nothing_else(broker: Broker) -> None:
    with Robot(broker.port) as robot, Relay(broker.port) as relay, Rig(relay.port) as rig:
        rig.online()
        now = rig.now()
        rig.post(started(1, now - 1), final(1, now), final(2, now - 60))
        rig.post(Closed(started(3, now - 1), None, Outcome.NO_SPEECH))
        told = rig.delivers(3)
        assert sorted(told, key=lambda item: item.seq) == [
            Delivered(uid(1), 1),
            Delivered(uid(2), 2),
            Delivered(uid(3), 3),
        ]
        relay.deaf = True
        rig.post(final(4, rig.now()))
        robot.hears("transcript", 2)
        assert rig.store.drain() == []
        relay.cut()
        relay.deaf = False
        assert rig.delivers(1) == [Delivered(uid(4), 4)]


def test_what_has_no_end_when_it_stops_is_the_stores(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        rig.post(started(1, rig.now() - 1), ended(1, rig.now()))
        assert rig.finish(5.0) < 4.0
        robot.hears("status", 2)
        assert not robot.on("ended")
        report = rig.delivery.report
        assert (report.detected, report.open_accounts, report.balance) == (1, 1, 0)
    assert not caplog.records


@pytest.mark.parametrize("stop", [False, True])
def test_with_durability_in_memory_it_ends_as_failed_instead(
    broker: Broker, caplog: pytest.LogCaptureFixture, stop: bool
) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, durability="memory") as rig:
        rig.online()
        rig.post(started(1, rig.now() - 1))
        if stop:
            rig.post(Stop())
            rig.delivery.join(5)
        else:
            rig.finish(2.0, keep=False)
        (end,) = robot.hears("ended")
        assert end.json["outcome"] == "failed"
    port = stable_port()
    with Rig(port, durability="memory") as rig:
        rig.post(final(1, rig.now()))
        wait_for(lambda: rig.delivery.report.last_error)
        rig.finish(0.2, keep=False)
    assert "1 finals were not published: nothing listens" in caplog.text
    assert [r.levelno for r in caplog.records if "not published" in r.message] == [logging.ERROR]


def test_an_utterance_of_an_earlier_run_is_answered_without_a_word_of_its_start(
    broker: Broker,
) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        now = rig.now()
        spoken = final(1, now - 1)
        rig.post(Recovered(spoken.started, spoken.ended, 32_000))
        wait_for(lambda: rig.delivery.report.recovered == 1)
        assert (rig.delivery.report.detected, rig.delivery.report.open_accounts) == (0, 1)
        rig.post(spoken)
        robot.hears("transcript")
        wait_for(lambda: rig.delivery.report.pending == 0)
        assert rig.delivery.report.balance == 0
        assert not robot.on("speech")


def test_what_earlier_runs_left_unpublished_is_published_behind_live_speech(
    broker: Broker,
) -> None:
    with Robot(broker.port) as robot:
        rig = Rig(broker.port)
        now, wall = rig.now(), 1_780_000_000.0
        before = EarlierBoot("boot-0", wall, clock_synced=False)
        rig.post(*(final(seq, 500.0, boot=before) for seq in range(1, 2001)))
        rig.post(final(2001, now - 1), started(2002, now - 1), final(2002, now))
        with rig:
            robot.hears("late", 2000, timeout=60)
            robot.hears("transcript", 2)
            first = next(i for i, m in enumerate(robot.heard) if m.topic == "late")
            fresh = [i for i, m in enumerate(robot.heard) if m.topic == "transcript"]
            assert max(fresh) < first
            assert robot.seqs("transcript") == [2001, 2002]
            assert robot.seqs("late") == list(range(1, 2001))
            assert [m.payload for m in robot.on("text")] == [b"Turn left, please."]
            late = robot.on("late")[0].json
            assert (late["late_reason"], late["boot_id"]) == ("earlier_boot", "boot-0")
            assert (late["clock_synced"], late["end_unix_ms"]) == (False, int(wall + 500) * 1000)
            wait_for(lambda: rig.delivery.report.queued == 0)
            report = rig.delivery.report
            assert (report.detected, report.recovered, report.texts) == (1, 2001, 2002)
            assert report.balance == 0
            assert len(rig.delivers(2002)) == 2002


def test_late_speech_that_nobody_wants_ends_as_expired(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scribed.delivery")
    with Robot(broker.port) as robot, Rig(broker.port, late="drop") as rig:
        rig.online()
        now = rig.now()
        rig.post(final(1, now - 60), final(2, now))
        (end,) = robot.hears("ended")
        robot.hears("transcript")
        assert (end.json["seq"], end.json["outcome"]) == (1, "expired")
        first, second = sorted(rig.delivers(2), key=lambda told: told.seq)
        assert first.instead is not None
        assert (first.instead.outcome, second.instead) == (Outcome.EXPIRED, None)
        assert not robot.on("late")
        assert rig.delivery.report.balance == 0
        assert rig.lines == ["Turn left, please."]
    assert "utterance 1 ended: expired" in caplog.text


def test_mute_is_told_and_kept(broker: Broker) -> None:
    with Robot(broker.port) as robot:
        rig = Rig(broker.port)
        rig.post(Muted(on=True, reasons=("local",)))
        with rig:
            (muted,) = robot.hears("muted")
            assert (muted.payload, muted.retain, muted.qos) == (b"ON", True, 1)
            rig.post(Muted(on=False))
            assert robot.hears("muted", 2)[-1].payload == b"OFF"


def test_figures_are_published_with_our_own_and_never_kept(broker: Broker) -> None:
    port = stable_port()
    with Rig(port) as rig:
        wait_for(lambda: rig.delivery.report.last_error)
        rig.post(Metrics({"scribed_frames_total": 1.0}), started(1, rig.now()))
        rig.hears_of(1)
        assert not rig.delivery.report.published
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        rig.post(started(1, rig.now()), Metrics({"scribed_frames_total": 2.0}))
        (message,) = robot.hears("metrics")
        assert (message.qos, message.retain, message.expiry_s) == (0, False, 60)
        assert message.json["schema"] == "stt.metrics/1"
        values = message.json["metrics"]
        assert values["scribed_frames_total"] == 2
        assert values["scribed_utterances_detected_total"] == 1
        assert values["scribed_utterances_balance"] == 0


def test_a_stop_while_connecting_waits_for_the_broker_to_say_offline() -> None:
    patience = threading.Event()
    with ScriptedBroker(patience=patience) as slow, Rig(slow.port) as rig:
        wait_for(lambda: slow.levels)
        began = time.monotonic()
        threading.Timer(0.5, patience.set).start()
        rig.finish(3.0)
        assert 0.5 <= time.monotonic() - began < 2.5
        statuses = [payload for topic, payload in slow.published if topic == "status"]
        assert statuses[-1] == b"offline"


def test_a_stop_before_the_broker_was_reached_takes_no_time() -> None:
    port = stable_port()
    with Rig(port) as rig:
        wait_for(lambda: rig.delivery.report.last_error)
        assert rig.finish(3.0) < 2.5
