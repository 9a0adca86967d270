"""docs/examples/: each is run, or held to what reads it. (act.py has tests/faults/test_act.py.)"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2
import jsonschema
import pytest
import yaml

from scribed.contract.examples import payloads_of
from scribed.delivery.topics import RULES
from scribed.demo.broker import Broker
from tests.delivery.peers import Robot, wait_for

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
BASE = "scribed/r7/mic"
MESSAGES = payloads_of()
SAID = json.loads(MESSAGES["transcript"][0])
FRESH = {**SAID, "expires_at": "2999-01-01T00:00:00.000Z"}
WRONG: Mapping[str, dict[str, Any]] = {
    "it was acted on": {**FRESH, "seq": 7},
    "it is older than what was acted on": {**FRESH, "seq": 6},
    "it has a caution": {**FRESH, "caution": ["cut"]},
    "it has a caution of a later version": {**FRESH, "caution": ["a new one"]},
    "it is expired": {**FRESH, "expires_at": SAID["expires_at"]},
}
"""Why not to act, after number 7."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (home := tmp_path / "broker").mkdir()
    with Broker(home) as broker:
        yield broker


@contextmanager
def listening(directory: Path, *command: str | Path) -> Iterator[Path]:
    """A program that listens; the file with what it prints."""
    said = directory / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, cwd=directory
        )
    try:
        yield said
    finally:
        process.kill()
        process.wait(10)


def says(robot: Robot, topic: str, payload: bytes, said: Path) -> str:
    """Publish until it is printed: nobody says when a program has subscribed."""

    def printed() -> str:
        robot.publish(f"{BASE}/{topic}", payload)
        return said.read_text()

    return str(wait_for(printed, "a line"))


def test_the_ten_lines_of_python_print_what_is_said(tmp_path: Path, broker: Broker) -> None:
    program = EXAMPLES / "listen.py"
    with (
        listening(tmp_path, sys.executable, program, "127.0.0.1", str(broker.port)) as said,
        Robot(broker.port) as robot,
    ):
        assert says(robot, "text", "Café, please.".encode(), said).startswith("Café, please.\n")


def readme_blocks() -> str:
    return "\n".join(
        re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    )


def test_the_readme_has_the_ten_lines_as_they_are() -> None:
    code = (EXAMPLES / "listen.py").read_text().partition("import annotations\n\n")[2]
    assert code in readme_blocks()
    assert len([line for line in code.splitlines() if line]) <= 10


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto-clients is missing")
@pytest.mark.parametrize("topic", ["text", "transcript"])
def test_the_readme_s_mosquitto_sub_prints_what_is_said(
    tmp_path: Path, broker: Broker, topic: str
) -> None:
    found = re.search(rf"^mosquitto_sub -h hub -t '([^']+/{topic})'", readme_blocks(), re.M)
    assert found is not None
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", found[1]]
    with listening(tmp_path, *command) as said, Robot(broker.port) as robot:
        payload = MESSAGES[topic][0]
        assert says(robot, topic, payload, said).startswith(f"{payload.decode()}\n")


# ROS 2


def params() -> dict[str, Any]:
    loaded = yaml.safe_load((EXAMPLES / "ros2_mqtt_client.yaml").read_text())
    (node,) = loaded.values()
    return dict(node["ros__parameters"])


QOS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "mqtt": {"properties": {"qos": {"enum": [0, 1, 2]}, "retained": {"type": "boolean"}}},
        "ros": {
            "properties": {
                "queue_size": {"type": "integer"},
                "qos": {
                    "additionalProperties": False,
                    "properties": {
                        "durability": {"enum": ["auto", "volatile", "transient_local"]},
                        "reliability": {"enum": ["auto", "best_effort", "reliable"]},
                    },
                },
            },
        },
    },
}


def bridged(way: str, here: str, there: str) -> dict[str, Any]:
    """What mqtt_client reads of one direction: a list of topics, and a section for each."""
    name = {"type": "string", "pattern": "^/[a-z][a-z0-9_/]*$"}
    return {
        "type": "object",
        "required": [f"{here}s"],
        "properties": {f"{here}s": {"type": "array", "items": {"type": "string"}}},
        "additionalProperties": {
            "type": "object",
            "required": [there, "ros_type"],
            "additionalProperties": False,
            "properties": {
                there: name if there == "ros_topic" else {"type": "string"},
                "ros_type": {"const": "std_msgs/msg/String"},
                "primitive": {"type": "boolean"},
                "advanced": QOS,
            },
        },
        "description": way,
    }


MQTT_CLIENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["broker", "bridge"],
    "properties": {
        "broker": {"required": ["host", "port"]},
        "client": {"properties": {"id": {"type": "string"}, "clean_session": {"const": True}}},
        "bridge": {
            "additionalProperties": False,
            "properties": {
                "mqtt2ros": bridged("mqtt2ros", "mqtt_topic", "ros_topic"),
                "ros2mqtt": bridged("ros2mqtt", "ros_topic", "mqtt_topic"),
            },
        },
    },
}
"""What the README and the examples of ika-rwth-aachen/mqtt_client say of its parameters."""


def test_the_bridge_to_ros_2_is_as_mqtt_client_reads_it() -> None:
    jsonschema.Draft202012Validator(MQTT_CLIENT).validate(params())
    for way, here in (("mqtt2ros", "mqtt_topic"), ("ros2mqtt", "ros_topic")):
        sections = params()["bridge"][way]
        assert set(sections[f"{here}s"]) == set(sections) - {f"{here}s"}


