"""Whether there is a microphone: each change is told once, in the journal and to the supervisor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from scribed import kinds
from scribed.capture.proof import REMEDIES, Fault, Kind
from scribed.model import Alert, AlertCleared, Device, Event

logger = logging.getLogger(__name__)

SILENT = "silent_device"
NO_DEVICE_REMEDY = "plug the microphone in, or correct audio.device"


class Presence:
    """What is known of the source. Used by the capture thread only.

    `tell` takes the device with its state whenever that changes, alerts and events.
    """

    def __init__(self, tell: Callable[[Any], object]) -> None:
        self.device = Device("")  #: as it was told last; any thread may look at it
        self.hears = False  #: frames have come since the source was opened
        self._tell = tell
        self._absence: str | None = None  # why there is no microphone
        self._was_found = False
        self._closes = True  # the source, while it is muted
        self._fault: Fault | None = None

    def opened(self, device: Device, *, muted: bool, closes: bool) -> None:
        """The source could be opened; that it gives anything is not known yet.

        `closes`: while it is muted it is closed.
        """
        self.hears, self._closes = False, closes
        if self._absence is None:
            self._change(device, "muted" if muted else "open")

    def found(self, device: Device) -> None:
        """Frames really arrive: only that proves that the device is there."""
        self.hears = True
        if self._absence is not None:
            self._absence = None
            self._tell(AlertCleared("no_device"))
        what = device.name, device.rate, device.channels
        extra = kinds.DEVICE_HEARS(device=device.name, rate=device.rate, channels=device.channels)
        logger.info("hears %s (%s Hz, channels: %s)", *what, extra=extra)
        self._change(device, "open")  # again: now it is known to hear
        if not self._was_found:  # else it was only muted
            self._was_found = True
            self._tell(Event("device_found", {"device": device.name}))

    def judged(self, fault: Fault | None) -> None:
        """What is wrong with its sound; None: nothing. May be told again."""
        if fault == self._fault:
            return
        self._fault, name = fault, self.device.name
        if fault is None:
            logger.info("%s: gives sound again", name, extra=kinds.SOUND_GOOD(device=name))
            self._tell(AlertCleared(SILENT))
            return
        dead = fault.kind is Kind.DEAD
        level, extra = (
            logging.ERROR if dead else logging.WARNING,
            kinds.SOUND_BAD(device=name, error=fault.evidence),
        )
        logger.log(level, "%s: %s", name, fault.evidence, extra=extra)
        severity = "error" if dead else "warning"
        message = f"{name}: {fault.evidence}"
        self._tell(Alert(SILENT, message, REMEDIES[fault.kind], severity))

    def missed(self, why: str) -> None:
        """There is no microphone: said once for each reason."""
        if why != self._absence:
            self._absence, self._was_found = why, False
            self._withdraw()
            logger.error("no microphone: %s", why, extra=kinds.NO_DEVICE(error=why))
            self._change(self.device, "absent")
            self._tell(Alert("no_device", why, NO_DEVICE_REMEDY))

    def lost(self, device: Device, why: str) -> None:
        """The device went away in the middle, and is missed until frames come again."""
        self._absence, self._was_found = why, False
        self._withdraw()
        extra = kinds.DEVICE_LOST(device=device.name, error=why)
        logger.warning("microphone lost: %s", why, extra=extra)
        self._change(device, "lost")
        self._tell(Event("device_lost", {"device": device.name, "why": why}))
        self._tell(Alert("no_device", why, NO_DEVICE_REMEDY))

    def ended(self, device: Device) -> None:
        """Nothing more will come of it."""
        self._change(device, "closed")

    def muted(self) -> None:
        """Nothing is heard, because nothing shall be. May be told again."""
        if self.device.state != "muted":
            self._change(self.device, "muted")

    def unmuted(self) -> None:
        """It may be heard again; if it was closed, once it has been opened."""
        if not self._closes:
            self._change(self.device, "open")
        elif self._absence is not None:
            self._change(self.device, "absent")

    def _withdraw(self) -> None:
        """Nobody knows what its sound is like now."""
        if self._fault is not None:
            self._fault = None
            self._tell(AlertCleared(SILENT))

    def _change(self, device: Device, state: str) -> None:
        self.device = replace(device, state=state)
        self._tell(self.device)
