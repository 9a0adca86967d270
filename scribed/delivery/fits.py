"""Which other stacks are spoken to, and in which words: what the configuration has on. Pure.

A topic here is one of `topics.FITS`, then the other stack's own. The words of a stack are imported
only where it is spoken to: most daemons speak to none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from scribed.config import Mqtt
from scribed.delivery.events import Asked, Heard
from scribed.delivery.schemas import Transcript
from scribed.delivery.topics import RULES, Message
from scribed.model import Identity, UtteranceStarted

if TYPE_CHECKING:
    from scribed.delivery.compat.hermes import Hermes


class Saying(NamedTuple):
    """What another stack is told, and where."""

    topic: str
    payload: bytes


HERMES_ASKS = (
    "hermes/asr/toggleOn",
    "hermes/asr/toggleOff",
    "hermes/asr/startListening",
    "hermes/asr/stopListening",
)
BIRTH = b"online"
"""What Home Assistant says on `{discovery_prefix}/status` when it has started."""


def subscriptions(mqtt: Mqtt) -> tuple[str, ...]:
    """What is heard beside the commands."""
    asks = [f"hermes/{topic}" for topic in HERMES_ASKS] if mqtt.hermes else []
    births = [] if mqtt.home_assistant == "off" else [f"home_assistant/{_birth_topic(mqtt)}"]
    return (*asks, *births)


class Fits:
    """Owned by one thread. `standing` are the topics of what earlier runs announced."""

    def __init__(self, identity: Identity, mqtt: Mqtt, standing: Collection[str] = ()) -> None:
        self.standing: tuple[str, ...] = tuple(standing)  #: where something is, or may still be
        self._hermes: Hermes | None = None
        self._site: tuple[bool, str, str, str] | None = None
        self.retune(identity, mqtt)

    def retune(self, identity: Identity, mqtt: Mqtt) -> None:
        """Go by these from now on; what was announced by others is to be emptied."""
        site = (mqtt.hermes, identity.robot, identity.source, mqtt.hermes_site)
        if site != self._site:
            self._hermes = _hermes(identity, mqtt.hermes_site) if mqtt.hermes else None
        self._site = site
        self._identity, self._mqtt = identity, mqtt
        self._announced = _announced(identity, mqtt)
        if self._announced is not None and self._announced.topic not in self.standing:
            self.standing = (*self.standing, self._announced.topic)

    # What stands at the broker

    def announced(self) -> list[Saying]:
        """What is to stand there, and what is to be emptied."""
        now = self._announced
        stale = [topic for topic in self.standing if now is None or topic != now.topic]
        return [*(Saying(topic, b"") for topic in stale), *([] if now is None else [now])]

    def is_gone(self, topic: str) -> bool:
        """The broker has what was to be at `topic`; whether that is nothing, and forgotten now."""
        if topic not in self.standing or topic == (self._announced or ("",))[0]:
            return False
        self.standing = tuple(other for other in self.standing if other != topic)
        return True

    def is_birth(self, heard: Heard) -> bool:
        """Whether Home Assistant has started, and wants to know whom there is."""
        is_there = self._mqtt.home_assistant != "off" and heard.topic == _birth_topic(self._mqtt)
        return is_there and heard.payload.strip() == BIRTH

    # What is said beside our own words, once

    def text(self, said: Transcript, expiry_s: int | None) -> tuple[Message, ...]:
        """Of a committed text that a machine may act on."""
        messages = []
        if self._hermes is not None:
            topic, payload = self._hermes.text(said)
            messages.append(Message(f"hermes/{topic}", payload, expiry_s))
        if self._mqtt.ros:
            messages.append(self._live_speech(said, expiry_s))
        return tuple(messages)

    def partial(self, said: Transcript) -> tuple[Message, ...]:
        """Of a text that may still change."""
        messages, expiry_s = [], RULES["partial"].expiry_s
        if self._hermes is not None:
            topic, payload = self._hermes.partial(said)
            messages.append(Message(f"hermes/{topic}", payload, expiry_s))
        if self._mqtt.ros:
            messages.append(self._live_speech(said, expiry_s))
        return tuple(messages)

    def speech(self, started: UtteranceStarted, *, active: bool) -> Saying | None:
        """Of a start or an end of speech."""
        if self._hermes is None:
            return None
        topic, payload = self._hermes.speech(started.id, active=active)
        return Saying(f"hermes/{topic}", payload)

    def asked(self, heard: Heard) -> list[Asked]:
        """The commands that `heard` stands for."""
        if self._hermes is None or heard.topic not in HERMES_ASKS:
            return []
        return self._hermes.asked(heard)

    def _live_speech(self, said: Transcript, expiry_s: int | None) -> Message:
        from scribed.delivery.compat import ros  # noqa: PLC0415 -- see the module

        return Message(f"ros/{self._identity.base}/{ros.TOPIC}", ros.live_speech(said), expiry_s)


def _announced(identity: Identity, mqtt: Mqtt) -> Saying | None:
    if mqtt.home_assistant == "off":
        return None
    from scribed.delivery.compat import home_assistant  # noqa: PLC0415 -- see the module

    topic = home_assistant.address(mqtt.discovery_prefix, identity)
    said = home_assistant.document(
        identity, texts=mqtt.home_assistant == "text", may_mute="mute" in mqtt.commands
    )
    return Saying(f"home_assistant/{topic}", said)


def _hermes(identity: Identity, site: str) -> Hermes:
    from scribed.delivery.compat.hermes import Hermes  # noqa: PLC0415 -- see the module

    return Hermes(identity, site)


def _birth_topic(mqtt: Mqtt) -> str:
    return f"{mqtt.discovery_prefix}/status"