def test_the_bridge_to_ros_2_has_topics_of_scribed_s_with_their_qos() -> None:
    incoming = params()["bridge"]["mqtt2ros"]
    for topic in incoming["mqtt_topics"]:
        rule = RULES[topic.removeprefix(f"{BASE}/")]
        assert incoming[topic].get("advanced", {}).get("mqtt", {}).get("qos", 0) == rule.qos
    (command,) = [s for k, s in params()["bridge"]["ros2mqtt"].items() if k.startswith("/")]
    assert command["mqtt_topic"].removeprefix(f"{BASE}/") in MESSAGES


# Home Assistant


def package() -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLES / "home_assistant.yaml").read_text()))


def rendered(template: str, **values: Any) -> str:
    """What Home Assistant makes of a template: Jinja, and some functions of its own."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["tojson"] = json.dumps
    environment.globals |= {
        "now": lambda: datetime.now(timezone.utc),
        "as_timestamp": lambda at: (
            at if isinstance(at, datetime) else datetime.fromisoformat(at.replace("Z", "+00:00"))
        ).timestamp(),
        "states": {"input_number.scribed_r7_seq": "7.0"}.__getitem__,
    }
    return environment.from_string(template).render(**values)


def is_obeyed(payload: dict[str, Any]) -> bool:
    """Whether the automation's conditions hold, after number 7."""
    (automation,) = package()["automation"]
    trigger = {"payload_json": payload}
    said = [rendered(each["value_template"], trigger=trigger) for each in automation["conditions"]]
    assert set(said) <= {"True", "False"}
    return set(said) == {"True"}


def test_home_assistant_acts_on_an_order_and_on_nothing_else() -> None:
    assert is_obeyed(FRESH)
    assert [why for why, payload in WRONG.items() if is_obeyed(payload)] == []


def test_home_assistant_notes_the_number_and_tells_the_words() -> None:
    (automation,) = package()["automation"]
    (trigger,) = automation["triggers"]
    assert (trigger["topic"], trigger["qos"]) == (f"{BASE}/transcript", RULES["transcript"].qos)
    note, tell = automation["actions"]
    assert note["target"]["entity_id"] == "input_number.scribed_r7_seq"
    assert list(package()["input_number"]) == ["scribed_r7_seq"]
    values = {"trigger": {"payload_json": FRESH}}
    assert rendered(note["data"]["value"], **values) == str(FRESH["seq"])
    assert rendered(tell["event_data"]["text"], **values) == "turn left please"


@pytest.mark.parametrize(("hearing", "state"), [(True, "ON"), (False, "OFF"), (None, "OFF")])
def test_home_assistant_knows_whether_it_hears(hearing: bool | None, state: str) -> None:
    (sensor,) = package()["mqtt"]["binary_sensor"]
    payload = {**json.loads(MESSAGES["state"][0]), "hearing": hearing}
    assert rendered(sensor["value_template"], value_json=payload) == state
    told = json.loads(rendered(sensor["json_attributes_template"], value_json=payload))
    assert told == {"why": "ok", "link": "connected"}
    for key in ("state_topic", "availability_topic", "json_attributes_topic"):
        assert sensor[key].removeprefix(f"{BASE}/") in RULES


# Node-RED


def flow() -> list[dict[str, Any]]:
    return list(json.loads((EXAMPLES / "node_red.json").read_text()))


def node(kind: str) -> dict[str, Any]:
    (found,) = [each for each in flow() if each["type"] == kind]
    return found


def test_the_nodes_of_the_flow_are_wired_to_each_other() -> None:
    ids = [each["id"] for each in flow()]
    assert len(set(ids)) == len(ids)
    for each in flow():
        assert {target for wire in each.get("wires", []) for target in wire} <= set(ids)
        assert each.get("z", node("tab")["id"]) == node("tab")["id"]
    assert node("mqtt in")["broker"] == node("mqtt-broker")["id"]
    assert len(node("function")["wires"]) == node("function")["outputs"] == 2
    assert node("mqtt in")["topic"] == f"{BASE}/transcript"
    assert int(node("mqtt in")["qos"]) == RULES["transcript"].qos


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is missing")
def test_node_red_acts_on_an_order_and_on_nothing_else() -> None:
    messages = [
        {"payload": {**FRESH, "seq": 7}},
        *({"payload": payload} for payload in WRONG.values()),
        {"payload": FRESH, "retain": True},
        *({"payload": strange} for strange in (None, "text", [1], {"seq": "9"}, {"seq": 9})),
        {"payload": FRESH},
    ]
    program = """
        const kept = {}, flow = {get: k => kept[k], set: (k, v) => { kept[k] = v; }};
        const [code, messages] = JSON.parse(require("fs").readFileSync(0));
        const run = new Function("msg", "flow", code);
        console.log(JSON.stringify(messages.map(msg => run(msg, flow)[0])));
    """
    asked = json.dumps([node("function")["func"], messages])
    done = subprocess.run(
        ["node", "-e", program], input=asked, capture_output=True, text=True, check=True, timeout=30
    )
    first, *others, last = json.loads(done.stdout)
    order = {"topic": "order", "payload": "turn left please"}
    assert first == {**order, "seq": 7}
    assert others == [None] * len(others)
    assert last == {**order, "seq": FRESH["seq"]}
