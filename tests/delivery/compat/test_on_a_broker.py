"""Other stacks on a real broker: what they hear of us, and what they may ask."""

from __future__ import annotations

import json
from pathlib import Path

from scribed.delivery.compat import home_assistant
from scribed.demo.broker import Broker
from scribed.model import (
    Alert,
    AlertCleared,
    EndReason,
    Partial,
    Reply,
    UtteranceEnded,
)
from tests.delivery.peers import (
    BASE,
    IDENTITY,
    PROVIDER,
    Rig,
    Robot,
    final,
    started,
    uid,
    wait_for,
)

DISCOVERY = "device/scribed-r7/mic/config"


def speak(rig: Rig, seq: int, text: str = "Turn left, please.", *, lost_ms: int = 0) -> None:
    at = rig.now()
    rig.post(
        started(seq, at - 1.5),
        Partial(started(seq, at - 1.5), 1, "Turn le", PROVIDER),
        UtteranceEnded(uid(seq), at, EndReason.COMMIT, 1200),
        final(seq, at, text, lost_ms=lost_ms, answer=None),
    )


def test_nobody_is_spoken_to_unless_it_is_wanted(broker: Broker) -> None:
    with Robot(broker.port, base="+") as everybody, Rig(broker.port) as rig:
        rig.heeds()
        speak(rig, 1)
        everybody.hears(f"{BASE}/transcript")
        everybody.publish("homeassistant/status", "online")
        everybody.publish("hermes/asr/toggleOff", json.dumps({"siteId": "r7-mic"}))
        everybody.hears("hermes/asr/toggleOff")
        foreign = [each.topic for each in everybody.heard if not each.topic.startswith(BASE)]
        assert foreign == ["homeassistant/status", "hermes/asr/toggleOff"]
        assert not everybody.on(f"{BASE}/live_speech")
        assert not everybody.on(f"{BASE}/reply")


def test_home_assistant_finds_us_and_again_when_it_has_started(broker: Broker) -> None:
    with (
        Robot(broker.port, base="homeassistant") as hass,
        Rig(broker.port, home_assistant="status") as rig,
    ):
        (found,) = hass.hears(DISCOVERY)
        assert found.json == json.loads(
            home_assistant.document(IDENTITY, texts=False, may_mute=True)
        )
        assert (found.qos, found.retain, found.expiry_s) == (1, True, None)
        hass.publish("homeassistant/status", "offline")
        hass.publish("homeassistant/status", "online")
        hass.hears(DISCOVERY, 2)
        assert rig.standing == [(f"home_assistant/homeassistant/{DISCOVERY}",)]


def test_what_an_earlier_run_announced_is_removed_once(broker: Broker) -> None:
    mine, old = (f"home_assistant/homeassistant/device/{x}/config" for x in ("old/mic", "x/y"))
    with (
        Robot(broker.port, base="homeassistant") as hass,
        Rig(broker.port, standing=(mine, old)) as rig,
    ):
        wait_for(lambda: rig.standing and rig.standing[-1] == (), "both to be forgotten")
        wait_for(lambda: len(hass.heard) == 2)
        assert {(each.topic, each.payload) for each in hass.heard} == {
            ("device/old/mic/config", b""),
            ("device/x/y/config", b""),
        }


def test_hermes_hears_a_person_and_only_what_may_be_acted_on(broker: Broker) -> None:
    with Robot(broker.port, base="hermes") as rhasspy, Rig(broker.port, hermes=True) as rig:
        rig.heeds()
        speak(rig, 1, "Don't turn left.", lost_ms=40)  # a caution
        speak(rig, 2)
        (said,) = rhasspy.hears("asr/textCaptured")
        assert said.json["text"] == "turn left please"
        assert (said.qos, said.retain) == (0, False)
        assert said.expiry_s in (4, 5)
        rhasspy.hears("voiceActivity/r7-mic/vadDown", 2)
        assert len(rhasspy.hears("voiceActivity/r7-mic/vadUp", 2)) == 2
        assert rhasspy.hears("asr/partialTextCaptured")[0].json["text"] == "turn le"
        assert len(rhasspy.on("asr/textCaptured")) == 1
        wait_for(lambda: rig.delivery.report.queued == 0)


def test_hermes_turns_the_ear_off_while_the_robot_speaks(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, hermes=True) as rig:
        rig.heeds()
        off = {"siteId": "r7-mic", "reason": "ttsSay"}
        robot.publish("hermes/asr/toggleOff", json.dumps(off))
        command = rig.asked()
        assert command.name == "robot_speaking"
        assert command.args.items() >= {"on": True, "id": "hermes-ttsSay"}.items()
        command.answer.put(Reply(command.token, {"left_ms": 30_000}))
        (reply,) = robot.hears("reply")
        assert reply.json.items() >= {"ok": True, "req": "hermes/asr/toggleOff"}.items()


def test_hermes_may_no_more_than_commands_allow(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, hermes=True, commands=("state",)) as rig:
        rig.heeds()
        robot.publish("hermes/asr/toggleOff", json.dumps({"siteId": "r7-mic"}))
        (reply,) = robot.hears("reply")
        assert reply.json["error"]["code"] == "not_allowed"
        robot.publish("hermes/asr/toggleOff", b'{"siteId": "r7-mic", "\xff' + b"x" * 1_000_000)
        assert robot.hears("reply", 2)[1].json["error"]["code"] == "too_large"


def test_a_bridge_to_ros_gets_partials_and_what_may_be_acted_on(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, ros=True) as rig:
        rig.heeds()
        speak(rig, 1, "Don't turn left.", lost_ms=40)
        speak(rig, 2)
        said = wait_for(lambda: [x for x in robot.on("live_speech") if x.json["final"]])
        assert [each.json["final"] for each in said] == ["Turn left, please."]
        assert any(each.json["incremental"] == "Turn le" for each in robot.on("live_speech"))
        assert {(each.qos, each.retain) for each in robot.on("live_speech")} == {(0, False)}


def test_a_stack_that_the_acl_keeps_us_from_is_named_and_disturbs_nothing(tmp_path: Path) -> None:
    acl = f"topic readwrite {BASE}/#\n"
    with (
        Broker(tmp_path, acl=acl) as broker,
        Robot(broker.port) as robot,
        Rig(broker.port, home_assistant="text", hermes=True) as rig,
    ):
        alert = rig.tells(Alert, "mqtt_denied")
        assert alert.message.startswith(f"homeassistant/{DISCOVERY} is refused by the broker")
        speak(rig, 1)
        robot.hears("transcript")
        wait_for(lambda: rig.delivery.report.queued == 0)
        assert not [each for each in rig.told if isinstance(each, AlertCleared)]


def test_a_device_that_is_more_than_the_broker_takes_is_told(tmp_path: Path) -> None:
    with (
        Broker(tmp_path, max_packet_size=4096) as broker,
        Robot(broker.port) as robot,
        Rig(broker.port, hermes=True, home_assistant="text") as rig,
    ):
        alert = rig.tells(Alert, "mqtt_denied")
        assert (
            alert.message == f"homeassistant/{DISCOVERY} is more than the broker takes in a message"
        )
        speak(rig, 1)
        robot.hears("transcript")
        assert rig.delivery.report.connected
