"""Rooms to listen to: real and synthetic speech in noise, and which frames are speech.

All of it comes from one seed. Where somebody speaks is known because it was put there. Speech, all
of which is to be delivered, is where the clean voice is at most `SPEECH_DB` below its own mean
level, gaps of up to `GAP_MS` included; it is active where the same holds for `ACTIVE_DB`, the
margin by which ITU-T P.56 tells activity. A detector is asked about active frames and about those
that are no speech; not about the weak edges between them.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
Frames = npt.NDArray[np.bool_]

RATE = 16_000
FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
FULL_SCALE = 32768.0
LEVEL_DBFS, LEVEL_SPREAD_DB = -26.0, 3.0
"""Mean level of each utterance: ITU-T's nominal one, for people stand nearer and farther."""
SPEECH_DB, ACTIVE_DB, GAP_MS = 30.0, 15.9, 200
SPEECH_SHARE = 0.2
SNRS_DB = (20, 10, 5, 0)
NOISES = ("white", "babble", "fan", "servo", "moves")
FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = {
    "en-us": ("go back to the kitchen and wait there", "what is the weather like tomorrow"),
    "en-gb+f3": ("please bring me the red box", "stop, that is far enough"),
    "de": ("fahr bitte zwei Meter vor und dann nach links", "wie spät ist es"),
    "fr+f2": ("tourne à gauche et ouvre la porte", "quelle heure est-il"),
    "es": ("ve a la cocina y trae un vaso de agua", "para ahora mismo"),
    "it+f4": ("gira a destra e aspetta un momento", "che ore sono"),
    "pl": ("idź do przodu trzy metry", "otwórz drzwi proszę"),
    "cmn+f2": ("请往前走两米", "现在几点了"),
}
ENGLISH = (
    "turn left",
    "go forward two meters",
    "open the door",
    "pick up the red box and put it on the table",
)
CHATTER = (
    "so I told her that we would be there by seven, but the train was late again and nobody knew",
    "the second half was much better than the first, although they never really had a chance",
    "he said he would call on Monday, and then of course he forgot all about it, as he always does",
    "you take the road behind the station, past the old mill, and then it is the third on the left",
)


@dataclass(frozen=True)
class Room:
    """One recording: s16le samples, which frames are speech, and where each utterance lies."""

    noise: str
    snr_db: int
    pcm: bytes = field(repr=False)
    speech: Frames = field(repr=False)
    active: Frames = field(repr=False)
    utterances: list[tuple[int, int]] = field(repr=False)  #: frames [start, end)

    @property
    def name(self) -> str:
        return f"{self.noise} {self.snr_db} dB"

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / RATE


