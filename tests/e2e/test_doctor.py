"""`scribed doctor` beside a running daemon: it sees how it is, and is not noticed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.witness import WatchedRobot
from tests.parts.cloud import Cloud
from tests.parts.robot import silence


def test_a_running_daemon_is_asked_and_notices_nothing(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
        "spool": {"min_free_mb": 1, "max_mb": 32},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        robot.wait_for_texts(1)
        before, connections = len(robot.subscriber.received), cloud.connections
        with subprocess.Popen(
            [sys.executable, "-m", "scribed", "doctor", "--json", "-c", robot.configuration],
            env=robot.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as doctor:
            deadline = time.monotonic() + 60
            while doctor.poll() is None:  # a pipe that is quiet for long is a microphone no more
                assert time.monotonic() < deadline, "it does not end"
                robot.speak(silence(0.1))
            said, _ = doctor.communicate()
        found = {each["part"]: each for each in json.loads(said)["findings"]}
        assert doctor.returncode == 0, said
        assert found["daemon"]["text"].startswith(("hears", "DOES NOT HEAR"))
        assert found["store"]["text"].endswith(f"in use by the daemon (pid {robot.process.pid})")
        for part in ("credentials", "provider", "broker"):
            assert found[part]["level"] == "ok", found[part]
        assert cloud.connections == connections + 1, "a session of its own"
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        robot.wait_for_texts(2)
        published = {message.topic for message in robot.subscriber.received[before:]}
        assert "status" not in published
        assert not any(topic.startswith("alert/") for topic in published)
        assert not {"link_down", "device_lost"} & {
            message.payload["event"]
            for message in robot.subscriber.received[before:]
            if message.topic == "event"
        }
