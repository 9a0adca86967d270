"""A robot gets another configuration while it runs: no word is lost, and nothing is half done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed import clock
from scribed.demo.subscriber import Subscriber
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence, toml
from tests.parts.systemd import Systemd


@pytest.fixture
def robot(cloud: Cloud, tmp_path: Path) -> Iterator[Robot]:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
        "shutdown": {"grace_s": 1.0},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.wait_for(lambda: robot.status == "online")
        robot.wait_for(lambda: robot.state.get("config_sha"))
        yield robot
        assert_accounted(robot)


def reload(robot: Robot, text: str | None = None, **sections: dict[str, Any]) -> None:
    """Write the configuration anew, and have it taken."""
    for name, values in sections.items():
        robot.sections.setdefault(name, {}).update(values)
    whole = robot.configuration.with_suffix(".new")
    whole.write_text(toml(robot.sections) if text is None else text, "utf-8")
    whole.replace(robot.configuration)
    robot.process.send_signal(signal.SIGHUP)


def reloaded(robot: Robot, count: int = 1) -> dict[str, Any]:
    """Wait until so many reloads are in effect; what the last one says."""
    robot.wait_for(lambda: len(robot.events("reloaded")) >= count)
    return robot.events("reloaded")[count - 1]


def told(robot: Robot, condition: Callable[[dict[str, Any]], object]) -> None:
    robot.wait_for(lambda: condition(robot.state))


def test_another_gate_counts_for_the_next_utterance_and_closes_no_connection(
    robot: Robot, cloud: Cloud, command: bytes
) -> None:
    robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
    robot.wait_for_texts(1)
    before = robot.state["config_sha"]
    robot.speak(silence(0.3) + command, pace=8.0)
    robot.wait_for(lambda: len(robot.on("speech")) == 3)
    reload(robot, vad={"hangover_ms": 2000}, log={"level": "debug"})
    robot.speak(silence(0.7), pace=8.0)  # ends what was open, by the old hangover
    told = {"changed": ["vad.hangover_ms", "log.level"], "rotated": [], "restart": []}
    assert reloaded(robot) == told
    robot.wait_for_texts(2)
    robot.speak(command + silence(1.2) + command + silence(2.2), pace=8.0)
    robot.wait_for_texts(3)
    robot.wait_for(lambda: robot.state["config_sha"] != before)
    assert robot.state["config_on_disk_differs"] is False
    assert robot.finals[2].payload["audio_ms"] > robot.finals[0].payload["audio_ms"] + 2000
    assert (cloud.connections, [m.payload for m in robot.on("status")]) == (1, ["online"])
    assert [m.payload["caution"] for m in robot.finals] == [[], [], []]


def test_another_language_takes_a_connection_of_its_own_between_two_utterances(
    robot: Robot, cloud: Cloud, command: bytes
) -> None:
    robot.speak(silence(0.3) + command, pace=8.0)
    robot.wait_for(lambda: cloud.connections == 1)
    reload(robot, provider={"language": "fr"})
    robot.speak(silence(0.8), pace=8.0)
    assert reloaded(robot)["changed"] == ["provider.language"]
    told(robot, lambda state: state["language"] == "fr")
    robot.speak(command + silence(0.8), pace=8.0)
    robot.wait_for_texts(2)
    languages = ["language_code=fr" in request.path for request in cloud.requests]
    assert languages == [False, True]
    assert len(cloud.commits) == 2, "an utterance was sent twice"


def test_a_file_that_is_not_valid_changes_nothing_and_all_that_is_wrong_is_told(
    robot: Robot, command: bytes
) -> None:
    before = robot.state["config_sha"]
    reload(robot, toml(robot.sections) + "[vad]\nhangover_ms = 'long'\nagressiveness = 1\n")
    robot.wait_for(lambda: robot.alert("config_invalid"))
    alert = robot.alert("config_invalid")
    assert alert is not None
    assert "vad.hangover_ms" in alert["message"]
    assert "did you mean vad.aggressiveness?" in alert["message"]
    assert "reload" in alert["remedy"]
    told(robot, lambda state: state["config_on_disk_differs"])
    last = robot.log.strip().splitlines()[-1]
    assert "vad.hangover_ms" in last
    assert "vad.agressiveness" in last
    assert str(robot.configuration) in last
    assert robot.state["config_sha"] == before
    robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
    robot.wait_for_texts(1)
    reload(robot, vad={"hangover_ms": 600})
    assert reloaded(robot)["changed"] == ["vad.hangover_ms"]
    robot.wait_for(lambda: robot.alert("config_invalid") is None)
    told(robot, lambda state: state["config_on_disk_differs"] is False)


@pytest.mark.slow
def test_what_needs_a_restart_is_named_and_the_rest_is_in_effect(robot: Robot) -> None:
    reload(robot, spool={"durability": "power", "max_mb": 300}, audio={"frame_ms": 30})
    assert reloaded(robot) == {
        "changed": ["spool.max_mb"],
        "rotated": [],
        "restart": ["audio.frame_ms", "spool.durability"],
    }
    told(robot, lambda state: state["config_on_disk_differs"])
    assert "needs a restart, and stays as it was until then: audio.frame_ms" in robot.log
    reload(robot, spool={"durability": "process"}, audio={"frame_ms": 20})
    assert reloaded(robot, 2)["restart"] == []
    told(robot, lambda state: state["config_on_disk_differs"] is False)


def test_other_topics_begin_with_online_and_the_old_ones_end_with_offline(
    robot: Robot, command: bytes
) -> None:
    with Subscriber(robot.broker.port, "elsewhere/r7") as there:
        reload(robot, mqtt={"topic": "elsewhere/{robot}"})
        robot.wait_for(lambda: robot.status == "offline")
        assert there.wait_for(lambda: there.on("event"), 10)
        assert there.on("event")[0].payload["event"] == "reloaded"
        assert [message.payload for message in there.on("status")] == ["online"]
        assert there.wait_for(lambda: there.on("state"), 10)
        robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
        assert there.wait_for(lambda: there.on("transcript"), 20)
        assert there.on("transcript")[0].payload["seq"] == 1
        assert robot.texts == []


def test_a_key_file_is_read_again_and_refused_when_it_is_open_to_others(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    (key := tmp_path / "key").write_text("first-key-1f7a")
    key.chmod(0o600)
    sections = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url, "key_file": str(key), "connect": "always"},
    }
    with WatchedRobot(tmp_path, sections, key=None) as robot:
        robot.secrets += ["first-key-1f7a", "second-key-9c02"]
        robot.wait_for(lambda: robot.link.get("state") == "connected")
        key.write_text("second-key-9c02")
        reload(robot)
        assert reloaded(robot) == {"changed": [], "rotated": ["elevenlabs-api-key"], "restart": []}
        robot.wait_for(lambda: cloud.connections == 2)
        keys = [request.headers["xi-api-key"] for request in cloud.requests]
        assert keys == ["first-key-1f7a", "second-key-9c02"]
        key.chmod(0o644)
        reload(robot)
        robot.wait_for(lambda: robot.alert("auth_failed"))
        remedy = f"{key} is open to others (mode 0644); chmod 600 {key}"
        robot.wait_for(lambda: remedy in robot.log)
        key.chmod(0o600)
        reload(robot)
        robot.wait_for(lambda: robot.alert("auth_failed") is None)
        robot.wait_for(lambda: cloud.connections == 3)
        robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
        robot.wait_for_texts(1)


def test_another_password_of_the_broker_is_taken_without_being_offline(
    cloud: Cloud, tmp_path: Path
) -> None:
    (secret := tmp_path / "password").write_text("first-word-77")
    secret.chmod(0o600)
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
        "mqtt": {"username": "ear", "password_file": str(secret)},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.secrets += ["first-word-77", "second-word-78"]
        robot.wait_for(lambda: robot.status == "online")
        secret.write_text("second-word-78")
        reload(robot, mqtt={"keepalive_s": 20})
        assert reloaded(robot)["rotated"] == ["mqtt-password"]
        robot.wait_for(lambda: len(robot.on("status")) == 2)
        assert [message.payload for message in robot.on("status")] == ["online", "online"]


def test_a_start_with_a_file_that_is_not_valid_uses_the_last_good_one_until_a_reload(
    robot: Robot, command: bytes
) -> None:
    robot.kill()
    good = robot.configuration.read_text("utf-8")
    robot.sections["vad"] = {"hangover_ms": 99}
    robot.start()
    robot.wait_for(lambda: robot.alert("config_invalid"))
    told(robot, lambda state: state["config_on_disk_differs"])
    assert "uses the last good configuration" in robot.log
    robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
    robot.wait_for_texts(1)
    del robot.sections["vad"]
    reload(robot, good)
    assert reloaded(robot)["changed"] == []
    robot.wait_for(lambda: robot.alert("config_invalid") is None)
    told(robot, lambda state: state["config_on_disk_differs"] is False)


@pytest.mark.slow
def test_an_order_to_reload_in_the_middle_of_another_ends_with_the_last_file(
    robot: Robot, command: bytes
) -> None:
    robot.speak(silence(0.3) + command, pace=8.0)
    robot.wait_for(lambda: robot.on("speech"))
    for n, hangover_ms in enumerate((600, 700, 800)):
        reload(robot, vad={"hangover_ms": hangover_ms}, mqtt={"keepalive_s": 20 + n})
    robot.speak(silence(0.9), pace=8.0)
    robot.wait_for(lambda: robot.events("reloaded"))
    robot.wait_for_texts(1)
    told(robot, lambda state: state["config_on_disk_differs"] is False)
    changed = {key for event in robot.events("reloaded") for key in event["changed"]}
    assert changed == {"vad.hangover_ms", "mqtt.keepalive_s"}


def test_an_order_to_reload_before_it_is_ready_is_carried_out_then(
    cloud: Cloud, tmp_path: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
    }
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "starts").write_text(f"1 {clock.now()}\n")  # and so it waits at first
    with (
        Systemd(tmp_path) as systemd,
        WatchedRobot(tmp_path, sections, environment=systemd.environment()) as robot,
    ):
        waits = "STATUS=starting: ended 2 times in a row; starts in 2 s"
        assert systemd.wait_for(waits, 10, since=0.0)
        reload(robot, vad={"hangover_ms": 600})
        assert reloaded(robot)["changed"] == ["vad.hangover_ms"]
