"""The broker: connected to as another client, without a will, and nothing is published."""

from __future__ import annotations

import select
import time

from msgspec.structs import replace

from scribed.config import Mqtt
from scribed.delivery.attempts import Loss, Version
from scribed.delivery.events import Connected, Subscribed
from scribed.delivery.mqtt import CONNECT_S, Wire
from scribed.delivery.reasons import where
from scribed.doctor.network import Reached
from scribed.endpoints import is_loopback
from scribed.errors import BrokerError
from scribed.model import Identity

ANSWER_S = 5.0
LOOK_S = 0.1
TRY_S = 2 * (2 * CONNECT_S + ANSWER_S)
"""Both versions: TCP and TLS, then the answers."""


def try_broker(mqtt: Mqtt, identity: Identity, password: str | None) -> Reached:
    """Connect as the daemon would, ask for the commands, say goodbye."""
    place = where(mqtt)
    stranger = replace(identity, client_id=f"scribed-doctor-{identity.run_id[-8:].lower()}")
    reached = Reached(place)
    for version in _versions(mqtt):
        begun = time.monotonic()
        try:
            not_subscribed = _converse(mqtt, stranger, password, version)
        except _OtherVersion as exc:
            reached = Reached(place, problem=str(exc))
            continue
        except BrokerError as exc:
            return Reached(place, problem=str(exc), is_denied=exc.denied)
        return Reached(
            place,
            version=version,
            seconds=time.monotonic() - begun,
            not_subscribed=not_subscribed,
            is_in_clear=bool(mqtt.username) and not _is_private(mqtt),
        )
    return reached


def _is_private(mqtt: Mqtt) -> bool:
    return mqtt.tls or mqtt.transport == "unix" or is_loopback(mqtt.host)


class _OtherVersion(Exception):
    """The broker may speak the other version of MQTT."""


def _versions(mqtt: Mqtt) -> tuple[Version, ...]:
    return ("5", "3.1.1") if mqtt.protocol == "auto" else (mqtt.protocol,)


def _converse(mqtt: Mqtt, identity: Identity, password: str | None, version: Version) -> str:
    """Why commands are not heard, "" where they are. Raises `BrokerError`."""
    wire = Wire(mqtt, identity, password, version=version, give_up_s=ANSWER_S, has_will=False)
    try:
        return _await(wire)
    finally:
        wire.close()


def _await(wire: Wire) -> str:
    deadline, is_connected = time.monotonic() + ANSWER_S, False
    while time.monotonic() < deadline:
        select.select((wire.fileno(),), (wire.fileno(),) if wire.want_write else (), (), LOOK_S)
        for event in wire.service():
            match event:
                case Connected():
                    is_connected = True
                case Subscribed(refusal):
                    wire.disconnect()
                    wire.service()
                    return refusal or ""
                case _:
                    pass  # a command for the daemon, which has it too
        if wire.error is not None:
            if wire.loss in (Loss.WRONG_VERSION, Loss.SILENT):
                raise _OtherVersion(str(wire.error)) from wire.error
            raise wire.error
    if is_connected:
        return f"no answer within {ANSWER_S:.0f} s"
    raise BrokerError("the broker does not answer CONNECT; is that port MQTT's?")
