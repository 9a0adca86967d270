"""The delivery thread on real brokers: what a robot hears of it, whatever happens to the broker."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from scribed import clock, kinds
from scribed.delivery.attempts import MAX_S
from scribed.delivery.schemas import State
from scribed.delivery.topics import ALERT_CODES, RULES
from scribed.demo.broker import stable_port
from scribed.model import Alert, AlertCleared, Closed, Event, Identity, Outcome, Partial
from scribed.worker import Finished, Stop
from tests.delivery.peers import (
    BASE,
    IDENTITY,
    PROVIDER,
    Clock,
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
from tests.parts.broker import Broker
from tests.parts.told import telling


def speak(rig: Rig, seq: int, text: str = "stop") -> None:
    """One utterance from its start to its committed text, spoken just now."""
    now = rig.now()
    rig.post(
        started(seq, now - 1.5),
        ended(seq, now - 0.2),
        final(seq, now - 0.2, text),
    )


def test_every_topic_arrives_as_the_contract_says(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        now = rig.now()
        rig.post(started(1, now - 2), State(hearing=True), Event("audio_gap", {"lost_ms": 20}))
        rig.post(Partial(started(1, now - 2), 1, "Turn left", PROVIDER))
        rig.post(ended(1, now), final(1, now), final(2, now - 60))  # 4 s are left for 1 s
        rig.post(Closed(started(3, now - 1), None, Outcome.NO_SPEECH))
        rig.post(Alert("quota", "used up", "buy more"))
        for topic in ("speech", "late", "ended"):
            robot.hears(topic)
        robot.hears("alert/quota", 2)
        rig.finish()
        robot.hears("status", 2)
        for message in robot.heard:
            rule = RULES[message.topic.partition("/")[0]]
            assert (message.qos, message.retain) == (rule.qos, rule.retain), message
            if message.payload:
                assert message.utf8
                assert message.content_type == rule.content_type
            if message.topic in ("transcript", "text"):
                assert message.expiry_s == 4
            else:
                assert message.expiry_s == rule.expiry_s, message
            if rule.content_type == "application/json" and message.payload:
                assert message.json["run_id"] == "run-1"
        assert {message.topic for message in robot.heard} >= {
            "status", "state", "transcript", "text", "late", "partial", "speech", "ended", "event",
            "alert/quota", "muted",
        }  # fmt: skip
        assert [message.json["active"] for message in robot.on("speech")] == [True, False]
        assert [message.payload for message in robot.on("status")] == [b"online", b"offline"]
        assert robot.on("late")[0].json["late_reason"] == "stale"
        assert robot.on("text")[0].payload == b"Turn left, please."
        assert rig.lines == ["Turn left, please.", "Turn left, please."]


def test_a_connection_begins_with_online_and_clears_the_alerts_of_a_former_life(
    broker: Broker,
) -> None:
    with Rig(broker.port) as before:
        before.post(Alert("no_device", "no microphone", "plug it in"))
        with Robot(broker.port) as robot:
            wait_for(lambda: any(message.payload for message in robot.on("alert/no_device")))
    with Robot(broker.port) as robot:
        robot.hears("alert/no_device")
        known = len(robot.heard)
        with Rig(broker.port) as rig:
            assert robot.hears("alert/no_device", 2)[-1].payload == b""
            assert robot.heard[known].topic == "status"
            rig.post(Alert("quota", "used up", "buy more"))
            wait_for(lambda: any(message.payload for message in robot.on("alert/quota")))
    with Robot(broker.port) as late:
        late.hears("muted")
        late.hears("alert/quota")
        assert not late.on("alert/no_device")


def test_a_session_ends_with_what_is_owed_then_offline_and_no_will(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, will_delay_s=0) as rig:
        rig.online()
        rig.post(started(1, rig.now() - 1), started(2, rig.now() - 0.5))
        took_s = rig.finish(3.0, keep=False)
        assert took_s < 2.5
        said = robot.hears("ended", 2)
        assert [(m.json["seq"], m.json["outcome"]) for m in said] == [(1, "failed"), (2, "failed")]
        robot.hears("status", 2)
        assert robot.heard[-1].topic == "status"
        assert rig.delivery.report.open_accounts == 0
        assert any(isinstance(item, Finished) for item in rig.supervisor.drain())
    with Robot(broker.port) as later:
        assert [message.payload for message in later.hears("status")] == [b"offline"]


def test_a_plain_stop_is_a_short_farewell(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        speak(rig, 1)
        rig.post(Stop())
        rig.delivery.join(5)
        assert not rig.delivery.is_alive()
        robot.hears("transcript")
        assert robot.hears("status", 2)[-1].payload == b"offline"


def test_a_broker_that_dies_among_finals_loses_none_of_them(tmp_path: Path) -> None:
    now = Clock()
    with (
        Broker(tmp_path, max_inflight=1000) as broker,
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, now=now, stale_after_s=60.0) as rig,
    ):
        rig.online()
        for death in range(3):
            first = 10 * death + 1
            for seq in range(first, first + 9):
                speak(rig, seq)
            robot.hears("transcript", first + 4)  # some are through, some may not be
            relay.refusing = True  # the robot shall be back before the finals are
            broker.kill()
            wait_for(lambda: not rig.delivery.report.connected, "the loss")
            speak(rig, first + 9)
            broker.start()
            robot.returns(death + 2)
            relay.refusing = False
            now.skip(MAX_S, rig)
            wait_for(lambda: rig.delivery.report.queued == 0, "the outbox")
        wait_for(lambda: robot.seqs("transcript")[-1] == 30)
        seqs = robot.seqs("transcript")
        assert seqs == sorted(seqs)
        assert sorted(set(seqs)) == list(range(1, 31))
        assert len(seqs) <= 33  # one repeat for each death
        assert rig.lines == ["stop"] * 30


def test_a_final_that_grows_stale_while_the_broker_is_away_is_late(broker: Broker) -> None:
    now = Clock()
    with (
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, now=now) as rig,
    ):
        rig.online()
        relay.refusing = True
        relay.cut()
        wait_for(lambda: not rig.delivery.report.connected, "the loss")
        speak(rig, 1)
        now.skip(20, rig)
        relay.refusing = False
        now.skip(MAX_S, rig)
        rig.online()
        speak(rig, 2)
        robot.hears("transcript")
        (late,) = robot.hears("late")
        assert (late.json["seq"], late.json["late_reason"]) == (1, "stale")
        assert late.json["age_ms"] >= 20_000
        assert robot.seqs("transcript", "late") == [1, 2]


def test_speech_that_is_over_for_long_is_not_told_after_an_outage(broker: Broker) -> None:
    now = Clock()
    with (
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, now=now) as rig,
    ):
        rig.online()
        relay.refusing = True
        relay.cut()
        wait_for(lambda: not rig.delivery.report.connected, "the loss")
        for seq in range(1, 101):
            speak(rig, seq)
        wait_for(lambda: rig.delivery.report.queued == 100, "the outbox")
        now.skip(600, rig)
        relay.refusing = False
        now.skip(MAX_S, rig)
        rig.online()
        rig.post(started(101, now() - 0.1))
        robot.hears("late", 100)
        robot.hears("speech")
        assert robot.seqs("late") == list(range(1, 101))
        assert robot.seqs("speech") == [101]
        assert not robot.on("transcript")
        assert not robot.on("text")
        dropped = rig.delivery.report.dropped
        assert dropped["expired"] + dropped["transients"] >= 200


def test_a_lost_puback_repeats_the_transcript_but_not_the_text(broker: Broker) -> None:
    with Robot(broker.port) as robot, Relay(broker.port) as relay, Rig(relay.port) as rig:
        rig.online()
        wait_for(lambda: rig.delivery.report.published.get("muted"))
        relay.deaf = True
        speak(rig, 7)
        robot.hears("text")
        wait_for(lambda: rig.delivery.report.queued == 1, "the report, which comes after the text")
        relay.cut()
        relay.deaf = False
        robot.hears("transcript", 2)
        wait_for(lambda: rig.delivery.report.queued == 0, "its PUBACK")
        first, second = robot.on("transcript")
        assert first.json["utterance_id"] == second.json["utterance_id"] == uid(7)
        assert first.json["seq"] == second.json["seq"]
        assert second.json["age_ms"] > first.json["age_ms"]
        assert len(robot.on("text")) == 1
        assert rig.lines == ["stop"]


def test_a_connection_that_dies_leaves_offline_until_it_is_back(broker: Broker) -> None:
    now = Clock()
    with (
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, now=now, will_delay_s=1) as rig,
    ):
        rig.online()
        robot.hears("status")
        relay.refusing = True
        relay.cut()
        assert [message.payload for message in robot.hears("status", 2)] == [b"online", b"offline"]
        relay.refusing = False
        now.skip(MAX_S, rig)
        assert robot.hears("status", 3)[-1].payload == b"online"


def test_a_wrong_password_is_an_alert_until_it_is_right(tmp_path: Path) -> None:
    broker = Broker(tmp_path, passwords={"robot": "right"})
    with broker, Rig(broker.port, username="robot", password="wrong") as rig:
        alert = rig.tells(Alert, "mqtt_denied")
        assert "mqtt.password_file" in alert.message
        assert "wrong" not in repr(alert)
        assert not rig.delivery.report.connected
        broker.stop()
        with Broker(tmp_path, port=broker.port):
            rig.tells(AlertCleared, "mqtt_denied")


def test_a_topic_that_the_acl_denies_keeps_its_finals_and_never_spins(tmp_path: Path) -> None:
    acl = "".join(f"topic write {BASE}/{name}\n" for name in ("state", "status", "late"))
    acl += f"topic read {BASE}/#\n"
    with Broker(tmp_path, acl=acl) as broker, Robot(broker.port) as robot:
        now = Clock()
        with Rig(broker.port, now=now) as rig:
            speak(rig, 1)
            wait_for(lambda: rig.delivery.report.dropped.get("refused"), "a refusal")
            alert = rig.tells(Alert, "mqtt_denied")
            assert "is refused by the broker: not authorized" in alert.message
            assert rig.delivery.report.connected
            wait_for(lambda: rig.delivery.report.queued == 1, "the final")
            refusals = len(ALERT_CODES) + 1  # all that is retained but for `status`
            wait_for(lambda: rig.delivery.report.refused > refusals)
            began, refused = time.monotonic(), rig.delivery.report.refused
            speak(rig, 2)
            wait_for(lambda: time.monotonic() - began > 0.5)
            assert rig.delivery.report.refused - refused < 10
            now.skip(40, rig)  # now both are stale, and `late` is allowed
            robot.hears("late", 2)
            assert robot.seqs("late") == [1, 2]
            wait_for(lambda: rig.delivery.report.queued == 0)


def test_finals_that_the_broker_refuses_are_tried_again_in_order() -> None:
    with ScriptedBroker(puback_reasons=[0x87, 0x97]) as broker, Rig(broker.port) as rig:
        rig.online()
        speak(rig, 1)
        speak(rig, 2)
        alert = rig.tells(Alert, "mqtt_denied")
        assert f"{BASE}/transcript is refused by the broker: " in alert.message
        wait_for(lambda: rig.delivery.report.queued == 0)
        rig.tells(AlertCleared, "mqtt_denied")
        topics = [topic for topic, _ in broker.published if topic == "transcript"]
        assert len(topics) == 4


def test_an_id_that_is_contested_is_an_alert_and_no_fight() -> None:
    with ScriptedBroker(farewell=b"\xe0\x02\x8e\x00") as broker, Rig(broker.port) as rig:
        alert = rig.tells(Alert, "duplicate_id")
        assert IDENTITY.client_id in alert.message
        wait_for(lambda: not rig.delivery.report.connected)
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 0.5)
        assert broker.levels == [5]


@pytest.mark.parametrize("silent", [False, True])
def test_a_broker_of_old_is_spoken_to_in_its_own_version(silent: bool) -> None:
    with ScriptedBroker(speaks=(4,), silent=silent) as old, Rig(old.port) as rig:
        rig.online()
        speak(rig, 1)
        wait_for(lambda: rig.delivery.report.published.get("transcript"), "the transcript")
        assert old.levels == ([5, 5, 4] if silent else [5, 4])
        rig.finish()
        assert ("status", b"offline") in old.published


def test_version_3_1_1_says_the_same_without_properties(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, protocol="3.1.1") as rig:
        speak(rig, 1)
        (heard,) = robot.hears("transcript")
        assert (heard.expiry_s, heard.content_type) == (None, None)
        assert heard.json["expires_at"] > heard.json["t"]
        robot.hears("text")


def test_a_broker_that_never_answers_is_given_up(broker: Broker) -> None:
    now = Clock()
    with ScriptedBroker(mute=True) as stalled, Rig(stalled.port, now=now) as rig:
        wait_for(lambda: stalled.levels)
        now.skip(6, rig)
        error = wait_for(lambda: rig.delivery.report.last_error)
        assert "does not answer CONNECT" in error


def test_a_broker_that_stops_acknowledging_is_given_up(broker: Broker) -> None:
    now = Clock()
    with Relay(broker.port) as relay, Rig(relay.port, now=now) as rig:
        rig.online()
        wait_for(lambda: rig.delivery.report.published.get("muted"))
        relay.deaf = True
        speak(rig, 1)
        wait_for(lambda: rig.delivery.report.queued)
        now.skip(11, rig)
        wait_for(lambda: not rig.delivery.report.connected)
        assert "acknowledged nothing" in str(rig.delivery.report.last_error)
        relay.deaf = False
        now.skip(MAX_S, rig)
        wait_for(lambda: rig.delivery.report.queued == 0, "its second try")


def test_a_final_larger_than_the_broker_takes_is_published_without_words(tmp_path: Path) -> None:
    with (
        Broker(tmp_path, max_packet_size=1600) as broker,
        Robot(broker.port) as robot,
        Rig(broker.port) as rig,
    ):
        rig.online()
        speak(rig, 1)
        now = rig.now()
        many = (final(1, now).answer.words or ()) * 30
        rig.post(final(2, now, words=many))
        first, second = robot.hears("transcript", 2)
        assert first.json["words"] is not None
        assert second.json["words"] is None


def test_partials_are_not_sent_while_the_broker_is_away_or_where_they_are_off(
    broker: Broker,
) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, partials=False) as rig:
        rig.online()
        now = rig.now()
        rig.post(started(1, now))
        rig.post(Partial(started(1, now), 1, "stop", PROVIDER))
        speak(rig, 1)
        robot.hears("transcript")
        assert not robot.on("partial")


def test_a_broker_that_is_away_is_one_line_in_the_log() -> None:
    port = stable_port()
    now = Clock()
    with telling("scribed.delivery") as told, Rig(port, now=now) as rig:
        wait_for(lambda: rig.delivery.report.last_error)
        for seq in range(1, 6):
            now.ahead_s += 31
            speak(rig, seq)
            rig.hears_of(seq)
        wait_for(lambda: rig.delivery.report.queued == 5)
        warnings = [r for r in told if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert f"nothing listens on 127.0.0.1 port {port}" in warnings[0].getMessage()
        assert rig.finish(0.2) < 2.0
    assert any("5 finals wait for the next start" in record.getMessage() for record in told)
    assert not [record for record in told if record.levelno >= logging.ERROR]


def test_the_log_says_which_utterance_and_how_fast_but_not_what(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scribed.delivery")
    with Rig(broker.port) as rig:
        speak(rig, 12, "my secret plan")
        wait_for(lambda: rig.lines)
    record = next(r for r in caplog.records if "utterance 12" in r.getMessage())
    fields = vars(record)
    assert fields["SCRIBED_SEQ"] == 12
    assert fields["SCRIBED_UTTERANCE_ID"] == uid(12)
    assert 200 <= fields["SCRIBED_LATENCY_MS"] < 2000
    assert fields["MESSAGE_ID"] == kinds.PUBLISHED.id
    parts = ("END_TO_COMMIT", "COMMIT_TO_TEXT", "TEXT_TO_PUBLISH")
    assert sum(fields[f"SCRIBED_{part}_MS"] for part in parts) == fields["SCRIBED_LATENCY_MS"]
    assert "(onset to gate 60, gate to first byte 40, end to commit " in record.getMessage()
    assert "secret" not in caplog.text
    with Rig(broker.port, log_text=True) as rig:
        speak(rig, 13, "my open plan")
        wait_for(lambda: rig.lines)
    assert "my open plan" in caplog.text


def test_a_stop_while_the_broker_stalls_ends_in_time() -> None:
    with ScriptedBroker(mute=True) as stalled, Rig(stalled.port) as rig:
        wait_for(lambda: stalled.levels)
        speak(rig, 1)
        assert rig.finish(1.0) < 4.0


def test_a_broker_that_reads_nothing_costs_partials_and_no_memory(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, stale_after_s=60.0) as rig:
        rig.online()
        wait_for(lambda: rig.delivery.report.published.get("alert") == len(ALERT_CODES))
        os.kill(broker.pid, signal.SIGSTOP)
        now, long_text = rig.now(), "stop " * 2000
        rig.post(started(1, now))
        for rev in range(1500):  # 15 MB: more than sockets hold
            rig.post(Partial(started(1, now), rev, long_text, PROVIDER))
        rig.post(ended(1, now), final(1, now))
        wait_for(lambda: rig.delivery.report.queued == 1)
        assert rig.delivery.report.published["partial"] < 1400
        os.kill(broker.pid, signal.SIGCONT)
        robot.hears("transcript")
        wait_for(lambda: rig.delivery.report.queued == 0)


def test_nothing_is_left_behind(broker: Broker) -> None:
    def left() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    with Rig(broker.port) as rig:
        rig.online()
    before = left()
    for _ in range(5):
        with Relay(broker.port) as relay, Rig(relay.port) as rig:
            rig.online()
            relay.cut()
            wait_for(lambda: relay.connections > 1)
            rig.online()
    wait_for(lambda: left() == before, f"{left()} to be {before}")


def test_idle_it_sleeps(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    with Rig(broker.port) as rig:
        rig.online()
        wait_for(lambda: rig.delivery.report.published.get("alert") == len(ALERT_CODES))
        status = Path(f"/proc/self/task/{rig.delivery.native_id}/status")

        def switches() -> int:
            lines = status.read_text().splitlines()
            return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

        began, before = time.monotonic(), switches()
        wait_for(lambda: time.monotonic() - began > 3.0)
        rate = (switches() - before) / 3.0
    with capsys.disabled():
        sys.stdout.write(f"\n  idle delivery thread: {rate:.1f} context switches a second\n")
    assert rate < 5


def test_finals_reach_the_robot_at_once(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.online()
        took_ms = []
        for seq in range(1, 101):
            posted = clock.now()
            speak(rig, seq)
            robot.hears("transcript", seq)
            took_ms.append((robot.on("transcript")[-1].at - posted) * 1000)
    took_ms.sort()
    with capsys.disabled():
        figures = f"p50 {took_ms[50]:.1f} ms, p99 {took_ms[98]:.1f} ms"
        sys.stdout.write(f"\n  final posted to received by the robot: {figures}\n")
    assert took_ms[50] < 50


def test_two_daemons_on_one_broker_do_not_disturb_each_other(broker: Broker) -> None:
    other = Identity("r8", "mic", "scribed/r8/mic", "scribed-r8-mic-abcdef", "run-2", "boot-2")
    with (
        Robot(broker.port) as robot,
        Rig(broker.port) as rig,
        Rig(broker.port, identity=other) as second,
    ):
        rig.online()
        second.online()
        speak(rig, 1)
        speak(second, 1, "go")
        robot.hears("text")
        wait_for(lambda: second.lines == ["go"])
        assert [message.payload for message in robot.on("text")] == [b"stop"]
