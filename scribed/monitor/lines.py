"""What robots say as lines: for a pipe, a log, or a terminal without rich. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from scribed.delivery.bases import Address
from scribed.monitor import messages
from scribed.monitor.messages import MAX_BYTES
from scribed.monitor.robots import Microphone, Passed
from scribed.monitor.safe import shown


def words(passed: Passed) -> str:
    """A final or an end: its number, its text, and why not to act on it."""
    text = shown(passed.text) if passed.topic != "ended" else f"({shown(passed.text)})"
    marks = [shown(mark, 40) for mark in passed.marks[:8]]
    return f"#{passed.seq} {text}" + (f"  [{', '.join(marks)}]" if marks else "")


def alert_words(code: str, alert: messages.Alert) -> str:
    """An alert with its remedy."""
    text = f"{shown(alert.severity, 20)} {shown(code, 40)}: {shown(alert.message)}"
    return f"{text}; what to do: {shown(alert.remedy)}" if alert.remedy else text


def line(below: str, payload: bytes, passed: Passed | None) -> str | None:
    """The line for a message, without time and name; None: none.

    `passed` is what `Microphone.take()` made of it. Status and state are told by `Changes`, which
    see what follows from them. Raises `NotUnderstood`.
    """
    topic, _, rest = below.partition("/")
    if passed is not None:
        return f"{topic:<10} {words(passed)}"
    if topic == "alert" and not payload:
        return f"{topic:<10} {shown(rest, 40)} is over"
    if topic == "alert":
        return f"{topic:<10} {alert_words(rest, messages.read(messages.Alert, payload))}"
    if topic == "event":
        said = messages.read(messages.Event, payload)
        values = [
            (name, bytes(raw)[:200].decode(errors="replace")) for name, raw in said.detail.items()
        ]
        detail = ", ".join(f"{name}: {value}" for name, value in values[:8])
        return f"{topic:<10} {shown(said.event)} {shown(detail, 200)}".rstrip()
    if topic == "word":
        return f"{topic:<10} {shown(rest, 60)}"
    return None


class Changes:
    """Tells how each robot is, when that has changed."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def since(self, microphones: Iterable[Microphone], now: float) -> list[tuple[str, str]]:
        """Name and line of each change since the last call."""
        told = []
        for each in microphones:
            health = shown(each.health(now).words)
            kind = health.partition(":")[0]  # seconds only grow
            if kind != self._told.get(each.name):
                told.append((each.name, f"{'state':<10} {health}"))
            self._told[each.name] = kind
        return told


def stamped(wall: float, name: str, text: str) -> str:
    """A line as it is printed."""
    return f"{datetime.fromtimestamp(wall).astimezone():%H:%M:%S} {shown(name, 60):<16} {text}"


def as_json(address: Address, payload: bytes, *, retained: bool) -> str:
    """A message for programs, as one line of ASCII."""
    said: dict[str, Any] = {
        "robot": address.robot,
        "source": address.source,
        "topic": address.rest,
        "retained": retained,
    }
    try:
        return json.dumps({**said, "payload": msgspec.json.decode(payload[: MAX_BYTES + 1])})
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return json.dumps({**said, "payload": payload[:MAX_BYTES].decode(errors="replace")})
