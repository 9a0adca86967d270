"""An examination that waits for somebody, beside the others and for a bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Late(Exception):
    """It came to no end in its time; `seconds` is how long it had."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:.0f} s")
        self.seconds = seconds


class Aside(threading.Thread, Generic[T]):
    """Runs `look` once, from now on, for at most `within_s`; what is late is left behind.

    The name lookup of the C library knows no limit: its thread ends with the process.
    """

    def __init__(self, look: Callable[[], T], within_s: float) -> None:
        super().__init__(name="examination", daemon=True)
        self._look, self._within_s = look, within_s
        self._results: list[T] = []
        self._bug: BaseException | None = None
        self._deadline = time.monotonic() + within_s
        self.start()

    def run(self) -> None:
        try:
            self._results.append(self._look())
        except BaseException as exc:  # noqa: BLE001 -- a bug: raised by `result()`
            self._bug = exc

    def result(self) -> T:
        """What it found. Raises `Late`, and whatever `look` raised."""
        self.join(max(0.0, self._deadline - time.monotonic()))
        if self._bug is not None:
            raise self._bug
        if not self._results:
            raise Late(self._within_s)
        return self._results[0]