class Voices:
    """What is said: recordings from `directory`, where there are any, and Debian's synthesizers."""

    def __init__(self, directory: Path) -> None:
        self.recorded = {path.stem: _read(path) for path in sorted(directory.glob("*.wav"))}
        with tempfile.TemporaryDirectory() as scratch:
            wav = Path(scratch) / "voice.wav"
            self.synthetic = [_flite(voice, text, wav) for voice in FLITE for text in ENGLISH]
            self.synthetic += [
                _espeak(voice, text, wav) for voice, texts in ESPEAK.items() for text in texts
            ]
            self._chatter = [
                _flite(voice, " ".join((*CHATTER[n:], *CHATTER[:n])), wav)
                for n, voice in enumerate(FLITE)
            ]
            self._chatter += [
                _espeak(voice, " ".join((*CHATTER[n:], *CHATTER[:n])), wav)
                for n, voice in enumerate(("en-us", "en-gb+f3", "en-us+m3", "en-us+f4"))
            ]

    def babble(self, length: int, rng: np.random.Generator) -> Samples:
        """Eight who talk all the time, each from somewhere in what they say."""
        mixed = np.zeros(length)
        for chatter in self._chatter:
            once = chatter / _rms(chatter)
            looped = np.tile(once, length // len(once) + 2)
            start = rng.integers(len(once))
            mixed += looped[start : start + length] * rng.uniform(0.7, 1.0)
        return mixed / _rms(mixed)


def rooms(
    voices: Voices,
    seconds: float,
    seed: int,
    noises: Sequence[str] = NOISES,
    snrs_db: Sequence[int] = SNRS_DB,
) -> list[Room]:
    """The same speech in each of the noises at each of the levels."""
    rng = np.random.default_rng(seed)
    clean, speech, active, utterances = _spoken(voices, int(seconds * RATE), rng)
    level = np.mean(clean.reshape(-1, FRAME)[speech] ** 2)
    found = []
    for noise in noises:
        sound = _noise(noise, len(clean), voices, rng)
        for snr_db in snrs_db:
            mixed = clean + sound * np.sqrt(level / 10 ** (snr_db / 10))
            found.append(Room(noise, snr_db, pcm(mixed), speech, active, utterances))
    return found


def in_noise(clean: Samples, noise: str, snr_db: int, voices: Voices, seed: int) -> bytes:
    """`clean` at the nominal level, in noise."""
    scaled = clean * _gain(clean, LEVEL_DBFS)
    level = np.mean(scaled[: len(scaled) // FRAME * FRAME].reshape(-1, FRAME)[spoken(scaled)] ** 2)
    sound = _noise(noise, len(scaled), voices, np.random.default_rng(seed))
    return pcm(scaled + sound * np.sqrt(level / 10 ** (snr_db / 10)))


def spoken(clean: Samples, below_db: float = SPEECH_DB) -> Frames:
    """Which frames of a clean voice are at most so far below its mean level."""
    power = np.mean(clean[: len(clean) // FRAME * FRAME].reshape(-1, FRAME) ** 2, axis=1)
    loud = power > power[power > power.max() / 1e4].mean() / 10 ** (below_db / 10)
    return closed(loud, GAP_MS // FRAME_MS)


def closed(frames: Frames, gap: int) -> Frames:
    """`frames` with every gap of up to `gap` frames between two of them filled."""
    filled: Frames = frames.copy()
    where = np.flatnonzero(frames)
    for a, b in itertools.pairwise(where):
        if 1 < b - a <= gap + 1:
            filled[a:b] = True
    return filled


def pcm(samples: Samples) -> bytes:
    """As s16le; what is too loud is clipped."""
    return np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes()


def _spoken(
    voices: Voices, length: int, rng: np.random.Generator
) -> tuple[Samples, Frames, Frames, list[tuple[int, int]]]:
    """Utterances in random order, every other one recorded, with pauses of a random length."""
    clean = np.zeros(length // FRAME * FRAME)
    speech = np.zeros(len(clean) // FRAME, dtype=bool)
    active = np.zeros(len(clean) // FRAME, dtype=bool)
    utterances: list[tuple[int, int]] = []
    at = 2 * RATE // FRAME
    for turn in range(1_000_000):
        pool = list(voices.recorded.values()) if turn % 2 and voices.recorded else voices.synthetic
        voice = pool[rng.integers(len(pool))]
        truth, loud = spoken(voice), spoken(voice, ACTIVE_DB)
        first, last = np.flatnonzero(truth)[[0, -1]]
        voice = voice[first * FRAME : (last + 1) * FRAME]
        truth, loud = truth[first : last + 1], loud[first : last + 1]
        pause = int(truth.sum() * (1 / SPEECH_SHARE - 1) * rng.uniform(0.5, 1.5))
        if at + len(truth) + RATE // FRAME > len(speech):
            break
        level = LEVEL_DBFS + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
        clean[at * FRAME : (at + len(truth)) * FRAME] = voice * _gain(voice, level)
        speech[at : at + len(truth)] = truth
        active[at : at + len(truth)] = loud
        utterances.append((at, at + len(truth)))
        at += len(truth) + pause
    return clean, speech, active, utterances


def _noise(kind: str, length: int, voices: Voices, rng: np.random.Generator) -> Samples:
    match kind:
        case "white":
            return rng.normal(size=length)
        case "babble":
            return voices.babble(length, rng)
        case "fan":
            return _fan(length, rng)
        case "servo":
            return servo(length, rng)
        case "moves":
            return servo(length, rng, (1.0, 10.0), 0.0)
        case _:
            raise ValueError(f"no such noise: {kind}; {', '.join(NOISES)}")


def _fan(length: int, rng: np.random.Generator) -> Samples:
    """Air (3 dB less an octave, from 60 Hz on) and four harmonics of the blades, unsteady."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    air = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 60)), length)
    air /= _rms(air)
    time = np.arange(length) / RATE
    phase = 2 * np.pi * np.cumsum(118 + 2 * np.sin(2 * np.pi * 0.1 * time)) / RATE
    blades = sum(np.sin(k * phase) / k for k in range(1, 5))
    sound = air + 0.5 * blades / _rms(np.asarray(blades))
    sound *= 1 + 0.1 * np.sin(2 * np.pi * 0.3 * time)
    return np.asarray(sound / _rms(sound))


def servo(
    length: int,
    rng: np.random.Generator,
    rests_s: tuple[float, float] = (0.05, 0.4),
    holds: float = 0.25,
) -> Samples:
    """A geared motor at work: moves of 0.4 to 3 s, each with a speed of its own that ramps up and
    down; twelve harmonics, the teeth's modulation and some hiss. In the rests between them it is
    so much of that loud as `holds`. Its level is that of the moves."""
    hertz_of, loudness_of = [], []
    total = 0
    while total < length:
        move, rest = int(rng.uniform(0.4, 3.0) * RATE), int(rng.uniform(*rests_s) * RATE)
        ramp = np.minimum(1, np.minimum(np.arange(move), np.arange(move)[::-1]) / (0.08 * RATE))
        hertz_of += [rng.uniform(140, 420) * (0.6 + 0.4 * ramp), np.full(rest, 90.0)]
        loudness_of += [holds + (1 - holds) * ramp, np.full(rest, holds)]
        total += move + rest
    hertz = np.concatenate(hertz_of)[:length]
    loudness = np.concatenate(loudness_of)[:length]
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    strengths = rng.uniform(0.3, 1.0, 12) / np.arange(1, 13) ** 0.5
    tone = sum(a * np.sin(k * phase + k) for k, a in enumerate(strengths, 1))
    tone = np.asarray(tone) * (1 + 0.3 * np.sin(phase / 8))
    sound = loudness * (tone / _rms(tone) + 0.3 * rng.normal(size=length))
    return np.asarray(sound / _rms(sound[loudness > 0.5]))


def _gain(voice: Samples, level_dbfs: float) -> float:
    frames = voice[: len(voice) // FRAME * FRAME].reshape(-1, FRAME)[spoken(voice)]
    return float(FULL_SCALE * 10 ** (level_dbfs / 20) / _rms(frames))


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def _read(path: Path) -> Samples:
    with wave.open(str(path)) as wav:
        rate, channels = wav.getframerate(), wav.getnchannels()
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(float)
    mono: Samples = samples.reshape(-1, channels).mean(axis=1)
    if rate == RATE:
        return mono
    import soxr  # noqa: PLC0415 -- espeak-ng speaks at 22 050 Hz, flite's kal16 at 16 000

    resampled: Samples = soxr.resample(mono, rate, RATE)
    return resampled


def _flite(voice: str, text: str, wav: Path) -> Samples:
    return _said(["flite", "-voice", voice, "-t", text, "-o", str(wav)], wav)


def _espeak(voice: str, text: str, wav: Path) -> Samples:
    return _said(["espeak-ng", "-v", voice, "-w", str(wav), text], wav)


def _said(command: list[str], wav: Path) -> Samples:
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True)
    return _read(wav)
