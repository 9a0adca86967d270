"""Asking whoever sits at the terminal."""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Sequence


class Questions:
    """Asks on the terminal; with `yes` each question is answered with its default.

    Ctrl-D is `EOFError`, Ctrl-C `KeyboardInterrupt`.
    """

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    def text(self, question: str, default: str) -> str:
        """A line, without the space around it."""
        if self._yes:
            return default
        return _line(f"{question} [{default}]: ").strip() or default

    def agrees(self, question: str, *, default: bool = True) -> bool:
        """Yes or no; with `yes` always yes."""
        if self._yes:
            return True
        while True:
            answer = _line(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")
            print("y or n, please")

    def secret(self, question: str) -> str:
        """What is not shown while it is typed; "" where nothing was."""
        return "" if self._yes else _hidden_line(f"{question}: ").strip()

    def choice(self, question: str, of: Sequence[str]) -> str:
        """One of several, by its number or as it stands; the first by default."""
        for number, each in enumerate(of, 1):
            print(f"  {number}  {each}")
        while True:
            answer = self.text(question, "1")
            if answer in of:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(of):
                return of[int(answer) - 1]
            print(f"a number from 1 to {len(of)}, please")


def _line(prompt: str) -> str:
    """Raises `EOFError`."""
    if not sys.stdin.isatty():
        return input(prompt)
    with _interruptible(sys.stdin.fileno()) as wait:
        print(prompt, end="", flush=True)
        wait()
        line = sys.stdin.readline()  # a terminal hands over whole lines
    if not line:
        raise EOFError
    return line


def _hidden_line(prompt: str) -> str:
    """Asked on the terminal, wherever standard input comes from. Raises `EOFError`."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return getpass.getpass(prompt)  # says that it will be seen
    try:
        shown = termios.tcgetattr(terminal)
        hidden = [*shown]
        hidden[3] &= ~termios.ECHO
        with _interruptible(terminal) as wait:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
            try:
                os.write(terminal, prompt.encode())
                wait()
                line = os.read(terminal, 4096)  # the longest line that a terminal hands over
            finally:
                termios.tcsetattr(terminal, termios.TCSAFLUSH, shown)
                os.write(terminal, b"\n")
    finally:
        os.close(terminal)
    if not line:
        raise EOFError
    return os.fsdecode(line)


@contextlib.contextmanager
def _interruptible(descriptor: int) -> Iterator[Callable[[], None]]:
    """Hands out a wait for `descriptor` that Ctrl-C ends whenever it comes.

    `input()` sleeps on where the signal comes between the prompt and its read: somebody who
    presses Ctrl-C at once would have to press it twice.
    """
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def wait() -> None:
        while descriptor not in select.select((descriptor, woken), (), ())[0]:
            os.read(woken, 64)  # of a signal that raises nothing

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wakes)
