"""The daemon's figures as Prometheus gets them, beside those on MQTT."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from scribed.demo.broker import stable_port
from scribed.metrics import FIGURES
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class _Local(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def scraped(connection: http.client.HTTPConnection) -> dict[str, float]:
    """Every sample by its name and labels; empty where nobody listens yet."""
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in parsed(text)
            for sample in family.samples
        }
    return {}


def robot(directory: Path, cloud: Cloud, listen: str) -> WatchedRobot:
    sections = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url},
        "metrics": {"listen": listen},
    }
    return WatchedRobot(directory, sections)


def hear(robot: Robot, command: bytes) -> None:
    """One command, until its text is told."""
    robot.wait_for(lambda: robot.status == "online")
    robot.speak(silence(0.2) + command + silence(0.8), pace=4.0)
    robot.wait_for_texts(1)


def test_what_was_said_is_in_the_figures_and_the_law_holds(
    cloud: Cloud, command: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "m.sock"
    with robot(tmp_path, cloud, f"unix:{path}") as daemon:
        hear(daemon, command)
        told = ("scribed_utterances_published_total", "scribed_committed_total")  # by two threads
        daemon.wait_for(lambda: all(scraped(_Local(path)).get(name) == 1 for name in told))
        found = scraped(_Local(path))
        begun = found["scribed_utterances_detected_total"]
        assert begun == found["scribed_utterances_published_total"] == 1
        assert found["scribed_utterances_balance"] == 0
        assert found["scribed_gate_openings_total"] == found["scribed_committed_total"] == 1
        assert found["scribed_captured_seconds_total"] > 2
        assert found["scribed_sent_seconds_total"] > 1
        sent_s = pytest.approx(found["scribed_sent_seconds_total"], abs=0.1)
        assert found["scribed_billed_seconds_today"] == sent_s
        assert found["scribed_mqtt_messages_total transcript"] == 1
        assert found["scribed_latency_seconds_count end_to_publish"] == 1
        (final,) = daemon.finals
        took_s = final.payload["latency"]["end_to_publish_ms"] / 1000
        assert found["scribed_latency_seconds_sum end_to_publish"] == took_s
        names = {name.partition(" ")[0].removesuffix("_bucket") for name in found}
        ends = ("_count", "_sum", "_created")
        families = {next((n[: -len(e)] for e in ends if n.endswith(e)), n) for n in names}
        assert families <= {figure.name for figure in FIGURES}
        assert_accounted(daemon)
        assert daemon.stop()[0] == 0
    assert not path.exists()


def test_a_port_that_is_taken_costs_nothing_but_the_figures(
    cloud: Cloud, command: bytes, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with robot(tmp_path, cloud, listen) as daemon:
            hear(daemon, command)
            assert f"nobody can ask for figures at {listen}: Address already in use" in daemon.log
            assert daemon.stop()[0] == 0


@pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Debian's package prometheus")
def test_prometheus_itself_takes_the_example(cloud: Cloud, command: bytes, tmp_path: Path) -> None:
    port, web = stable_port(), stable_port()
    for name in ("prometheus.yml", "prometheus-alerts.yml"):
        text = (EXAMPLES / name).read_text("utf-8")
        text = text.replace("127.0.0.1:9469", f"127.0.0.1:{port}").replace("15s", "1s")
        (tmp_path / name).write_text(text, "utf-8")
    server = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{web}",
        "--log.level=error",
    ]
    with robot(tmp_path, cloud, f"127.0.0.1:{port}") as daemon:
        hear(daemon, command)
        with subprocess.Popen(server) as process:
            try:
                assert _told(web, 'scribed_latency_seconds_count{part="end_to_publish"}') == "1"
                assert _told(web, "scribed_utterances_balance") == "0"
                assert _told(web, "scribed_link_connected") == "1"
                assert _told(web, 'up{job="scribed"}') == "1"
            finally:
                process.terminate()


def _told(port: int, query: str) -> str:
    """What Prometheus says to `query`, as soon as it knows."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError, msgspec.DecodeError):
            connection.request("POST", "/api/v1/query", f"query={query}", {
                "Content-Type": "application/x-www-form-urlencoded"
            })  # fmt: skip
            answer = msgspec.json.decode(connection.getresponse().read())
            if found := answer.get("data", {}).get("result"):
                value: str = found[0]["value"][1]
                return value
        time.sleep(0.2)  # it polls, and so must we
    raise AssertionError(f"Prometheus never knew {query}")
