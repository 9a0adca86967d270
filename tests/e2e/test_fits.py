"""A daemon among other stacks: it is found, and leaves nothing behind when it is not to be."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.delivery.peers import Robot as Ear
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence, toml

DISCOVERY = "homeassistant/device/scribed-r7/mic/config"


def goes_by(robot: Robot, **mqtt: object) -> None:
    """Have it read another configuration."""
    robot.sections["mqtt"].update(mqtt)
    robot.configuration.write_text(toml(robot.sections), "utf-8")
    robot.process.send_signal(signal.SIGHUP)


def test_it_is_found_while_it_is_to_be_also_over_a_reload_and_a_restart(
    cloud: Cloud, command: bytes, tmp_path: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
        "mqtt": {"home_assistant": "text", "hermes": True, "hermes_site": "hall", "ros": True},
    }
    with WatchedRobot(tmp_path, sections) as robot, Ear(robot.broker.port, base="+") as others:
        assert others.hears(DISCOVERY)[0].payload
        robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
        (text,) = robot.wait_for_texts(1)
        assert others.hears("hermes/asr/textCaptured")[0].json["siteId"] == "hall"
        assert others.hears("scribed/r7/mic/live_speech")[-1].json["final"] in ("", text)
        goes_by(robot, home_assistant="off", hermes=False)
        assert others.hears(DISCOVERY, 2)[1].payload == b""
        robot.wait_for(lambda: robot.events("reloaded"))
        goes_by(robot, home_assistant="status")
        assert others.hears(DISCOVERY, 3)[2].payload
        assert robot.stop()[0] == 0
        robot.sections["mqtt"]["home_assistant"] = "off"
        robot.start()
        assert others.hears(DISCOVERY, 4)[3].payload == b""
        assert robot.stop()[0] == 0
        robot.start()
        robot.speak(silence(0.3) + command + silence(0.8), pace=8.0)
        robot.wait_for_texts(2)
        assert len(others.on(DISCOVERY)) == 4
        assert_accounted(robot)
