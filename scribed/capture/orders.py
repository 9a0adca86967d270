"""What capture can be asked to do while it runs, and the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scribed.model import Command, CommandError, Reply


@dataclass(frozen=True, slots=True)
class Mute:
    """Hear nothing, or hear again; answered when that is so, and a microphone is closed."""

    on: bool
    command: Command | None = None  #: None: nobody waits for the answer

    def done(self) -> None:
        _answer(self.command, {"muted": self.on})

    def too_late(self) -> None:
        _refuse(self.command)


@dataclass(frozen=True, slots=True)
class Flush:
    """End the open utterance now, with all that has been said; answered whether there was one."""

    command: Command | None = None

    def done(self, *, flushed: bool) -> None:
        _answer(self.command, {"flushed": flushed})

    def too_late(self) -> None:
        _refuse(self.command)


def _answer(command: Command | None, result: dict[str, Any]) -> None:
    if command is not None:
        command.answer.put(Reply(command.token, result))


def _refuse(command: Command | None) -> None:
    if command is not None:
        error = CommandError("failed", "nothing is listened to any more")
        command.answer.put(Reply(command.token, error=error))
