"""Run by a Python that has Home Assistant: takes our announcements as its MQTT integration does.

`argv[1]` is the folder of the goldens, `argv[2]` a JSON file with messages by topic: each template
is rendered with one. What it writes is read by the test: states and events by entity.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from homeassistant.components.mqtt.discovery import TOPIC_MATCHER
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.const import MAX_LENGTH_STATE_STATE
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import template

SHARED = ("availability_topic", "qos")
MESSAGES: dict[str, str] = json.loads(Path(sys.argv[2]).read_text())


def render(hass: HomeAssistant, text: str, payload: str) -> str:
    """What `text` makes of `payload`, for an entity that has shown nothing yet."""
    this = template.TemplateState(hass, State("event.heard", "unknown"))
    variables: dict[str, Any] = {"value": payload, "this": this}
    if payload:
        variables["value_json"] = json.loads(payload)
    return str(template.Template(text, hass).async_render(variables, parse_result=False))


async def main() -> dict[str, Any]:
    hass = HomeAssistant(tempfile.mkdtemp())
    said: dict[str, Any] = {}
    for name in ("status", "text"):
        golden = json.loads((Path(sys.argv[1]) / f"home_assistant_{name}.json").read_text())
        where = golden["topic"].removeprefix("homeassistant/")
        match = TOPIC_MATCHER.match(where)
        assert match
        assert match["component"] == "device"
        DEVICE_DISCOVERY_SCHEMA(golden["payload"])
        shared = {key: golden["payload"][key] for key in SHARED}
        for key, entity in golden["payload"]["components"].items():
            platform = importlib.import_module(
                f"homeassistant.components.mqtt.{entity['platform']}"
            )
            known = platform.DISCOVERY_SCHEMA({**shared, **entity})
            lost = set(entity) - set(known) - {"platform"}
            assert not lost, f"{key}: {lost} is nothing to Home Assistant"
            said[f"{name}.{key}"] = _shown(hass, entity)
    await hass.async_stop(force=True)
    return said


def _shown(hass: HomeAssistant, entity: dict[str, Any]) -> Any:
    """What the entity makes of its message."""
    payload = MESSAGES[entity["state_topic"]]
    if "value_template" not in entity:
        return payload
    value = render(hass, entity["value_template"], payload)
    if entity["platform"] == "event":
        shown = json.loads(value)
        assert shown["event_type"] in entity["event_types"]
        if entity["state_topic"].endswith("/+"):  # an alert that is over is an empty message
            assert not render(hass, entity["value_template"], "")
        return shown
    assert len(value) <= MAX_LENGTH_STATE_STATE
    return value


sys.stdout.write(json.dumps(asyncio.run(main())))
