"""The AsyncAPI 3.0 document, with MQTT bindings 0.2.0: channels, operations, messages. Pure."""

from __future__ import annotations

from typing import Any

from scribed import __version__
from scribed.config import Mqtt
from scribed.contract.asked import ASKS
from scribed.contract.examples import values_of
from scribed.contract.schemas import payload
from scribed.contract.shapes import Components
from scribed.contract.topics import BASE, FRESH_S, LEFT_OF_FRESHNESS, TOPICS, Topic
from scribed.contract.values import ALERTS
from scribed.delivery.commands import MAX_CORRELATION_BYTES, MAX_TOPIC_BYTES
from scribed.delivery.topics import OFFLINE, RULES

BINDING = "0.2.0"

Part = dict[str, Any]

_ABOUT = f"""\
What a robot may rely on. All topics are below a base, which `mqtt.topic` configures; here it is the
default, `{BASE}`. Ignore fields and values that you do not know: they may be added. No field
changes its type, `null` is unknown.

After every connection come `online`, the state, the alerts that are active, and an empty retained
message for each alert that is not. Speech is never retained. Operations are the daemon's: what it
sends you receive, what it receives you send. On MQTT 3.1.1 there is no expiry and no response
topic; the same facts are in the payloads.
"""


def document() -> Part:
    """The whole document."""
    components = Components("#/components/schemas/")
    own = {_id(name): payload(name, components) for name in TOPICS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "scribed",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {_id(name): _channel(name, topic) for name, topic in TOPICS.items()},
        "operations": {
            ("receive_" if topic.command else "send_") + _id(name): _operation(name, topic)
            for name, topic in TOPICS.items()
        },
        "components": {
            "messages": _messages(),
            "schemas": own | components.shared,
        },
    }


def _id(name: str) -> str:
    return name.replace("/", "_")


def _reference(*path: str) -> Part:
    return {"$ref": "#/" + "/".join(path)}


def _bindings(**said: Any) -> Part:
    """The bindings of MQTT, without what is None."""
    return {"mqtt": {k: v for k, v in said.items() if v is not None} | {"bindingVersion": BINDING}}


def _server() -> Part:
    mqtt, will = Mqtt(), RULES["status"]
    return {
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "5",
        "description": "Your broker; MQTT 5, or 3.1.1 where it has no other. The bindings are "
        "those of the daemon's own connection.",
        "variables": {
            "host": {"default": mqtt.host, "description": "mqtt.host"},
            "port": {"default": str(mqtt.port), "description": "mqtt.port; with TLS usually 8883"},
        },
        "bindings": _bindings(
            clientId="scribed-{robot}-{source}-{machine6}",
            cleanSession=False,
            lastWill={
                "topic": f"{BASE}/status",
                "qos": will.qos,
                "message": OFFLINE.decode(),
                "retain": will.retain,
            },
            keepAlive=mqtt.keepalive_s,
            sessionExpiryInterval=mqtt.will_delay_s,
        ),
    }


def _parameters(topic: Topic) -> Part:
    said: Part = {
        "robot": {"description": "robot.id", "examples": ["r7"]},
        "source": {"description": "robot.source: the microphone", "examples": ["mic"]},
    }
    if "{code}" in topic.address:
        said["code"] = {"description": "What is wrong", "enum": list(ALERTS)}
    if "{word}" in topic.address:
        about = "One of transcript.fast_words in lower case, with - between words"
        said["word"] = {"description": about, "examples": ["stop", "turn-left"]}
    return said


def _message_ids(name: str) -> list[str]:
    return [_id(name), "alert_cleared"] if name == "alert" else [_id(name)]


def _channel(name: str, topic: Topic) -> Part:
    return {
        "address": f"{BASE}/{topic.address}",
        "summary": topic.says,
        "servers": [_reference("servers", "broker")],
        "parameters": _parameters(topic),
        "messages": {
            each: _reference("components", "messages", each) for each in _message_ids(name)
        },
    }


def _operation(name: str, topic: Topic) -> Part:
    channel = ("channels", _id(name))
    said: Part = {
        "action": "receive" if topic.command else "send",
        "channel": _reference(*channel),
        "summary": topic.says,
        "messages": [_reference(*channel, "messages", each) for each in _message_ids(name)],
        "bindings": _bindings(
            qos=topic.rule.qos, retain=topic.rule.retain, messageExpiryInterval=_expiry(name, topic)
        ),
    }
    if topic.command:
        said["description"] = f"`result` of the reply: {ASKS[name.partition('/')[2]].result}."
        said["reply"] = {
            "channel": _reference("channels", "reply"),
            "messages": [_reference("channels", "reply", "messages", "reply")],
        }
    return said


def _expiry(name: str, topic: Topic) -> int | Part | None:
    if name not in LEFT_OF_FRESHNESS:
        return topic.rule.expiry_s
    left = f"What is left of transcript.stale_after_s, which is {FRESH_S:g} if not configured."
    return {"type": "integer", "minimum": 1, "description": left}


def _messages() -> Part:
    examples = values_of()
    made = {_id(name): _message(name, topic, examples[name]) for name, topic in TOPICS.items()}
    made["alert_cleared"] = {
        "name": "alert_cleared",
        "title": "alert, cleared",
        "summary": "This alert is not active.",
        "contentType": "text/plain",
        "payload": {"type": "string", "maxLength": 0},
        "examples": [{"name": "cleared", "payload": ""}],
    }
    return made


def _message(name: str, topic: Topic, examples: list[Any]) -> Part:
    return {
        "name": _id(name),
        "title": name,
        "summary": topic.says,
        "contentType": topic.rule.content_type,
        "payload": _reference("components", "schemas", _id(name)),
        "examples": [
            {"name": f"{_id(name)}_{number}", "payload": example}
            for number, example in enumerate(examples, 1)
        ],
        "bindings": _asked()
        if topic.command
        else _bindings(payloadFormatIndicator=1, contentType=topic.rule.content_type),
    }


def _asked() -> Part:
    """What may be said with a command, in MQTT 5."""
    where = f"Where the reply goes, at most {MAX_TOPIC_BYTES} bytes; none: to {BASE}/reply."
    what = f"Comes back with the reply; at most {MAX_CORRELATION_BYTES} bytes."
    return _bindings(
        responseTopic={"type": "string", "maxLength": MAX_TOPIC_BYTES, "description": where},
        correlationData={"type": "string", "maxLength": MAX_CORRELATION_BYTES, "description": what},
    )
