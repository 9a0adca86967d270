"""webrtcvad behind the `Vad` seam: the only module that imports it.

Its library itself, not the module around it: that looks its own version up (4 ms, 1 MB), and adds
to each frame.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import _webrtcvad

from scribed.model import RATE, Verdict, pcm_bytes

_FRAME_BYTES = frozenset(map(pcm_bytes, (10, 20, 30)))

STATE_BYTES = 736
"""Of webrtcvad's VadInstT (common_audio/vad/vad_core.h): plain integers, no pointer, the same on
every platform; the last four bytes are a 42 once it is made ready."""
_VOICED, _UNVOICED = Verdict.VOICED, Verdict.UNVOICED
_READY = (42).to_bytes(4, sys.byteorder)
_ROUNDING_BYTES = 32
"""What an allocator may give more than it was asked for; an instance of another size is not ours to
read."""


class WebRtcVad:
    """WebRTC's voice activity detector; `aggressiveness` from 0 (lets most pass) to 3."""

    def __init__(self, aggressiveness: int) -> None:
        self._aggressiveness = aggressiveness
        self.reset()

    def __call__(self, frame: bytes) -> bool:
        """Whether `frame` is voiced; raises `ValueError` where it is not 10, 20 or 30 ms long."""
        if len(frame) not in _FRAME_BYTES:
            raise ValueError(f"a frame of {len(frame)} bytes is not 10, 20 or 30 ms")
        return bool(_webrtcvad.process(self._own, RATE, frame, len(frame) // 2))

    def ask(self, pcm: bytes, frame_bytes: int) -> list[bool]:
        """See `Judge`."""
        process, own, samples, voices = _webrtcvad.process, self._own, frame_bytes // 2, []
        for at in range(0, len(pcm), frame_bytes):
            voices.append(process(own, RATE, pcm[at : at + frame_bytes], samples))  # noqa: PERF401 -- in 3.10 and 3.11 that is a function more
        return voices

    def judge(self, pcm: bytes, frame_bytes: int, asked: Sequence[bool]) -> list[Verdict]:
        """See `Judge`."""
        return [_VOICED if voice else _UNVOICED for voice in asked]

    def reset(self) -> None:
        self._own = _webrtcvad.create()
        _webrtcvad.init(self._own)
        _webrtcvad.set_mode(self._own, self._aggressiveness)

    def state(self) -> bytes | None:
        """See `Remembering`: webrtcvad itself gives no such thing, so its memory is read."""
        import ctypes  # noqa: PLC0415 -- 1 MB, and only where somebody asks

        address = _address(self._own)
        state = ctypes.string_at(address, STATE_BYTES) if address else b""
        return state if state.endswith(_READY) else None

    def restore(self, state: bytes) -> None:
        import ctypes  # noqa: PLC0415 -- as above

        self.reset()
        address = _address(self._own)
        if len(state) != STATE_BYTES or not state.endswith(_READY) or not address:
            raise ValueError("that is not how this webrtcvad remembers")
        ctypes.memmove(address, state, STATE_BYTES)
        _webrtcvad.set_mode(self._own, self._aggressiveness)  # whose thresholds lie there as well


def _address(capsule: Any) -> int | None:
    """Where the instance in `capsule` lies; None where it does not look as expected."""
    import ctypes  # noqa: PLC0415 -- as above

    api = ctypes.pythonapi
    if type(capsule).__name__ != "PyCapsule":
        return None
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address: int = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_usable_size"):
        return None
    library.malloc_usable_size.restype = ctypes.c_size_t
    library.malloc_usable_size.argtypes = [ctypes.c_void_p]
    size: int = library.malloc_usable_size(address)
    return address if STATE_BYTES <= size <= STATE_BYTES + _ROUNDING_BYTES else None
