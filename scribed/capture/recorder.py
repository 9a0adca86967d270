"""The flight recorder: in memory the last seconds of what the gate heard, with its decisions. Pure.

It keeps what is listened to and nothing else: not the robot's own voice, not what is outside a
window of `cmd/listen`; a mute wipes it. Owned by the capture thread; the store writes.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from scribed.model import RATE, SAMPLE_BYTES, Block, CommandError, Device, pcm_bytes
from scribed.recording import CLOSED, Decisions, Note, Record, Recording, Stand

STAND_S = 1.0
"""How often it is noted how the gate stands: a recording begins at such a place."""


class _Part(Struct):
    """What was heard at once, and how the gate stood before it."""

    pcm: bytes
    decisions: Decisions
    notes: list[Note]  # and what was done behind it
    at: float
    stand: Stand | None = None


class Recorder:
    """See the module; a `Witness` of an ear.

    `seconds` of sound are kept, so that 32 kB a second is all it takes, and as much again while a
    recording is on its way to the disk. `on` are the triggers that are obeyed; `settings` what
    stands in the recording, of `audio.frame_ms` and `[vad]`.
    """

    def __init__(
        self, seconds: float, on: Collection[str], settings: Mapping[str, Any], version: str
    ) -> None:
        self._limit, self._on = round(seconds * RATE) * SAMPLE_BYTES, frozenset(on)
        self._settings, self._version = dict(settings), version
        self._frame_bytes = pcm_bytes(self._settings["audio.frame_ms"])
        self._parts: collections.deque[_Part] = collections.deque()
        self._bytes = 0
        self._stand: Stand | None = None
        self._since_stand = 0  # bytes heard
        self._heard = 0  # bytes, ever
        self._recorded_at: dict[str, int] = {}  # by trigger, in these bytes
        self._is_writing = False
        self._waiting: Record | None = None
        self.wants_stand = True

    # A witness

    def stands(self, stand: Stand | None) -> None:
        self._stand = stand
        if stand is not None:
            self.wants_stand, self._since_stand = False, 0

    def heard(self, block: Block, decisions: Decisions) -> None:
        size = len(block.pcm)
        self._parts.append(
            _Part(block.pcm, decisions, list(decisions.notes), block.at, self._stand)
        )
        self._stand = None
        self._bytes += size
        self._since_stand += size
        self._heard += size
        self.wants_stand = self._since_stand >= STAND_S * RATE * SAMPLE_BYTES
        while self._bytes - len(self._parts[0].pcm) >= self._limit:
            self._bytes -= len(self._parts.popleft().pcm)

    def noted(self, notes: Sequence[Note]) -> None:
        if self._parts:
            last = self._parts[-1]
            last.notes += [(len(last.decisions.gate), words) for _, words in notes]
        self.wants_stand = True

    # What it is asked

    def retune(self, settings: Mapping[str, Any]) -> None:
        """The gate goes by these from now on: what was heard before is of no recording with it."""
        if settings != self._settings:
            self._settings = dict(settings)
            self.wipe()

    def wipe(self) -> None:
        """Forget all that was heard."""
        self._parts.clear()
        self._bytes, self._stand, self.wants_stand = 0, None, True

    def take(self, asked: Record, device: Device) -> Recording | CommandError:
        """What was heard up to now, to be written; or why not. `kept()` is to follow.

        Where nobody waits for an answer one stretch of sound is not recorded twice for the same
        trigger, and the last who came while another was written gets its turn then.
        """
        if asked.trigger not in self._on:
            return _not(f'recorder.on has no "{asked.trigger}"')
        new = self._heard - self._recorded_at.get(asked.trigger, -self._limit)
        if asked.command is None and new < self._limit:
            return _not("what was heard before is recorded")
        if self._is_writing:
            self._waiting = asked if asked.command is None else self._waiting
            return CommandError("busy", "another recording is being written; ask again later")
        if asked.since is not None and not (self._parts and self._parts[0].at <= asked.since):
            return _not("what it is about is not kept any more; raise recorder.seconds")
        first = self._first()
        if first is None:
            return _not("nothing was heard yet, or it was muted")
        self._is_writing, self._recorded_at[asked.trigger] = True, self._heard
        return self._recording(first, asked, device)

    def kept(self) -> Record | None:
        """What was taken last is written, or could not be; who waited for that."""
        self._is_writing = False
        waiting, self._waiting = self._waiting, None
        return waiting

    def _first(self) -> int | None:
        """The part that a recording begins with: the oldest of which it is known how the gate
        stood, else the oldest. None: there is nothing."""
        before = 0  # bytes
        for n, part in enumerate(self._parts):
            needed = len(part.stand.gate.before) * self._frame_bytes if part.stand else 0
            if part.stand is not None and needed <= before:
                return n
            before += len(part.pcm)
        return 0 if self._parts else None

    def _recording(self, first: int, asked: Record, device: Device) -> Recording:
        parts = list(itertools.islice(self._parts, first, None))
        stand = parts[0].stand
        before = "" if stand is None else stand.gate.before
        pre_roll = b"".join(part.pcm for part in itertools.islice(self._parts, first))
        pre_roll = pre_roll[len(pre_roll) - len(before) * self._frame_bytes :]
        notes: list[Note] = []
        frames = len(before)
        for part in parts:
            notes += [(frames + frame, words) for frame, words in part.notes]
            frames += len(part.decisions.gate)
        return Recording(
            pcm=pre_roll + b"".join(part.pcm for part in parts),
            decisions=Decisions(
                before + "".join(part.decisions.voices for part in parts),
                CLOSED * len(before) + "".join(part.decisions.gate for part in parts),
                tuple(notes),
            ),
            stand=stand,
            settings=self._settings,
            device=device.name,
            device_rate=device.rate,
            device_channels=device.channels,
            version=self._version,
            trigger=asked.trigger,
            about=asked.about,
            at=parts[0].at - len(pre_roll) / (RATE * SAMPLE_BYTES),
        )


def _not(why: str) -> CommandError:
    return CommandError("failed", f"nothing is recorded: {why}")
