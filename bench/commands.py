"""Real commands in noise: a WAV's worth of audio, and where in it somebody speaks."""

from __future__ import annotations

import itertools
import random
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scribed.demo.voice import speak

RATE = 16_000
PHRASES = (
    "turn left",
    "go forward two meters",
    "stop",
    "open the door",
    "turn around",
    "go back to the kitchen",
    "what time is it",
    "pick up the red box and put it on the table",
)
LEVEL_DBFS = -26.0
"""Mean level of the speech, ITU-T's nominal one: WebRTC's gate judges levels as well as spectra,
and flite itself is 12 dB louder than any microphone."""
FAINT_DBFS = -70.0
UTTERANCE_S = 20
BREATH, PAUSE = int(0.06 * RATE), int(0.9 * RATE)  # samples
TAIL = int(1.5 * RATE)
"""Samples without a command at the end."""
SPEECH_DB = 30.0
"""What counts as speech: no more than so far below its mean level."""


@dataclass(frozen=True)
class Recording:
    """s16le mono at 16 kHz, and the samples [start, end) of each command in it."""

    pcm: bytes
    spoken: list[tuple[int, int]]


_Plan = list[tuple[int, np.ndarray]]
"""Where each command begins, and its samples."""


def commands_in_noise(seconds: float, snr_db: float, seed: int, *, share: float = 0.0) -> Recording:
    """Commands with pauses of 1 to 3 s, in pink noise (a room, a fan), reproducibly; or three in a
    breath, with pauses that make speech this share of the time."""
    length = int(seconds * RATE)

    def fits(planned: tuple[int, np.ndarray]) -> bool:
        at, voice = planned
        return at + len(voice) + TAIL <= length

    return _mixed(list(itertools.takewhile(fits, _planned(seed, share))), length, snr_db, seed)


def so_many_commands(count: int, snr_db: float, seed: int) -> Recording:
    """The first `count` of the same."""
    plan = list(itertools.islice(_planned(seed), count))
    at, voice = plan[-1]
    return _mixed(plan, at + len(voice) + TAIL, snr_db, seed)


def speech_without_pauses(seconds: float) -> bytes:
    """Commands with no more than breath between them, for `UTTERANCE_S` at a time, then a pause in
    which an utterance ends."""
    words = [np.concatenate([_voice(phrase), np.zeros(BREATH)]) for phrase in PHRASES]
    speech: list[np.ndarray] = []
    length = since = 0
    for word in itertools.cycle(words):
        speech.append(word)
        since += len(word)
        length += len(word)
        if since >= UTTERANCE_S * RATE:
            speech.append(np.zeros(PAUSE))
            length, since = length + PAUSE, 0
        if length >= seconds * RATE:
            break
    track = np.concatenate(speech)[: int(seconds * RATE)]
    track *= _amplitude(LEVEL_DBFS) / np.sqrt(np.mean(track[track != 0] ** 2))
    pcm: bytes = (track + _faint(len(track))).astype("<i2").tobytes()
    return pcm


def faint_noise(seconds: float) -> bytes:
    """A room in which nothing happens."""
    return _faint(int(seconds * RATE)).astype("<i2").tobytes()


def _faint(samples: int) -> np.ndarray:
    return np.random.default_rng(1).normal(scale=_amplitude(FAINT_DBFS), size=samples)


def _amplitude(level_dbfs: float) -> float:
    return float(32768 * 10 ** (level_dbfs / 20))


def _planned(seed: int, share: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
    rng = random.Random(seed)
    voices = [_voice(phrase) for phrase in PHRASES]
    at = int(1.0 * RATE)
    while True:
        voice = rng.choice(voices)
        if share:
            more = [np.concatenate([np.zeros(BREATH), rng.choice(voices)]) for _ in range(2)]
            voice = np.concatenate([voice, *more])
        yield at, voice
        pause = len(voice) * (1 / share - 1) if share else rng.uniform(1.0, 3.0) * RATE
        at += len(voice) + int(pause)


def _mixed(plan: _Plan, length: int, snr_db: float, seed: int) -> Recording:
    track = np.zeros(length)
    for at, voice in plan:
        track[at : at + len(voice)] = voice
    spoken = [(at, at + len(voice)) for at, voice in plan]
    speech = np.concatenate([track[a:b] for a, b in spoken])
    wanted = _amplitude(LEVEL_DBFS)
    track *= wanted / np.sqrt(np.mean(speech**2))
    noise = _pink(len(track), seed) * wanted / 10 ** (snr_db / 20)
    samples = np.clip(track + noise, -32768, 32767).astype("<i2")
    return Recording(samples.tobytes(), spoken)


def _pink(length: int, seed: int) -> np.ndarray:
    """Noise whose power falls by 3 dB an octave, with a mean power of 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=length))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, length)
    noise /= noise.std()
    return noise


def _voice(phrase: str) -> np.ndarray:
    """The phrase without the silence around it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "voice.wav"
        speak(phrase, path)
        with wave.open(str(path)) as wav:
            samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(float)
    frame = RATE // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.mean(frames**2, axis=1)
    loud = np.flatnonzero(power > power.mean() / 10 ** (SPEECH_DB / 10))
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]
