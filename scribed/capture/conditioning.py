"""What is done to the sound before the gate and the uplink hear it, as `[audio]` has it; pure.

```
             gain_db    high_pass       auto_gain, noise_suppression
microphone ─────────────────────────┬─────── for the gate ──────► VAD
    │                               └─────── for the uplink ────► utterances, the service
    └─► levels, proof of hearing
```
Where both are to be the same it is done once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Stage(Protocol):
    """One step; it keeps its state between calls."""

    def __call__(self, pcm: bytes) -> bytes:
        """As much internal audio as `pcm`, a multiple of 10 ms."""
        ...

    def reset(self) -> None:
        """What comes next does not follow what was heard before."""
        ...


class Conditioned(NamedTuple):
    """The same stretch of sound for each of them, equally long."""

    gate: bytes
    uplink: bytes


class Conditioner:
    """`shared` first, one after the other; then `gate` and `uplink`, each on what came of it.

    `gate` may be `uplink`; None: nothing more.
    """

    def __init__(self, shared: Sequence[Stage], gate: Stage | None, uplink: Stage | None) -> None:
        self._shared = tuple(shared)
        self._gate, self._uplink = gate, uplink

    def __call__(self, pcm: bytes) -> Conditioned:
        """`pcm` is a multiple of 10 ms of internal audio."""
        for stage in self._shared:
            pcm = stage(pcm)
        gate = self._gate(pcm) if self._gate else pcm
        if self._uplink is self._gate:
            return Conditioned(gate, gate)
        return Conditioned(gate, self._uplink(pcm) if self._uplink else pcm)

    def reset(self) -> None:
        """What comes next does not follow what was heard before."""
        for stage in (*self._shared, self._gate, self._uplink):
            if stage:
                stage.reset()
