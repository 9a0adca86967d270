"""What capture can be asked to do while it runs, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scribed.capture.conditioning import Conditioner
from scribed.capture.gate import Gate
from scribed.config import Echo, Motion
from scribed.config import Listen as Windows
from scribed.interfaces import Source, Vad
from scribed.model import Command, CommandError, Reply, RobotDoes
from scribed.recording import Record


class Mute(Struct, frozen=True):
    """Hear nothing, or hear again; answered when that is so, and a microphone is closed."""

    on: bool
    command: Command | None = None  #: None: nobody waits for the answer

    def done(self) -> None:
        _answer(self.command, {"muted": self.on})

    def too_late(self) -> None:
        _refuse(self.command)


class Flush(Struct, frozen=True):
    """End the open utterance now, with all that has been said; answered whether there was one."""

    command: Command | None = None

    def done(self, *, flushed: bool) -> None:
        _answer(self.command, {"flushed": flushed})

    def too_late(self) -> None:
        _refuse(self.command)


class Robot(Struct, frozen=True):
    """The robot begins or ceases to do what a microphone may hear; answered with what it has left
    to live."""

    does: RobotDoes
    command: Command | None = None

    def done(self, *, left_s: float) -> None:
        _answer(self.command, {self.does.what: left_s > 0, "ttl_ms": round(left_s * 1000)})

    def too_late(self) -> None:
        _refuse(self.command)


class Listen(Struct, frozen=True):
    """Hear what is said from `at` on, for `ttl_s` (None: as configured); answered with the window
    that is open then."""

    at: float
    ttl_s: float | None = None
    command: Command | None = None

    def done(self, *, left_s: float | None) -> None:
        """`left_s`: None where it listens always."""
        ttl_ms = None if left_s is None else round(left_s * 1000)
        _answer(self.command, {"listening": left_s is None or left_s > 0, "ttl_ms": ttl_ms})

    def too_late(self) -> None:
        _refuse(self.command)


class Retune(Struct, frozen=True):
    """Hear by another configuration, from the next moment on at which nobody is engaged.

    The callables are None where what is there goes on.
    """

    number: int
    gate: Gate
    echo: Echo
    motion: Motion
    listen: Windows
    chunk_bytes: int
    stall_s: float
    silent_s: float | None
    gate_settings: Mapping[str, Any]  #: what a recording tells of all that
    new_vad: Callable[[], Vad] | None = None
    new_conditioner: Callable[[], Conditioner | None] | None = None
    open_source: Callable[[], Source] | None = None

    def after(self, earlier: Retune | None) -> Retune:
        """This one, with what `earlier` wanted to be made anew and was not yet."""
        if earlier is None:
            return self
        return replace(
            self,
            new_vad=self.new_vad or earlier.new_vad,
            new_conditioner=self.new_conditioner or earlier.new_conditioner,
            open_source=self.open_source or earlier.open_source,
        )


def refuse(asked: Record, error: CommandError) -> None:
    """Tell who asked for a recording, if anybody waits, why there is none."""
    if asked.command is not None:
        asked.command.answer.put(Reply(asked.command.token, error=error))


def too_late(order: Mute | Flush | Robot | Listen | Record) -> None:
    """Answer what came when nothing is listened to any more."""
    if isinstance(order, Record):
        _refuse(order.command)
    else:
        order.too_late()


def _answer(command: Command | None, result: dict[str, Any]) -> None:
    if command is not None:
        command.answer.put(Reply(command.token, result))


def _refuse(command: Command | None) -> None:
    if command is not None:
        error = CommandError("failed", "nothing is listened to any more")
        command.answer.put(Reply(command.token, error=error))
