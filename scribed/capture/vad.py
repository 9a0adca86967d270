"""webrtcvad behind the `Vad` seam: the only module that imports it."""

from __future__ import annotations

import webrtcvad

from scribed.model import RATE, pcm_bytes

_FRAME_BYTES = frozenset(map(pcm_bytes, (10, 20, 30)))


class WebRtcVad:
    """WebRTC's voice activity detector; `aggressiveness` from 0 (lets most pass) to 3."""

    def __init__(self, aggressiveness: int) -> None:
        self._aggressiveness = aggressiveness
        self.reset()

    def __call__(self, frame: bytes) -> bool:
        """Whether `frame` is voiced; raises `ValueError` where it is not 10, 20 or 30 ms long."""
        if len(frame) not in _FRAME_BYTES:
            raise ValueError(f"a frame of {len(frame)} bytes is not 10, 20 or 30 ms")
        return bool(self._is_speech(frame, RATE))

    def reset(self) -> None:
        self._is_speech = webrtcvad.Vad(self._aggressiveness).is_speech
