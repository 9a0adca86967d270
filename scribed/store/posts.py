"""What the store's thread is told: all that may come through its mailbox."""

from __future__ import annotations

from msgspec import Struct

from scribed import config
from scribed.model import (
    Closed,
    Command,
    Delivered,
    Final,
    LinkWell,
    Load,
    SegmentEvent,
    UtteranceCut,
    UtteranceHeld,
)
from scribed.recording import KeepRecording
from scribed.store.pending import Remember
from scribed.worker import Stop


class Reserve(Struct, frozen=True):
    """Capture runs low: make the numbers from `next_seq` on safe to use."""

    next_seq: int


class Retune(Struct, frozen=True):
    """Hold other limits: those of the disk, and how long texts are kept."""

    number: int
    spool: config.Spool


class Close(Stop, frozen=True):
    """The last item: keep everything and end; `next_seq` is the first number not used."""

    next_seq: int | None = None


Post = (
    SegmentEvent
    | Final
    | Closed
    | Delivered
    | Load
    | LinkWell
    | UtteranceHeld
    | UtteranceCut
    | Reserve
    | Retune
    | Command
    | Remember
    | KeepRecording
    | Stop
)
