"""A machine for tests of the audio files: directories, a clock, and one life after another."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scribed.config import Spool
from scribed.model import (
    EndReason,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    seconds,
)
from scribed.store.utterances import Scan, Utterances

BOOT = "b2c1a0f4-5f0e-4f9c-9b57-0c4b4f7b2a11"
PIECE = 3200
"""Bytes of 100 ms."""


def utterance(seq: int) -> UtteranceId:
    """The id of number `seq`."""
    return UtteranceId(f"01JX{seq:022}")


def speech(seq: int, nbytes: int, start: int = 0) -> bytes:
    """Audio that nobody else has: the bytes from `start` of utterance `seq`."""
    first, base = start // 4, seq * 1_000_003
    words = array("I", range(base + first, base + (start + nbytes) // 4 + 1))
    return words.tobytes()[start % 4 :][:nbytes]


def started(seq: int) -> UtteranceStarted:
    return UtteranceStarted(utterance(seq), seq, 10.0 * seq, -0.5)


def ended(seq: int, nbytes: int) -> UtteranceEnded:
    """As capture ends it; `at` is the end of its audio."""
    duration = seconds(nbytes)
    return UtteranceEnded(
        utterance(seq), 10.0 * seq + duration, EndReason.COMMIT, round(duration * 1000)
    )


class Machine:
    """`state`, `runtime`, a clock that stands still until a test moves it, and the daemon's lives.

    A life ends as a kill ends it: nothing is closed properly but the file descriptors.
    """

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.runtime: Path | None = directory / "run"
        self.now = 1000.0
        self.unix_offset = 1_790_000_000.0
        self.synced: bool | None = True
        self.boot_id = BOOT
        self.lives: list[Utterances] = []

    def life(self, **spool: Any) -> Utterances:
        """The next life, before it looks at what the last one left."""
        self.kill()
        spool.setdefault("min_free_mb", 0)
        life = Utterances(
            self.state,
            self.runtime,
            spool=Spool(**spool),
            boot_id=self.boot_id,
            now=lambda: self.now,
            wall=lambda: self.now + self.unix_offset,
            synced=lambda: self.synced,
        )
        self.lives.append(life)
        return life

    def restart(self, **spool: Any) -> tuple[Utterances, Scan]:
        """A kill, and the next life with what it found."""
        life = self.life(**spool)
        return life, life.scan()

    def kill(self) -> None:
        while self.lives:
            self.lives.pop().close()

    def files(self) -> dict[str, Path]:
        """All audio files by name; a name that is in both places is an error."""
        found: dict[str, Path] = {}
        for directory in (self.state, self.runtime):
            for path in [] if directory is None else (directory / "audio").glob("*"):
                assert path.name not in found
                found[path.name] = path
        return found


def say(life: Utterances, seq: int, nbytes: int, *, seal: bool = True) -> None:
    """A whole utterance, in pieces of 100 ms."""
    life.begin(started(seq))
    for start in range(0, nbytes, PIECE):
        life.append(utterance(seq), speech(seq, min(PIECE, nbytes - start), start))
    if seal:
        assert life.seal(ended(seq, nbytes))


SPOKEN, CUT_AT = 10 * PIECE, 6 * PIECE


def talk_on(life: Utterances) -> Iterator[int]:
    """A speech that is cut by length, step by step: how much of it was appended, in bytes.

    It is that of number 1; what follows `CUT_AT` is held back first, and goes to number 2.
    """
    one, two = utterance(1), utterance(2)
    life.begin(started(1))
    for start in range(0, SPOKEN, PIECE):
        life.append(one, speech(1, PIECE, start))
        yield start + PIECE
    life.begin(started(2))
    yield SPOKEN
    for start in range(CUT_AT, SPOKEN, PIECE):
        life.append(two, speech(1, PIECE, start))
        yield SPOKEN
    life.cut(one, SPOKEN - CUT_AT)
    yield SPOKEN
    assert life.seal(ended(1, CUT_AT))
    yield SPOKEN
    life.append(two, speech(1, PIECE, SPOKEN))
    yield SPOKEN + PIECE
