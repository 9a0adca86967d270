"""The door of the flight recorder in the capture thread: what is asked of it, if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scribed.capture.orders import refuse
from scribed.capture.posting import SETTLING
from scribed.model import CommandError, Device
from scribed.recording import KeepRecording, Record
from scribed.worker import Mailbox

if TYPE_CHECKING:
    from scribed.capture.recorder import Recorder


class Keeping:
    """`recorder`, or None where nothing is recorded. What it hands out is written by `store`."""

    def __init__(self, recorder: Recorder | None, store: Mailbox[Any]) -> None:
        self._recorder, self._store = recorder, store

    def take(self, asked: Record, device: Device) -> None:
        """Hand what was heard last to the store, which answers; or say why not."""
        if self._recorder is None:
            refuse(asked, CommandError("failed", "nothing is recorded: set recorder.seconds"))
            return
        taken = self._recorder.take(asked, device)
        if not isinstance(taken, CommandError):
            if self._store.put(KeepRecording(taken, asked.command), spare=SETTLING):
                return
            self._recorder.kept()
            taken = CommandError("busy", "the store is stuck; ask again later")
        refuse(asked, taken)

    def kept(self) -> Record | None:
        """The store has written what it was handed; what was asked for meanwhile."""
        return None if self._recorder is None else self._recorder.kept()

    def wipe(self) -> None:
        """Forget what was heard."""
        if self._recorder is not None:
            self._recorder.wipe()

    def retune(self, settings: Mapping[str, Any]) -> None:
        """The gate's settings from now on."""
        if self._recorder is not None:
            self._recorder.retune(settings)
