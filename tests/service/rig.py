"""A running daemon, as the control socket sees it: a real `Control`, and somebody who answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from scribed.model import Command, CommandError, Reply
from scribed.service.control import REPLY_S, TRANSFER_S, Control
from scribed.worker import Finished, Mailbox, Stop

SOON = 10.0
"""Seconds after which a test gives up."""

Answer = Callable[[Command], dict[str, Any] | CommandError | None]


def yes(_command: Command) -> dict[str, Any]:
    return {}


class Daemon:
    """Answers each command with what `answer` says; with None it says nothing. A context manager.

    `asked` is what came, in order.
    """

    def __init__(
        self,
        runtime: Path,
        answer: Answer = yes,
        *,
        transfer_s: float = TRANSFER_S,
        reply_s: float = REPLY_S,
    ) -> None:
        self.runtime, self.path = runtime, runtime / "control.sock"
        self.answer = answer
        self.asked: list[Command] = []
        self.mailbox: Mailbox[Any] = Mailbox()
        self.control = Control(
            runtime=runtime, supervisor=self.mailbox, transfer_s=transfer_s, reply_s=reply_s
        )
        self._main = threading.Thread(target=self._supervise, name="supervisor")
        self.ended = threading.Event()

    def __enter__(self) -> Daemon:
        self._main.start()
        self.control.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._main.join(SOON)
        assert not self._main.is_alive()
        self.control.inbox.close()
        self.mailbox.close()

    def stop(self) -> None:
        """Ask the control thread to end, and wait for that."""
        self.control.inbox.put(Stop())
        self.control.join(SOON)
        assert not self.control.is_alive()

    def _supervise(self) -> None:
        while True:
            item = self.mailbox.get(SOON * 6)
            if isinstance(item, Command):
                self.asked.append(item)
                said = self.answer(item)
                if isinstance(said, CommandError):
                    item.answer.put(Reply(item.token, error=said))
                elif said is not None:
                    item.answer.put(Reply(item.token, said))
            else:
                assert item == Finished("control"), item
                self.ended.set()
                return
