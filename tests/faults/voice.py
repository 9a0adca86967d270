"""Phrases that a voice of Debian's says, cut to what the gate calls speech."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import webrtcvad

from scribed.demo.voice import speak
from tests.faults.watermark import FRAME, FRAME_BYTES, FRAME_MS

RATE = 16_000
PHRASES = (
    "stop right there",
    "turn left please",
    "go forward ten meters",
    "bring me the red box from the table",
    "look for the big yellow ball in the kitchen and tell me where it is",
)
"""From under a second to about 4 s."""
GATE = 2
"""The gate's default aggressiveness."""
ROOM = 32
"""Deviation of the room's noise, in steps of 16 bits: -60 dBFS. In digital silence the mark itself
would be the loudest sound; here it turns round one decision in a thousand, at a word's border."""


def phrases(directory: Path) -> list[bytes]:
    """`PHRASES` as 16 kHz mono: whole frames, from the first voiced one to the last."""
    rendered = []
    for n, phrase in enumerate(PHRASES):
        speak(phrase, path := directory / f"{n}.wav")
        with wave.open(str(path)) as file:
            spoken = file.readframes(file.getnframes())
        rendered.append(_trimmed(_mixed(spoken, quiet(len(spoken) // FRAME_BYTES + 1, seed=n))))
    return rendered


def quiet(frames: int, *, seed: int = 99) -> bytes:
    """The sound of a room where nobody speaks."""
    noise = np.random.default_rng(seed).normal(0, ROOM, frames * FRAME)
    return bytes(noise.round().astype("<i2").tobytes())


def voiced(pcm: bytes, aggressiveness: int = GATE, *, frame_ms: int = FRAME_MS) -> list[bool]:
    """webrtcvad's decision on each frame."""
    vad, size = webrtcvad.Vad(aggressiveness), FRAME_BYTES * frame_ms // FRAME_MS
    return [vad.is_speech(pcm[at : at + size], RATE) for at in range(0, len(pcm) - size + 1, size)]


def _mixed(spoken: bytes, room: bytes) -> bytes:
    voice, noise = np.frombuffer(spoken, "<i2"), np.frombuffer(room, "<i2").astype(np.int32)
    noise[: len(voice)] += voice
    return bytes(noise.clip(-(1 << 15), (1 << 15) - 1).astype("<i2").tobytes())


def _trimmed(pcm: bytes) -> bytes:
    """Neither the voice's own silence nor the breath after it, which any gate may leave out."""
    before = quiet(50)  # a gate that has heard the room, as the microphone's has
    decisions = voiced(before + pcm)[50:]
    first = decisions.index(True)
    last = len(decisions) - 1 - decisions[::-1].index(True)
    return pcm[first * FRAME_BYTES : (last + 1) * FRAME_BYTES]
