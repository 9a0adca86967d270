"""The gate, tried with a voice that is made here: it needs no microphone."""

from __future__ import annotations

import math
import random
from array import array

from scribed.capture.ear import Ear
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.vad import WebRtcVad
from scribed.interfaces import Vad
from scribed.model import RATE, Block, UtteranceEnded, UtteranceId, UtteranceStarted

VOICE_S = (1.0, 3.5)
"""When the voice begins and ends."""
SILENCE_S = 6.0
"""Behind it: more than the longest `vad.hangover_ms`."""
_PITCH_HZ, _GLIDE_HZ, _SYLLABLES_HZ = 130.0, 30.0, 4.0
_FORMANTS = ((700.0, 130.0), (1220.0, 150.0), (2600.0, 250.0))
"""Centre and width of an open vowel's."""
_NOISE = 3
"""Steps of noise: no converter gives digital silence."""


def cut(gate: Gate, vad: Vad) -> list[tuple[float, float]]:
    """When each utterance began and ended that the gate cut from the voice, in seconds."""
    spans: list[tuple[float, float]] = []

    def identify(at: float, continues: UtteranceId | None) -> UtteranceStarted:
        return UtteranceStarted(
            UtteranceId(str(len(spans))), len(spans) + 1, at, continues=continues
        )

    ear, began = Ear(vad, gate, identify), 0.0
    events: list[GateEvent] = ear.hear(Block(voice(), 0, 0.0))
    for event in events:
        if isinstance(event, UtteranceStarted):
            began = event.at
        elif isinstance(event, UtteranceEnded):
            spans.append((began, event.at))
    return spans


def webrtc(aggressiveness: int) -> Vad:
    """The first stage of every gate."""
    return WebRtcVad(aggressiveness)


def voice() -> bytes:
    """Silence, a steady voice of vowels in syllables, silence: s16le at 16 kHz."""
    sound, dice = array("h"), random.Random(1)
    for i in range(int((VOICE_S[1] + SILENCE_S) * RATE)):
        at = i / RATE
        value = dice.uniform(-_NOISE, _NOISE)
        if VOICE_S[0] <= at < VOICE_S[1]:
            value += _vowel(at)
        sound.append(round(value))
    return sound.tobytes()


def _vowel(at: float) -> float:
    pitch = _PITCH_HZ + _GLIDE_HZ * math.sin(2 * math.pi * at)
    loudness = 0.65 + 0.35 * math.sin(2 * math.pi * _SYLLABLES_HZ * at)
    return (
        2500
        * loudness
        * sum(gain * math.sin(2 * math.pi * n * pitch * at) for n, gain in _HARMONICS)
    )


_HARMONICS = [
    (n, sum(math.exp(-(((n * _PITCH_HZ - centre) / width) ** 2)) for centre, width in _FORMANTS))
    for n in range(1, 24)
]
"""The harmonics of the pitch with their gains, as far as they are heard."""
