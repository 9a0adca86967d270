"""Home Assistant: the device that its MQTT discovery finds. Pure.

Nothing is published for it but this one retained document: every entity reads scribed's own topics.
Long names instead of abbreviations, so that a person can read what is at the broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from scribed import __version__
from scribed.delivery.topics import ALERT_CODES
from scribed.model import Identity

STATE_CHARS = 255
"""A longer state is an error there."""
OFF_DELAY_S = 60
"""Nobody speaks for so long without a new utterance (`vad.max_utterance_s`): its end was lost."""


def address(prefix: str, identity: Identity) -> str:
    """The whole topic of the document; an empty one there removes the device."""
    return f"{prefix}/device/scribed-{identity.robot}/{identity.source}/config"


def document(identity: Identity, *, texts: bool, may_mute: bool) -> bytes:
    """The device and its entities.

    `texts`: what is said is shown, and so kept in its database. `may_mute`: it may close the
    microphone, as `mqtt.commands` allows.
    """
    entities = {
        **_heard(texts=texts),
        "mute": _mute(identity.base, may_mute=may_mute),
        **_ENTITIES,
    }
    device = f"scribed.{identity.robot}.{identity.source}"
    said = {
        "device": {
            "identifiers": [device],
            "name": f"{identity.robot} {identity.source}",
            "manufacturer": "scribed",
            "model": "speech ear",
            "sw_version": __version__,
        },
        "origin": {"name": "scribed", "sw_version": __version__},
        "availability_topic": f"{identity.base}/status",
        "qos": 1,
        "components": {
            key: {"unique_id": f"{device}.{key}", **_placed(entity, identity.base)}
            for key, entity in entities.items()
        },
    }
    return msgspec.json.encode(said)


def _placed(entity: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The entity with its topics whole."""
    return {
        name: f"{base}/{value}" if name.endswith("_topic") else value
        for name, value in entity.items()
    }


def _heard(*, texts: bool) -> dict[str, dict[str, Any]]:
    """What is said: as an event, and where it may be shown as a text."""
    told = ", 'text': value_json.text, 'language': value_json.language" if texts else ""
    entities = {"heard": {**_HEARD, "value_template": _HEARD_TEMPLATE % told}}
    return {**entities, "last_speech": _LAST_SPEECH} if texts else entities


def _mute(base: str, *, may_mute: bool) -> dict[str, Any]:
    if not may_mute:
        return {"platform": "binary_sensor", "name": "Muted", "state_topic": "muted"}
    return {
        "platform": "switch",
        "name": "Mute",
        "icon": "mdi:microphone-off",
        "state_topic": "muted",
        "command_topic": "cmd/mute",
    }


_HEARD: dict[str, Any] = {
    "platform": "event",
    "name": "Heard",
    "icon": "mdi:account-voice",
    "event_types": ["said", "unsure"],
    "state_topic": "transcript",
}
# A message that comes twice (its PUBACK was lost) has the number of the one before.
_HEARD_TEMPLATE = (
    "{%% if value_json.seq != this.attributes.get('seq') %%}"
    "{{ {'event_type': 'unsure' if value_json.caution else 'said', 'seq': value_json.seq, "
    "'caution': value_json.caution, 'age_ms': value_json.age_ms%s} | to_json }}"
    "{%% endif %%}"
)
_LAST_SPEECH: dict[str, Any] = {
    "platform": "sensor",
    "name": "Last speech",
    "icon": "mdi:format-quote-close",
    "force_update": True,  # the same words may be said twice
    "state_topic": "transcript",
    "value_template": (
        f"{{{{ value_json.text if value_json.text | length <= {STATE_CHARS} "
        f"else value_json.text[:{STATE_CHARS - 1}] ~ '…' }}}}"
    ),
    "json_attributes_topic": "transcript",
    "json_attributes_template": (
        "{{ {'text': value_json.text, 'language': value_json.language, 'seq': value_json.seq, "
        "'caution': value_json.caution, 'confidence': value_json.confidence} | to_json }}"
    ),
}


def _figure(name: str, template: str, icon: str, unit: str | None = None) -> dict[str, Any]:
    """A diagnostic figure of `state`; null there is unknown."""
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "entity_category": "diagnostic",
        "state_class": "measurement",
        "state_topic": "state",
        "value_template": f"{{{{ value_json.{template} }}}}",
        **({} if unit is None else {"unit_of_measurement": unit, "suggested_display_precision": 0}),
    }


def _word(name: str, template: str, icon: str, attributes: str | None = None) -> dict[str, Any]:
    """A diagnostic word of `state`, with more about it as attributes."""
    more = {
        "json_attributes_topic": "state",
        "json_attributes_template": f"{{{{ {attributes} | to_json }}}}",
    }
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "entity_category": "diagnostic",
        "state_topic": "state",
        "value_template": f"{{{{ value_json.{template} }}}}",
        **({} if attributes is None else more),
    }


_ENTITIES: dict[str, dict[str, Any]] = {
    "hearing": {
        "platform": "binary_sensor",
        "name": "Hearing",
        "icon": "mdi:ear-hearing",
        "entity_category": "diagnostic",
        "state_topic": "state",
        "value_template": (
            "{{ 'None' if value_json.hearing is none else 'ON' if value_json.hearing else 'OFF' }}"
        ),
    },
    "speech": {
        "platform": "binary_sensor",
        "name": "Speech",
        "device_class": "sound",
        "off_delay": OFF_DELAY_S,
        "state_topic": "speech",
        "value_template": "{{ 'ON' if value_json.active else 'OFF' }}",
    },
    "reason": _word(
        "Hearing reason",
        "hearing_reason",
        "mdi:ear-hearing",
        "{'heard': value_json.heard, 'mute_reasons': value_json.mute_reasons}",
    ),
    "link": _word(
        "Link",
        "link.state",
        "mdi:cloud-outline",
        "{'since': value_json.link.since, 'last_error': value_json.link.last_error}",
    ),
    "microphone": _word("Microphone", "device.name", "mdi:microphone"),
    "level": _figure("Level", "level_dbfs", "mdi:volume-medium", "dBFS"),
    "noise_floor": _figure("Noise floor", "noise_floor_dbfs", "mdi:volume-low", "dBFS"),
    "backlog": _figure("Backlog", "backlog.utterances", "mdi:tray-full"),
    "alert": {
        "platform": "event",
        "name": "Alert",
        "icon": "mdi:alert",
        "entity_category": "diagnostic",
        "event_types": list(ALERT_CODES),
        "state_topic": "alert/+",
        "value_template": (
            "{% if value %}{{ {'event_type': value_json.code, 'message': value_json.message, "
            "'remedy': value_json.remedy, 'severity': value_json.severity, "
            "'since': value_json.since} | to_json }}{% endif %}"
        ),
    },
}
