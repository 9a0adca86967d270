"""What the store's thread is told: all that may come through its mailbox."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Reserve:
    """Capture runs low: make the numbers from `next_seq` on safe to use."""

    next_seq: int


@dataclass(frozen=True, slots=True)
class Retune:
    """Hold other limits: those of the disk, and how long texts are kept."""

    number: int
    spool: config.Spool


@dataclass(frozen=True, slots=True)
class Close(Stop):
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
