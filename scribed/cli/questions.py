"""Asking whoever sits at the terminal."""

from __future__ import annotations

import getpass
from collections.abc import Sequence


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
        return input(f"{question} [{default}]: ").strip() or default

    def agrees(self, question: str, *, default: bool = True) -> bool:
        """Yes or no; with `yes` always yes."""
        if self._yes:
            return True
        while True:
            answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")
            print("y or n, please")

    def secret(self, question: str) -> str:
        """What is not shown while it is typed; "" where nothing was."""
        return "" if self._yes else getpass.getpass(f"{question}: ").strip()

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
