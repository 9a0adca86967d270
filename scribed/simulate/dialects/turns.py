"""Where somebody has finished speaking, found in the audio: for a service that commits by itself.

A small gate over WebRTC VAD; the real services' are better, and their thresholds are met here by
what each is about. `Turns` keeps time by the audio, not by a clock.
"""

from __future__ import annotations

import webrtcvad

from scribed.simulate.recognizers import BYTES_PER_S, RATE

FRAME_MS = 20
FRAME_BYTES = BYTES_PER_S * FRAME_MS // 1000
MODES = (0.3, 0.5, 0.7)  # thresholds from which WebRTC VAD's next stricter mode stands for them
TURN_SPEECH_S = 0.6  # of speech, at least, before a turn is predicted to be over


class Turns:
    """Hears 16 kHz mono s16le and says where a turn ends.

    Speech begins with `min_speech_s` of it, interrupted by less than `min_silence_s`; the turn
    ends after `silence_s` without. With `turn_silence_s` it also ends after so short a pause, if
    something longer than a word was said. `threshold` is 0 to 1: lower hears more.
    """

    def __init__(
        self,
        *,
        threshold: float,
        silence_s: float,
        min_speech_s: float = 0.1,
        min_silence_s: float = 0.1,
        turn_silence_s: float | None = None,
    ) -> None:
        self._mode = sum(threshold >= mode for mode in MODES)
        self._silence = _frames(silence_s)
        self._min_speech, self._min_silence = _frames(min_speech_s), _frames(min_silence_s)
        self._turn_silence = None if turn_silence_s is None else _frames(turn_silence_s)
        self._rest = bytearray()
        self.restart()

    def restart(self) -> None:
        """Begin anew: what was heard so far is committed."""
        self._vad = webrtcvad.Vad(self._mode)  # the old one calls 150 ms after speech voiced, too
        self.speaking = False  # since the last turn's end
        self._spoken = self._quiet = 0  # frames

    def hear(self, pcm: bytes) -> bool:
        """Hear up to 20 ms more. True: a turn ended with it; the next one begins."""
        self._rest += pcm
        ended = False
        while len(self._rest) >= FRAME_BYTES:
            frame = bytes(self._rest[:FRAME_BYTES])
            del self._rest[:FRAME_BYTES]
            ended = self._step(self._vad.is_speech(frame, RATE)) or ended
        return ended

    def _step(self, voiced: bool) -> bool:
        if voiced:
            self._spoken, self._quiet = self._spoken + 1, 0
            self.speaking = self.speaking or self._spoken >= self._min_speech
            return False
        self._quiet += 1
        if not self.speaking:
            if self._quiet >= self._min_silence:
                self._spoken = 0
            return False
        ended = self._is_over()
        if ended:
            self.restart()
        return ended

    def _is_over(self) -> bool:
        if self._quiet >= max(self._silence, self._min_silence):
            return True
        if self._turn_silence is None or self._spoken < _frames(TURN_SPEECH_S):
            return False
        return self._quiet >= max(self._turn_silence, self._min_silence)


def _frames(seconds: float) -> int:
    return max(1, round(seconds * 1000 / FRAME_MS))
