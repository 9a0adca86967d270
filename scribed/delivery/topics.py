"""Which topic a message goes to, and with which QoS, retain flag and expiry. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from scribed.model import Final


class Rule(NamedTuple):
    """How messages of one topic are published."""

    qos: int
    retain: bool
    expiry_s: int | None = None  #: None: never
    content_type: str = "application/json"
    schema: str | None = None  #: of its payload


_TEXT, _TRANSCRIPT = "text/plain", "stt.transcript/1"
PARTIAL_EXPIRY_S = 3
WORD_EXPIRY_S = 2
REPLY_EXPIRY_S = 10

RULES: Mapping[str, Rule] = {
    "status": Rule(1, retain=True, content_type=_TEXT),
    "state": Rule(1, retain=True, schema="stt.state/1"),
    "transcript": Rule(1, retain=False, schema=_TRANSCRIPT),  # its expiry is what `route()` says
    "text": Rule(0, retain=False, content_type=_TEXT),  # the same
    "late": Rule(1, retain=False, schema=_TRANSCRIPT),
    "partial": Rule(0, retain=False, expiry_s=PARTIAL_EXPIRY_S, schema=_TRANSCRIPT),
    "word": Rule(1, retain=False, expiry_s=WORD_EXPIRY_S, schema="stt.word/1"),
    "speech": Rule(1, retain=False, expiry_s=5, schema="stt.speech/1"),
    "ended": Rule(1, retain=False, schema="stt.ended/1"),
    "event": Rule(1, retain=False, expiry_s=60, schema="stt.event/1"),
    "alert": Rule(1, retain=True, schema="stt.alert/1"),
    "muted": Rule(1, retain=True, content_type=_TEXT),
    "metrics": Rule(0, retain=False, expiry_s=60, schema="stt.metrics/1"),
    "reply": Rule(1, retain=False, expiry_s=REPLY_EXPIRY_S, schema="stt.reply/1"),
}
"""Every topic below the base, by its first level."""

FITS: Mapping[str, Rule] = {
    "home_assistant": Rule(1, retain=True),
    "hermes": Rule(0, retain=False),
    "ros": Rule(0, retain=False),
}
"""What is said in the words of other stacks: each topic is one of these, then the stack's own."""

ALERT_CODES = (
    "auth_failed",
    "quota",
    "no_device",
    "silent_device",
    "gate_open",
    "backend_down",
    "spool_full",
    "disk_error",
    "config_invalid",
    "duplicate_id",
    "budget",
    "mqtt_denied",
    "cert_expiring",
    "clock_unsynced",
    "provider_keeps_data",
)
"""Every alert there may be; those that are not active are emptied after each connection."""

ONLINE, OFFLINE = b"online", b"offline"
MUTED_ON, MUTED_OFF = b"ON", b"OFF"
COMMANDS = "cmd"
"""Commands come in one level below this."""


def whole(topic: str, base: str) -> str:
    """The whole topic of what is named below the base, or below one of `FITS`."""
    return others(topic) if is_others(topic) else f"{base}/{topic}"


def is_others(topic: str) -> bool:
    """Whether it is one of `FITS`."""
    return topic.partition("/")[0] in FITS


def others(topic: str) -> str:
    """The other stack's own topic."""
    return topic.partition("/")[2]


class Message(NamedTuple):
    """One PUBLISH, but for what only a connection knows."""

    topic: str  #: below the base, as "alert/quota"
    payload: bytes
    expiry_s: int | None = None
    address: str | None = None  #: the whole topic, where an asker named it
    correlation: bytes | None = None  #: the asker's own
    beside: tuple[Message, ...] = ()  #: to be written right after it, once, in other words
    utterance: tuple[str, int] | None = None  #: its id and `seq`, where it is about one

    @property
    def size(self) -> int:
        """Bytes, without the header and what is the same for every message below the base."""
        foreign = self.topic if is_others(self.topic) else self.address or ""
        return len(self.payload) + len(foreign.encode()) + len(self.correlation or b"")

    @property
    def rule(self) -> Rule:
        root = self.topic.partition("/")[0]
        return FITS[root] if root in FITS else RULES[root]


class LateReason(enum.Enum):
    """Why a final goes to `late`; the value is `late_reason` in the payload."""

    STALE = "stale"
    OVERTAKEN = "overtaken"  # a newer utterance was published first
    EARLIER_BOOT = "earlier_boot"
    RESTATED = "restated"


AHEAD_S = 1.0
"""What ends so long after now was timed by the clock of another boot, whatever it says."""


class Route(NamedTuple):
    """Where a final goes if it is written now."""

    topic: str  #: "transcript" or "late"
    late_reason: LateReason | None
    expiry_s: int | None  #: what is left of its freshness, whole seconds, at least 1


def route(final: Final, now: float, highest_seq: int, stale_after_s: float) -> Route:
    """Choose the topic for `final`; to be asked anew each time it is about to be written.

    `highest_seq` is the highest `seq` ever written on `transcript`. The same one may be written
    again (its PUBACK was lost), a lower one may not: `seq` only rises there.
    """
    if final.started.boot is not None:
        return Route("late", LateReason.EARLIER_BOOT, None)
    age_s = max(now - final.ended.at, 0.0)
    of_another_clock = final.ended.at > now + AHEAD_S
    if age_s > stale_after_s or of_another_clock:
        return Route("late", LateReason.STALE, None)
    if final.started.seq < highest_seq:
        return Route("late", LateReason.OVERTAKEN, None)
    return Route("transcript", None, max(int(stale_after_s - age_s), 1))


RESTATED = Route("late", LateReason.RESTATED, None)
"""Where a final goes that was asked for again, unless the asker named a topic."""
