"""Where speech begins: the frames before it, and whether enough of them are voiced. Pure."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Sequence

from scribed.capture.gate import InFrames
from scribed.model import Block
from scribed.recording import VOICED


class Frame:
    """One frame on its way through the gate, and how many samples are missing before it."""

    __slots__ = ("at", "lost", "pcm", "voiced")

    def __init__(self, pcm: bytes, at: float, voiced: bool, lost: int) -> None:
        self.pcm, self.at, self.voiced, self.lost = pcm, at, voiced, lost


class Onset:
    """Waits for so many voiced frames within a window, and keeps what may become pre-roll."""

    def __init__(self, go_by: InFrames) -> None:
        self._before: collections.deque[Frame] = collections.deque()
        self._window: collections.deque[bool] = collections.deque()
        self.retune(go_by)

    def retune(self, go_by: InFrames) -> None:
        """Go by these settings; what was heard stays, as far as the new pre-roll goes."""
        self._start, self._pre_roll = go_by.start, go_by.pre_roll
        self._window = collections.deque(self._window, maxlen=go_by.window)
        self._before = collections.deque(self._before, maxlen=go_by.pre_roll + go_by.window)

    @property
    def stirs(self) -> bool:
        """Whether there is a voice in the window."""
        return any(self._window)

    def add(self, frame: Frame) -> bool:
        """The next frame; whether speech begins with it."""
        self._before.append(frame)
        self._window.append(frame.voiced)
        return frame.voiced and sum(self._window) >= self._start

    def rest(self, frames: Sequence[Frame]) -> None:
        """The next ones, none of them voiced: speech does not begin with them."""
        self._before.extend(frames)
        self._window.extend(itertools.repeat(False, len(frames)))

    def remember(self, frames: Iterable[Frame]) -> None:
        """These were heard as well, and count for the pre-roll only."""
        self._before.extend(frames)

    def frames(self) -> list[Frame]:
        """What speech begins with: the window from its first voiced frame on, behind pre-roll."""
        frames = list(self._before)
        window = frames[-len(self._window) :]
        first = len(frames) - len(window) + next(i for i, f in enumerate(window) if f.voiced)
        return frames[max(0, first - self._pre_roll) :]

    def clear(self) -> None:
        """Forget all of them."""
        self._before.clear()
        self._window.clear()

    def stand(self) -> tuple[str, int] | None:
        """As `GateStand` has it: `before` and `window`; None: that would not tell it all."""
        if any(frame.lost for frame in self._before):
            return None
        before = "".join(VOICED if frame.voiced else "." for frame in self._before)
        return before, len(self._window)

    def go_on_from(self, said: str, window: int, before: Block, frame_bytes: int) -> None:
        """Stand so; `before` is the sound of `said`."""
        self.clear()
        frame_s = (before.end - before.at) / len(said) if said else 0.0
        for n, each in enumerate(said):
            pcm = before.pcm[n * frame_bytes : (n + 1) * frame_bytes]
            self._before.append(Frame(pcm, before.at + n * frame_s, each == VOICED, 0))
        if window:
            self._window.extend(each == VOICED for each in said[-window:])
