"""How far it is, for people at a terminal; pure but for `Screen`, which writes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

BAR_CHARS = 24
EVERY_S = 0.2
"""How often the line is drawn again."""
SURE_S = 3.0
"""No estimate of the time left before that."""


@dataclass(frozen=True, slots=True)
class Part:
    """One source: how much of it is told, of how much."""

    name: str
    done_s: float = 0.0
    duration_s: float | None = None  #: None: nobody knows
    is_over: bool = False
    is_running: bool = False
    heard_s: float = 0.0
    trouble: str | None = None


def line(parts: Sequence[Part], began: Sequence[float], elapsed_s: float, width: int) -> str:
    """One line of at most `width` characters; `began` is where this run has begun in each part."""
    running = [part for part in parts if part.is_running]
    names = ", ".join(part.name for part in running)
    trouble = next((part.trouble for part in running if part.trouble), None)
    share = _share(parts, began)
    if trouble:  # it needs the room more than the bar
        part = f"{share:.0%}  " if share is not None else ""
        said = f"{part}waits: {trouble}  {names}"
    elif share is None:
        times = ", ".join(f"{clock(part.done_s)} of {clock(part.heard_s)}" for part in running)
        said = f"{times} told  {names}"
    else:
        bar = "#" * round(share * BAR_CHARS)
        said = f"[{bar:.<{BAR_CHARS}}] {share:4.0%}  "
        if len(parts) > 1:
            said += f"{sum(part.is_over for part in parts)} of {len(parts)}  "
        said += f"{_left(share, elapsed_s)}  {names}"
    return said if len(said) <= width else said[: width - 1] + "…"


def clock(seconds: float) -> str:
    """`seconds` as 1:02:03 or 2:03."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _share(parts: Sequence[Part], began: Sequence[float]) -> float | None:
    """How much of all that this run has to do is done; None: who knows.

    A part that nobody has looked into yet is taken to be like the others.
    """
    lengths = [
        max(part.duration_s - start, 0.0)
        for part, start in zip(parts, began, strict=True)
        if part.duration_s is not None
    ]
    if not lengths or any(part.duration_s is None and part.is_running for part in parts):
        return None
    mean_s = sum(lengths) / len(lengths)
    whole = done = 0.0
    for part, start in zip(parts, began, strict=True):
        length = mean_s if part.duration_s is None else max(part.duration_s - start, 0.0)
        whole += length
        done += length if part.is_over else min(max(part.done_s - start, 0.0), length)
    return done / whole if whole else 1.0


def _left(share: float, elapsed_s: float) -> str:
    if elapsed_s < SURE_S or share <= 0:
        return "-:-- left"
    return f"{clock(elapsed_s * (1 - share) / share + 0.5)} left"


class Screen:
    """A terminal's last line, which gives way to whatever else is written; nothing elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._is_drawn = False

    @property
    def width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return max(20, (columns or 80) - 1)  # 0: a terminal that does not know

    def draw(self, text: str) -> None:
        """Show `text` as the last line."""
        if self.is_live:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()
            self._is_drawn = True

    def clear(self) -> None:
        """Make room for something else."""
        if self._is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_drawn = False

    def say(self, text: str) -> None:
        """A line for people, above the last one."""
        self.clear()
        print(text, file=self._stream, flush=True)
