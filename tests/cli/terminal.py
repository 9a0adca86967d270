"""A person at a terminal: a command on a pty of its own, read and answered line by line."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import termios
import time
from types import TracebackType

from tests.cli.shell import COMMAND, Shell

PATIENCE_S = 30.0


class Terminal:
    """Runs `scribed` with `words`; a context manager. `shown` is all that was on the screen."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.shown = ""
        self._read = 0
        self._master, slave = pty.openpty()
        try:
            # A session whose controlling terminal it is: questions for secrets go to /dev/tty.
            self.process = subprocess.Popen(
                ["setsid", "--ctty", "--wait", *COMMAND, *words],
                cwd=shell.home,
                env=shell.environ,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._master)

    def expect(self, text: str) -> str:
        """Wait until `text` is shown behind what was expected before; all up to its end."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.shown.find(text, self._read)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.shown}"
            assert self._more(), f"it ended without {text!r}:\n{self.shown}"
        before, self._read = self._read, at + len(text)
        return self.shown[before : self._read]

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        os.write(self._master, line.encode() + b"\n")

    def answer(self, question: str, line: str) -> None:
        """Wait for a question, and type the answer."""
        self.expect(question)
        self.type(line)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self._master, b"\x03")

    @property
    def echoes(self) -> bool:
        """Whether what is typed now is shown."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def end(self) -> int:
        """Wait for its end; the exit status."""
        while self._more():
            pass
        return self.process.wait(PATIENCE_S)

    def _more(self) -> bool:
        if not select.select((self._master,), (), (), PATIENCE_S)[0]:
            self.process.send_signal(signal.SIGKILL)
            raise AssertionError(f"nothing more came:\n{self.shown}")
        piece = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end open any more
            piece = os.read(self._master, 65_536)
        self.shown += piece.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(piece)
