"""A microphone on standard input that goes on through restarts of the daemon.

The test holds both ends of the pipe, so that it knows to the frame what the daemon took: what was
written less what FIONREAD still finds there once the daemon is dead.
"""

from __future__ import annotations

import collections
import fcntl
import itertools
import os
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults import voice
from tests.faults.watermark import FRAME_BYTES, FRAME_MS, mark

PIPE_BYTES = 1 << 18
"""Room for 8 s: a daemon that is slow for a moment loses nothing, one that hangs does."""
TICK_MS = 20.0
"""Of the clock: how often it writes, at any pace."""
PAUSE_FRAMES = 80
"""Quiet after a phrase: the hangover, and some more."""


@dataclass(slots=True)
class Spoken:
    """One frame: whose it is, when it was said, and whether the daemon took it."""

    utterance: int
    at: float  #: Unix time
    captured: bool
    muted: bool = False  #: it was taken, and is not to be heard


class Microphone:
    """A context manager; `program` is what stands before the daemon's command: it opens the pipe.

    It says nothing but `say()`, the phrase `n` of `phrases` each time with a new number, and room
    noise between; `pace` times as fast as real time. While it is not `listening` nobody hears it;
    while it is `muted` it is read, and nothing of it is to be heard.
    """

    def __init__(
        self, directory: Path, phrases: list[bytes], *, run: int, pace: float = 1.0
    ) -> None:
        self._fifo = directory / "microphone"
        os.mkfifo(self._fifo, 0o600)
        self.program = ("sh", "-c", 'exec "$@" <"$0"', str(self._fifo))
        self.run = run
        self.frames: list[Spoken] = []
        self.said = 0  #: utterances that were begun
        self.muted = False
        self.gulp_ms = 0  #: the most that a daemon took in its last moment before a `cut()`
        self._phrases, self._room = phrases, voice.quiet(500)
        self._lock = threading.Condition()
        self._script: list[tuple[int, bytes]] = []  # utterance and sound of each frame to come
        self._listening = False
        self._over = False
        self._pace, self._begun, self._begun_at = pace, time.monotonic(), 0
        self._written = 0  # bytes in the pipe since the last `cut()`
        self._taken: collections.deque[int] = collections.deque(maxlen=64)  # of them, by tick
        self._thread = threading.Thread(target=self._talk, name="microphone")

    def __enter__(self) -> Microphone:
        self._fd = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
            self._lock.notify_all()
        self._thread.join(10)
        os.close(self._fd)

    @property
    def pace(self) -> float:
        return self._pace

    @pace.setter
    def pace(self, pace: float) -> None:
        with self._lock:
            self._pace, self._begun, self._begun_at = pace, time.monotonic(), len(self.frames)

    def listen(self) -> None:
        """From now on what is said goes into the pipe."""
        with self._lock:
            self._listening = True

    def cut(self) -> int:
        """The daemon is dead: what it did not take is not captured; the frames that it took."""
        with self._lock:
            self._listening = False
            waiting = self._waiting()
            self._taken.append(self._written - waiting)
            self.gulp_ms = max(self.gulp_ms, self._last_gulp() // FRAME_BYTES * FRAME_MS)
            self._taken.clear()
            self._written = 0
            missed = -(-waiting // FRAME_BYTES)
            for spoken in reversed(self.frames):
                if missed == 0:
                    break
                missed -= spoken.captured or spoken.muted
                spoken.captured = spoken.muted = False
            left = waiting
            while left > 0:
                left -= len(os.read(self._fd, left))
            return sum(spoken.captured for spoken in self.frames)

    @property
    def unread_ms(self) -> float:
        """How much of what was said nobody has read yet."""
        with self._lock:
            return self._waiting() / FRAME_BYTES * FRAME_MS

    def say(self, phrase: int, *, pause: int = PAUSE_FRAMES) -> int:
        """Say a phrase after all that is still to be said; the number of the utterance."""
        sound = self._phrases[phrase % len(self._phrases)]
        with self._lock:
            self.said += 1
            self._script += [
                (self.said, sound[at : at + FRAME_BYTES])
                for at in range(0, len(sound), FRAME_BYTES)
            ]
            self._script += [(0, self._noise(n)) for n in range(pause)]
            return self.said

    def hush(self) -> None:
        """Wait until everything has been said."""
        with self._lock:
            enough = len(self._script) * FRAME_MS / 1000 / self.pace + 10
            assert self._lock.wait_for(lambda: not self._script, enough), "it does not come to rest"

    def wait_until_said(self, utterance: int, share: float = 1.0) -> None:
        """Wait until such a share of an utterance has been said."""

        def so_far() -> bool:
            left = sum(u == utterance for u, _ in self._script)
            whole = left + sum(spoken.utterance == utterance for spoken in self.frames[-2000:])
            return utterance <= self.said and left <= (1 - share) * whole

        with self._lock:
            assert self._lock.wait_for(so_far, 60), "it was not said in time"

    def speech(self) -> dict[int, Spoken]:
        """The frames of speech that the daemon took, by number."""
        with self._lock:
            return {
                n: spoken
                for n, spoken in enumerate(self.frames)
                if spoken.utterance and spoken.captured
            }

    def _talk(self) -> None:
        with self._lock:
            while not self._over:
                lasted_s = (time.monotonic() - self._begun) * self._pace
                due = self._begun_at + int(lasted_s * 1000 / FRAME_MS)
                while len(self.frames) < due and not self._over:
                    self._write(min(due - len(self.frames), 12))
                if self._listening:
                    self._taken.append(self._written - self._waiting())
                self._lock.notify_all()
                self._lock.wait(TICK_MS / 1000)

    def _waiting(self) -> int:
        """Bytes in the pipe."""
        return int.from_bytes(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)), "little")

    def _last_gulp(self) -> int:
        """How many bytes the daemon took within the last tick in which it took any."""
        taken = list(self._taken)
        steps = [later - sooner for sooner, later in itertools.pairwise(taken)]
        return next((step for step in reversed(steps) if step), 0)

    def _write(self, count: int) -> None:
        """The next `count` frames, in one piece: a pipe takes 4096 bytes whole or not at all."""
        frames, self._script = self._script[:count], self._script[count:]
        first = len(self.frames)
        frames += [(0, self._noise(first + n)) for n in range(len(frames), count)]
        utterances = [utterance for utterance, _ in frames]
        sound = mark(b"".join(s for _, s in frames), utterances, run=self.run, first=first)
        captured = self._listening
        if captured:
            try:
                self._written += os.write(self._fd, sound)
            except BlockingIOError:
                captured = False  # an overrun, as a microphone has it
        heard, muted, now = captured and not self.muted, captured and self.muted, time.time()
        self.frames += [Spoken(utterance, now, heard, muted) for utterance in utterances]

    def _noise(self, n: int) -> bytes:
        at = n * FRAME_BYTES % len(self._room)
        return self._room[at : at + FRAME_BYTES]
