"""What of a message is shown, as lenient as a consumer has to be. Pure.

Fields that are not named here are ignored, those that are missing are unknown; of the wrong type or
out of all proportion they are a `NotUnderstood`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

MAX_BYTES = 256 << 10
"""No message of scribed's is as large as this."""

_Whole = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Figure = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
_Words = Annotated[str, msgspec.Meta(max_length=4000)]
"""An utterance of `vad.max_utterance_s` has a fourth of it."""
_Any = TypeVar("_Any", bound="Said")


class NotUnderstood(Exception):
    """A payload is none of its topic; the words may hold what a stranger wrote."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What every message has."""

    t: _Words = ""

    @property
    def unix(self) -> float | None:
        """When it was said by the robot's clock; None where that cannot be read."""
        try:
            return datetime.fromisoformat(self.t.replace("Z", "+00:00")).timestamp()
        except (ValueError, OverflowError):
            return None


class Text(Said, frozen=True, kw_only=True):
    """`transcript`, `late` and `partial`."""

    seq: _Whole
    text: _Words
    caution: Annotated[tuple[_Words, ...], msgspec.Meta(max_length=64)] = ()
    late_reason: _Words | None = None
    restated: bool = False
    age_ms: _Whole | None = None


class Ended(Said, frozen=True, kw_only=True):
    seq: _Whole
    outcome: _Words


class Speech(Said, frozen=True, kw_only=True):
    seq: _Whole
    active: bool


class Alert(Said, frozen=True, kw_only=True):
    severity: _Words
    message: _Words
    remedy: _Words = ""
    since: _Words = ""


class Event(Said, frozen=True, kw_only=True):
    event: _Words
    detail: dict[str, msgspec.Raw] = {}


class Link(msgspec.Struct, frozen=True, kw_only=True):
    state: _Words
    last_error: _Words | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    name: _Words = ""
    state: _Words = ""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    utterances: _Whole = 0
    seconds: _Figure = 0.0


class State(Said, frozen=True, kw_only=True):
    hearing: bool | None = None
    hearing_reason: _Words = "starting"
    heard: _Words | None = None
    link: Link = Link(state="unknown")
    device: Device = Device()
    level_dbfs: _Figure | None = None
    noise_floor_dbfs: _Figure | None = None
    last_final_age_s: _Figure | None = None
    backlog: Backlog = Backlog()
    version: _Words = ""


class Figures(Said, frozen=True, kw_only=True):
    """`metrics`."""

    metrics: dict[str, _Figure]


def read(kind: type[_Any], payload: bytes) -> _Any:
    """The message; raises `NotUnderstood`."""
    if len(payload) > MAX_BYTES:
        raise NotUnderstood(f"{len(payload)} bytes")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotUnderstood(str(exc)) from exc
