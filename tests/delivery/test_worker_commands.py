"""Commands on a real broker: what a robot asks for, and what it is told."""

from __future__ import annotations

import time

from scribed.delivery.commands import COMMANDS
from scribed.delivery.outbox import WINDOW
from scribed.delivery.replies import AT_ONCE, PENDING
from scribed.demo.broker import Broker
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Command,
    CommandError,
    Final,
    Outcome,
    Reply,
    Restated,
)
from tests.delivery.peers import BASE, Relay, Rig, Robot, ScriptedBroker, final, started, wait_for

EVERY = ("mute", "flush", "restate", "state")


def answer(rig: Rig, command: Command, **result: object) -> None:
    """Do as the supervisor: put one reply where the command says."""
    command.answer.put(Reply(command.token, dict(result)))


def test_a_command_is_handed_on_and_its_reply_comes_back(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.heeds()
        robot.says("cmd/mute", '{"on": true, "req": "r-1"}')
        command = rig.asked()
        assert (command.name, command.args, command.local) == (
            "mute",
            {"on": True, "purge": False},
            False,
        )
        answer(rig, command, muted=True)
        (reply,) = robot.hears("reply")
        assert (reply.qos, reply.retain, reply.expiry_s) == (1, False, 10)
        assert reply.json.items() >= {
            "schema": "stt.reply/1",
            "ok": True,
            "cmd": "mute",
            "req": "r-1",
            "result": {"muted": True},
        }.items()  # fmt: skip


def test_who_names_a_topic_is_answered_there_with_what_it_gave(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.heeds()
        robot.says("cmd/state", answer_on="answers/1", correlation=b"\x01\xfe")
        answer(rig, rig.asked(), hearing=True)
        (reply,) = robot.hears("answers/1")
        assert reply.correlation == b"\x01\xfe"
        assert reply.json["result"] == {"hearing": True}
        robot.says("cmd/state", answer_on=f"{BASE}/transcript")
        answer(rig, rig.asked())
        robot.hears("reply")
        assert not robot.on("transcript")


def test_what_cannot_be_done_is_said_in_words_and_changes_nothing(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.heeds()
        robot.says("cmd/dance", '{"req": "r-1"}')
        robot.says("cmd/restate", '{"since_seq": 1}')  # allowed only where the configuration says
        robot.says("cmd/mute", "ON", retain=True)
        robot.says("cmd/mute", '{"on": true, "expires_at": "2020-01-01T00:00:00Z"}')
        robot.says("cmd/mute", "perhaps")
        robot.says("cmd/flush", b"x" * 100_000)
        replies = [message.json for message in robot.hears("reply", 6)]
        assert [reply["error"]["code"] for reply in replies] == [
            "unknown", "not_allowed", "retained", "expired", "malformed", "too_large",
        ]  # fmt: skip
        assert not any(reply["ok"] for reply in replies)
        assert ", ".join(COMMANDS) in replies[0]["error"]["message"]
        assert replies[0]["req"] == "r-1"
        assert not [item for item in rig.supervisor.drain() if isinstance(item, Command)]
        robot.says("cmd/flush")
        command = rig.asked()
        command.answer.put(Reply(command.token, error=CommandError("failed", "not now")))
        assert robot.hears("reply", 7)[-1].json["error"] == {"code": "failed", "message": "not now"}


def test_a_command_from_before_the_connection_is_not_obeyed(broker: Broker) -> None:
    with Robot(broker.port) as robot:
        robot.says("cmd/mute", "ON", retain=True)
        robot.says("cmd/mute", "ON")
        with Rig(broker.port) as rig:
            rig.heeds()
            robot.says("cmd/state")
            assert rig.asked().name == "state"
            assert not robot.on("reply")


def test_commands_are_taken_in_version_3_1_1_and_after_a_reconnection_too(broker: Broker) -> None:
    with (
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, protocol="3.1.1") as rig,
    ):
        rig.heeds()
        for count in (1, 2):
            robot.says("cmd/flush", answer_on="answers/1")  # which 3.1.1 does not know
            answer(rig, rig.asked())
            robot.hears("reply", count)
            relay.cut()
            wait_for(lambda: relay.connections > 1)
            robot.hears("status", 2 * count + 1)  # it was offline, and is back


def test_a_flood_of_commands_costs_replies_and_no_word(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port) as rig:
        rig.heeds()
        flood = 300
        for _ in range(flood):
            robot._client.publish(f"{BASE}/cmd/state", b"", qos=0)
        robot.says("cmd/state")
        now = rig.now()
        rig.post(started(1, now - 1), final(1, now))
        robot.hears("transcript")

        def all_told() -> bool:
            dropped = rig.delivery.report.dropped
            return len(robot.on("reply")) + dropped.get("replies", 0) == flood + 1 - PENDING

        wait_for(all_told, "the replies")
        assert {m.json["error"]["code"] for m in robot.on("reply")} == {"busy"}
        asked = [item for item in rig.supervisor.drain() if isinstance(item, Command)]
        assert len(asked) == PENDING
        for command in asked:
            answer(rig, command)
        wait_for(lambda: any(m.json["ok"] for m in robot.on("reply")))
        assert rig.delivery.report.queued == 0


def test_finals_are_said_again_to_who_asked_and_never_before_live_ones(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, commands=EVERY) as rig:
        rig.heeds()
        now = rig.now()
        robot.says("cmd/restate", '{"since_seq": 1, "req": "r"}', answer_on="answers/1")
        command = rig.asked()
        assert (command.name, command.args) == ("restate", {"since_seq": 1})
        old = tuple(final(seq, now - 100) for seq in range(1, 1001))
        closed = Closed(started(1001, now - 50), None, Outcome.EVICTED)
        command.answer.put(Restated(command.token, (*old, closed)))
        rig.post(started(2000, now - 1), final(2000, now))
        said = [message.json for message in robot.hears("answers/1", 1002)]
        robot.hears("text")
        topics = [message.topic for message in robot.heard]
        before = topics[: topics.index("transcript")].count("answers/1")
        assert before <= AT_ONCE + WINDOW
        *finals, end, reply = said
        assert [final["seq"] for final in finals] == list(range(1, 1001))
        assert {final["late_reason"] for final in finals} == {"restated"}
        assert all(final["restated"] for final in finals)
        assert (end["schema"], end["outcome"]) == ("stt.ended/1", "evicted")
        assert (reply["ok"], reply["req"], reply["result"]) == (True, "r", {"count": 1001})
        assert robot.seqs("transcript", "late", "ended") == [2000]
        assert len(robot.on("text")) == 1
        wait_for(lambda: rig.delivery.report.published.get("restated") == 1001, "the report")
        assert rig.delivery.report.balance == 0


def test_finals_are_said_again_on_late_where_nobody_named_a_topic(broker: Broker) -> None:
    with (
        Robot(broker.port) as robot,
        Relay(broker.port) as relay,
        Rig(relay.port, commands=EVERY) as rig,
    ):
        rig.heeds()
        robot.says("cmd/restate", '{"since_seq": 1}')
        command = rig.asked()
        now = rig.now()
        items: list[Final | Closed] = [final(seq, now) for seq in range(1, 41)]
        items.append(Closed(started(50, now), None, Outcome.FAILED))
        relay.deaf = True  # half of it will have to be said once more
        command.answer.put(Restated(command.token, tuple(items)))
        robot.hears("late", 10)
        relay.cut()
        relay.deaf = False
        (reply,) = robot.hears("reply")
        assert reply.json["result"] == {"count": 40}
        assert sorted(set(robot.seqs("late"))) == list(range(1, 41))
        assert {m.json["late_reason"] for m in robot.on("late")} == {"restated"}
        assert not robot.on("ended")
        assert not robot.on("transcript")
        assert rig.delivery.report.balance == 0


def test_one_who_is_leaving_does_not_stay_for_what_was_to_be_said_again(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, commands=EVERY) as rig:
        rig.heeds()
        robot.says("cmd/restate", '{"since_seq": 1}', answer_on="answers/1")
        command = rig.asked()
        old = tuple(final(seq, 1.0) for seq in range(1, 5001))
        command.answer.put(Restated(command.token, old))
        robot.hears("answers/1")
        assert rig.finish(5.0) < 4.0
        assert robot.hears("status", 2)[-1].payload == b"offline"


def test_a_broker_that_takes_no_subscription_is_an_alert() -> None:
    with ScriptedBroker(suback_reason=0x87) as broker, Rig(broker.port) as rig:
        alert = rig.tells(Alert, "mqtt_denied")
        assert f"{BASE}/cmd cannot be subscribed to: not authorized" in alert.message
        broker.suback_reason = 1
        began = time.monotonic()
        broker.hang_up()
        rig.tells(AlertCleared, "mqtt_denied")
        assert time.monotonic() - began < 5
