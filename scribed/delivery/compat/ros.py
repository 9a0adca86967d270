"""ROS: what is heard in the layout of `hri_msgs/LiveSpeech`, for bridges that take JSON. Pure.

Only the fields that every version of the message has: a bridge throws a message away whole for
one that it does not know. Newer ones have a `locale`; the language is in `stt.transcript/1`.
"""

from __future__ import annotations

import msgspec

from scribed.delivery.schemas import Transcript

TOPIC = "live_speech"
"""Below the base topic."""
TRUSTED = 1.0
"""`confidence` where the service gives none: 0 would read as no trust at all."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """`builtin_interfaces/Time`."""

    sec: int
    nanosec: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`std_msgs/Header`: when the speech began, and which microphone heard it."""

    stamp: Stamp
    frame_id: str


class LiveSpeech(msgspec.Struct, frozen=True, kw_only=True):
    header: Header
    incremental: str
    final: str
    confidence: float


def live_speech(said: Transcript) -> bytes:
    """The message of a committed text, or of one that may still change."""
    sec, left_ms = divmod(said.start_unix_ms, 1000)
    return msgspec.json.encode(
        LiveSpeech(
            header=Header(
                stamp=Stamp(sec=sec, nanosec=left_ms * 1_000_000),
                frame_id=said.source,
            ),
            incremental="" if said.is_final else said.text,
            final=said.text if said.is_final else "",
            confidence=TRUSTED if said.confidence is None else said.confidence,
        )
    )
