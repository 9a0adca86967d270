"""A robot asks for something else than its configuration says, until the next start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from paho.mqtt.client import MQTTv5

from tests.e2e.test_asking import ask
from tests.e2e.test_reload import reload, reloaded
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud
from tests.parts.robot import BASE, Robot, silence

COMMANDS = ["set_language", "set_keyterms", "log_level", "devices"]


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path) -> Iterator[Robot]:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url, "language": "en"},
        "mqtt": {"commands": COMMANDS},
        "shutdown": {"grace_s": 1.0},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.wait_for(lambda: robot.status == "online")
        robot.wait_for(lambda: robot.state.get("config_sha"))
        yield robot
        assert_accounted(robot)


def test_another_language_counts_from_the_next_utterance_until_the_configured_one_is_wanted(
    robot: Robot, cloud: Cloud, command: bytes
) -> None:
    before = robot.state["config_sha"]
    said = ask(robot, "set_language", {"language": "fr", "req": "guest"})
    assert (said["ok"], said["req"], said["result"]) == (True, "guest", {"language": "fr"})
    said = ask(robot, "set_keyterms", {"keyterms": ["docking station", "Kuka"]})
    assert said["result"] == {"keyterms": ["docking station", "Kuka"]}
    overrides = {
        "provider.language": "fr",
        "provider.elevenlabs.keyterms": ["docking station", "Kuka"],
    }
    robot.wait_for(lambda: robot.state["overrides"] == overrides)
    robot.wait_for(lambda: robot.state["language"] == "fr")
    reload(robot, vad={"hangover_ms": 600})
    robot.wait_for(lambda: any("vad.hangover_ms" in e["changed"] for e in robot.events("reloaded")))
    robot.wait_for(lambda: robot.state["config_on_disk_differs"] is False)
    assert robot.state["overrides"] == overrides, "a reload is no restart"
    robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
    robot.wait_for_texts(1)
    assert "language_code=fr" in cloud.requests[-1].path
    assert "keyterms=Kuka" in cloud.requests[-1].path
    assert ask(robot, "set_language", {"language": None})["result"] == {"language": "en"}
    assert ask(robot, "set_keyterms", {"keyterms": None})["result"] == {"keyterms": []}
    robot.wait_for(lambda: robot.state["overrides"] == {})
    robot.wait_for(lambda: robot.state["language"] == "en")
    robot.speak(command + silence(0.8), pace=8.0)
    robot.wait_for_texts(2)
    assert "language_code=en" in cloud.requests[-1].path
    assert "keyterms" not in cloud.requests[-1].path
    assert robot.state["config_sha"] != before, "vad.hangover_ms"


def test_what_the_service_would_refuse_is_refused_here_and_changes_nothing(robot: Robot) -> None:
    for name, payload, why in (
        ("set_language", {"language": "french"}, "set_language takes"),
        ("set_keyterms", {"keyterms": ["word"] * 51}, "51 are too many; at most 50"),
        ("set_keyterms", {"keyterms": ["x" * 21]}, "at most 20 each"),
        ("set_keyterms", {"keyterms": [" "]}, "one is empty"),
    ):
        error = ask(robot, name, payload)["error"]
        assert error["code"] == "malformed"
        assert why in error["message"]
    assert robot.state["overrides"] == {}
    assert robot.events("reloaded") == []


def test_the_log_tells_more_for_a_while(robot: Robot) -> None:
    said = ask(robot, "log_level", {"level": "debug", "ttl_ms": 60_000})
    assert said["result"] == {"level": "debug", "ttl_ms": 60_000}
    robot.wait_for(lambda: robot.state["overrides"] == {"log.level": "debug"})
    reload(robot, log={"level": "error"})
    reloaded(robot)
    assert robot.state["overrides"] == {"log.level": "debug"}
    assert "reloaded: log.level" in robot.log, "the configured level would not say it"
    ask(robot, "log_level", {"level": "info", "ttl_ms": 200})
    robot.wait_for(lambda: robot.state["overrides"] == {})
    reload(robot, vad={"hangover_ms": 600})
    reloaded(robot, 2)
    assert "reloaded: vad.hangover_ms" not in robot.log


def test_the_microphones_are_listed_while_it_hears(
    robot: Robot, cloud: Cloud, command: bytes
) -> None:
    topic, broker = f"{BASE}/cmd/devices", robot.broker.port
    publish.single(topic, b"", qos=1, port=broker, protocol=MQTTv5)
    robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
    robot.wait_for_texts(1)
    robot.wait_for(lambda: any(m.payload["cmd"] == "devices" for m in robot.on("reply")))
    (said,) = (m.payload for m in robot.on("reply") if m.payload["cmd"] == "devices")
    assert said["ok"], said
    assert said["result"].keys() == {"devices", "pcms"}
    assert cloud.connections == 1
