"""What capture says of itself: what is heard, and that there is no more to hear."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from scribed.capture.proof import Sound
from scribed.model import Device


class Hearing(NamedTuple):
    """What capture reports: replaced whole, for the supervisor to look at."""

    device: Device
    last_frame_at: float | None = None
    samples: int = 0  #: heard since the start
    lost_samples: int = 0  #: that the device had and we did not get
    dropped_samples: int = 0  #: that we got and had no room for
    detected: int = 0  #: utterances opened
    refused_frames: int = 0  #: voices to webrtcvad, and none to the second stage
    is_open: bool = False
    level_dbfs: float | None = None
    noise_floor_dbfs: float | None = None
    deaf_to: str | None = None  #: why what is heard is thrown away, as in `hearing_reason`
    sound: Sound = Sound()


class SourceEnded(Struct, frozen=True):
    """A file or pipe has been heard to its end, or cannot be heard: `error` says why."""

    error: str | None = None
