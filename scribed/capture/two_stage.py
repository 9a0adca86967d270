"""The second stage of the gate: what WebRTC takes for a voice is believed only with a reason. Pure.

```
frame ──► webrtcvad ──► stands out from the noise floor? ──► a voice to the model? ──► voiced
             │ no                │ no: too faint                 │ no: refused
```
* A voiced frame that stands out lends its credit to those of the next `LENT_MS`: the weak ends of
  syllables do not stand out.
* The model (where there is one) sleeps until something stands out, then hears the last `BEFORE_MS`
  as well, and on until nothing stood out for `AWAKE_MS`. What it takes for a voice is voiced; what
  the floor lets pass is, if the model was sure of a voice within the last `TRUSTED_MS`.

All this is decided frame by frame before the segmenter is told: an utterance opens only with frames
that both believe in, its pre-roll gives back what was said until they did, and noise that follows
it does not hold it open. What is refused is never sent.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Protocol

import msgspec

from scribed.capture.floor import Floor, FloorState
from scribed.interfaces import Judge, Remembering, Vad
from scribed.model import Verdict

LENT_MS = 400
AWAKE_MS = 300
"""Pauses between words do not put it to sleep."""
BEFORE_MS = 160
"""Five chunks, after which the model knows as much as if it had always listened."""
TRUSTED_MS = 1500
"""About a phrase."""
VOICE, STILL_VOICE, SURE = 0.3, 0.15, 0.7
"""The model's probabilities that begin a voice, that let it go on, and that it is trusted for: in
its first moments it takes some motors for a voice, with less than that."""
AFTER_MS = 120
"""The model hears the end of a word before it ends."""

_UNVOICED, _FAINT = Verdict.UNVOICED, Verdict.FAINT
_REFUSED, _VOICED = Verdict.REFUSED, Verdict.VOICED

BELIEVES_MS = 150
"""So much later than webrtcvad it says that somebody speaks: to be added to the pre-roll."""


class Model(Protocol):
    """A neural detector: the probability of a voice in a chunk; remembers those before."""

    def __call__(self, chunk: bytes) -> float: ...

    def reset(self) -> None: ...


class Confirmation:
    """Runs a model on what deserves it, in chunks of `chunk_bytes`."""

    def __init__(self, model: Model, chunk_bytes: int, frame_ms: int) -> None:
        self._model, self._chunk_bytes, self._frame_ms = model, chunk_bytes, frame_ms
        self._before: collections.deque[bytes] = collections.deque(maxlen=self._frames(BEFORE_MS))
        self._pending = bytearray()  # heard, and not a whole chunk yet
        self._awake = self._voice = self._trusted = 0  # frames left
        self._speaks = False

    def reset(self) -> None:
        """What is heard next does not follow what was heard before."""
        self._before.clear()
        self._sleep()
        self._trusted = 0

    def state(self) -> tuple[list[bytes], int] | None:
        """What it remembers; None while the model is awake, which cannot say."""
        return None if self._awake else (list(self._before), self._trusted)

    def restore(self, state: tuple[list[bytes], int]) -> None:
        """Remember that instead."""
        self.reset()
        before, self._trusted = state
        self._before.extend(before)

    def hear(self, frame: bytes, *, stirs: bool) -> bool:
        """Whether the model hears a voice; `stirs`: the frame stands out from the noise."""
        self._trusted = max(0, self._trusted - 1)
        if stirs:
            if not self._awake:
                self._pending += b"".join(self._before)
                self._before.clear()
            self._awake = self._frames(AWAKE_MS)
        elif self._awake:
            self._awake -= 1
            if not self._awake:
                self._sleep()
        if not self._awake:
            self._before.append(frame)
            return False
        self._pending += frame
        while len(self._pending) >= self._chunk_bytes:
            self._step(bytes(self._pending[: self._chunk_bytes]))
            del self._pending[: self._chunk_bytes]
        self._voice = self._frames(AFTER_MS) if self._speaks else max(0, self._voice - 1)
        return self._voice > 0

    @property
    def trusts(self) -> bool:
        """Whether the model was sure of a voice of late."""
        return self._trusted > 0

    def _frames(self, duration_ms: int) -> int:
        return duration_ms // self._frame_ms

    def _step(self, chunk: bytes) -> None:
        probability = self._model(chunk)
        self._speaks = probability >= (STILL_VOICE if self._speaks else VOICE)
        if probability >= SURE:
            self._trusted = self._frames(TRUSTED_MS)

    def _sleep(self) -> None:
        self._model.reset()
        self._awake, self._voice, self._speaks = 0, 0, False
        self._pending.clear()


class _Memory(msgspec.Struct, frozen=True):
    """Of a gate of two stages: `Remembering`."""

    first: bytes
    floor: FloorState
    confirmation: tuple[list[bytes], int] | None
    lent: int


class TwoStage:
    """See the module; `first` is asked about every frame."""

    def __init__(
        self, first: Vad, floor: Floor, confirmation: Confirmation | None, frame_ms: int
    ) -> None:
        self._first, self._floor, self._confirmation = first, floor, confirmation
        self._asks_first = first if isinstance(first, Judge) else None
        self._lent_frames = LENT_MS // frame_ms
        self._lent = 0

    def __call__(self, frame: bytes) -> bool:
        return self.judge(frame, len(frame), [self._first(frame)])[0] is _VOICED

    def ask(self, pcm: bytes, frame_bytes: int) -> list[bool]:
        """See `Judge`: the first stage alone."""
        if self._asks_first is not None:
            return self._asks_first.ask(pcm, frame_bytes)
        return [self._first(pcm[at : at + frame_bytes]) for at in range(0, len(pcm), frame_bytes)]

    def judge(self, pcm: bytes, frame_bytes: int, asked: Sequence[bool]) -> list[Verdict]:
        """See `Judge`."""
        floor, confirmation, verdicts = self._floor, self._confirmation, []
        for n, first in enumerate(asked):
            frame = pcm[n * frame_bytes : (n + 1) * frame_bytes]
            floor.add(frame)
            if first and floor.stands_out():
                self._lent = self._lent_frames
            elif self._lent:
                self._lent -= 1
            passes = first and self._lent > 0
            if confirmation is None:
                verdict = _VOICED if passes else _FAINT if first else _UNVOICED
            else:
                verdict = self._confirmed(frame, confirmation, first=first, passes=passes)
            verdicts.append(verdict)
        return verdicts

    def reset(self) -> None:
        self.resume()
        self._floor.reset()

    def resume(self) -> None:
        """See `Adapting`."""
        self._first.reset()
        self._floor.resume()
        if self._confirmation:
            self._confirmation.reset()
        self._lent = 0

    def state(self) -> bytes | None:
        """See `Remembering`."""
        first = self._first.state() if isinstance(self._first, Remembering) else None
        confirmation = self._confirmation.state() if self._confirmation else None
        if first is None or (self._confirmation and not confirmation):
            return None
        memory = _Memory(first, self._floor.state(), confirmation, self._lent)
        return msgspec.msgpack.encode(memory)

    def restore(self, state: bytes) -> None:
        try:
            memory = msgspec.msgpack.decode(state, type=_Memory)
        except msgspec.DecodeError as exc:
            raise ValueError("that is not how a gate of two stages remembers") from exc
        if not isinstance(self._first, Remembering) or bool(memory.confirmation) != bool(
            self._confirmation
        ):
            raise ValueError(
                f"it was decided {'with' if memory.confirmation else 'without'} scribed[neural]"
            )
        self.reset()
        self._first.restore(memory.first)
        self._floor.restore(memory.floor)
        if self._confirmation and memory.confirmation:
            self._confirmation.restore(memory.confirmation)
        self._lent = memory.lent

    @staticmethod
    def _confirmed(
        frame: bytes, confirmation: Confirmation, *, first: bool, passes: bool
    ) -> Verdict:
        if confirmation.hear(frame, stirs=passes):
            return _VOICED
        if not passes:
            return _FAINT if first else _UNVOICED
        return _VOICED if confirmation.trusts else _REFUSED
