"""What MQTT 5 says beside a payload, in paho's words."""

from __future__ import annotations

from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from scribed.delivery import reasons
from scribed.delivery.topics import Message


def about(message: Message) -> list[tuple[str, str]] | None:
    """What a broker's rule or a bridge may go by without reading the payload."""
    found = [("schema", message.rule.schema)] if message.rule.schema else []
    if message.utterance is not None:
        utterance_id, seq = message.utterance
        found += [("utterance_id", utterance_id), ("seq", str(seq))]
    return found or None


def _know_all_refusals() -> None:
    """Let paho read every reason for which a broker may not take a message.

    mosquitto 2.0 answers what exceeds its `message_size_limit` with 149, which MQTT 5 has for other
    packets only, and paho ends the connection where a PUBACK's reason is not in its table.
    """
    names = dict(ReasonCode.names)
    for code in range(reasons.UNSPECIFIED, 256):
        known = names.get(code, {})
        if not any(PacketTypes.PUBACK in packets for packets in known.values()):
            name = next(iter(known), f"reason {code}")
            names[code] = {**known, name: [*known.get(name, ()), PacketTypes.PUBACK]}
    ReasonCode.names = names


_know_all_refusals()


def properties(packet_type: int, **values: Any) -> Properties:
    """The MQTT 5 properties `values` for a packet, without those that are None."""
    properties = Properties(packet_type)  # type: ignore[no-untyped-call] # the only one
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties
