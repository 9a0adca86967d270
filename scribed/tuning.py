"""Settings for this room: what was heard of it, and what the gate makes of that by others. Pure.

Nothing is guessed from rules of thumb that can be tried: the same sound goes through the same gate
with each of a dozen settings. What is speech and what is noise in it is told by the level, and by
who says that for the first seconds nobody speaks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scribed.capture.levels import FULL_SCALE, SILENCE_DBFS, dbfs
from scribed.config import Config
from scribed.recording import Decisions, utterances

LOUD_DB = 10.0
"""So far above the noise floor a frame is taken for speech, where somebody may speak."""
LEAST_LOUD_MS = 100
"""An utterance with less of that was opened by noise."""
ENOUGH_MS = 2000
"""Without so much speech nothing is proposed: a gate that never opens has no false openings."""
FLOOR_SHARE = 0.2
"""In quiet the median is the floor; where somebody speaks the level below which so many frames
are: who reads aloud pauses for a fifth of the time."""
STARTS = ((60, 120), (100, 200), (160, 300))
"""`start_ms` and `start_window_ms` that are tried, with each aggressiveness; where the engine is
`webrtc`, with two stages too."""
WORTH = 0.005
"""A difference of less speech heard is none."""
PAUSE_MIN_MS, PAUSE_MAX_MS = 100, 1200
"""A pause inside of what somebody says."""
PAUSES_MIN, PAUSES_TO_SHORTEN = 5, 30
"""Fewer of them say nothing; a sentence that is cut costs more than a text that comes later."""
HANGOVER_MIN_MS, HANGOVER_MAX_MS, HANGOVER_STEP_MS = 400, 1000, 50
HANGOVER_WORTH_MS = 100
SPEECH_LOW_DBFS, SPEECH_WANTED_DBFS, PEAK_WANTED_DBFS = -42.0, -30.0, -3.0
CLIPPED = 0.001
SNR_LOW_DB = 10.0

Hear = Callable[[Mapping[str, Any]], Decisions]
"""What the gate decides about the sound with other values for some keys."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What was measured of all that was heard, frame by frame."""

    frame_ms: int
    levels: Sequence[float] = field(repr=False)  #: dBFS, of each frame
    peak: int  #: the largest sample
    clipped: float  #: share of the samples at full scale
    still_s: float  #: the longest digital silence
    quiet_s: float  #: at the beginning, in which nobody spoke

    @property
    def floor_dbfs(self) -> float | None:
        quiet = sorted(self.levels[: self._quiet_frames])
        if quiet:
            return quiet[len(quiet) // 2]
        heard = sorted(level for level in self.levels if level > SILENCE_DBFS) or self.levels
        return sorted(heard)[int(FLOOR_SHARE * len(heard))] if heard else None

    @property
    def loud(self) -> list[bool]:
        """Which frames are taken for speech."""
        floor = self.floor_dbfs
        least = math.inf if floor is None else floor + LOUD_DB
        quiet = self._quiet_frames
        return [n >= quiet and level >= least for n, level in enumerate(self.levels)]

    @property
    def _quiet_frames(self) -> int:
        return round(self.quiet_s * 1000 / self.frame_ms)


@dataclass(frozen=True, slots=True)
class Score:
    """What a gate made of it."""

    openings: int
    false: int  #: of them, those that noise opened
    heard: float  #: share of the speech that is in an utterance


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another value for a key, and why."""

    key: str
    old: Any
    new: Any
    why: str


@dataclass(frozen=True, slots=True)
class Advice:
    """All that can be said of a room."""

    speech_ms: int
    speech_dbfs: float | None
    floor_dbfs: float | None
    now: Score
    proposals: tuple[Proposal, ...]
    notes: tuple[str, ...]  #: what no key can mend

    @property
    def snr_db(self) -> float | None:
        if self.speech_dbfs is None or self.floor_dbfs is None:
            return None
        return self.speech_dbfs - self.floor_dbfs


def advise(sound: Sound, config: Config, hear: Hear) -> Advice:
    """What to change for this room, if anything."""
    loud, frame_ms = sound.loud, sound.frame_ms
    speech_ms = sum(loud) * frame_ms
    powers = [
        10 ** (level / 10) for level, is_loud in zip(sound.levels, loud, strict=True) if is_loud
    ]
    speech_dbfs = dbfs(sum(powers) / len(powers)) if powers else None
    now = score(hear({}), loud, frame_ms)
    proposals: list[Proposal] = []
    notes = _notes(sound, config, speech_dbfs)
    if speech_ms < ENOUGH_MS:
        notes.append(
            f"{speech_ms / 1000:.1f} s of speech were heard: too little to propose anything; speak "
            "to it for some ten seconds as you will, from where you will"
        )
    else:
        best = _best_gate(config, hear, loud, frame_ms, now)
        proposals += best
        chosen = {each.key: each.new for each in best}
        proposals += _hangover(config, hear(chosen), loud, frame_ms)
        proposals += _gain(sound, config, speech_dbfs)
    proposals += _silent(sound, config)
    return Advice(speech_ms, speech_dbfs, sound.floor_dbfs, now, tuple(proposals), tuple(notes))


def score(decisions: Decisions, loud: Sequence[bool], frame_ms: int) -> Score:
    """How well a gate did where these frames are speech."""
    heard = bytearray(len(loud))
    found = utterances(decisions, frame_ms)
    false = 0
    for each in found:
        start = (each["start_ms"] or 0) // frame_ms
        end = len(loud) if each["end_ms"] is None else each["end_ms"] // frame_ms
        false += sum(loud[start:end]) * frame_ms < LEAST_LOUD_MS
        heard[start:end] = b"\1" * len(heard[start:end])
    total = sum(loud)
    inside = sum(1 for n, is_loud in enumerate(loud) if is_loud and heard[n])
    return Score(len(found), false, inside / total if total else 0.0)


def _best_gate(
    config: Config, hear: Hear, loud: Sequence[bool], frame_ms: int, now: Score
) -> list[Proposal]:
    """The settings with the fewest false openings of those that hear as much as any, or what is
    set where none is better."""
    vad = config.vad
    tried: list[tuple[dict[str, Any], Score]] = []
    engines = dict.fromkeys((vad.engine, "two_stage"))
    for engine, aggressiveness, (start_ms, window_ms) in itertools.product(
        engines, range(4), STARTS
    ):
        values = {
            "vad.engine": engine,
            "vad.aggressiveness": aggressiveness,
            "vad.start_ms": start_ms,
            "vad.start_window_ms": window_ms,
        }
        tried.append((values, score(hear(values), loud, frame_ms)))
    most = max(now.heard, *(found.heard for _, found in tried))
    good = [each for each in tried if each[1].heard >= most - WORTH]

    def distance(values: Mapping[str, Any]) -> float:
        turned = abs(values["vad.aggressiveness"] - vad.aggressiveness)
        turned += values["vad.engine"] != vad.engine
        return float(turned + abs(values["vad.start_ms"] - vad.start_ms) / 100)

    if not good or (now.heard >= most - WORTH and now.false <= min(s.false for _, s in good)):
        return []
    values, best = min(good, key=lambda each: (each[1].false, distance(each[0])))
    why = (
        f"{best.false} false openings instead of {now.false}, {best.heard:.1%} of the speech heard "
        f"instead of {now.heard:.1%}"
    )
    old = {f"vad.{name}": getattr(vad, name) for name in vad.__struct_fields__}
    return [Proposal(key, old[key], new, why) for key, new in values.items() if new != old[key]]


def pauses(decisions: Decisions, loud: Sequence[bool], frame_ms: int) -> list[int]:
    """The lengths of the pauses inside of what was said, ms, shortest first."""
    voiced = [n for n, voice in enumerate(decisions.voices) if voice == "#"]
    gaps = [
        (after - before - 1) * frame_ms
        for before, after in itertools.pairwise(voiced)
        if any(loud[max(0, before - 10) : before + 1]) and any(loud[after : after + 10])
    ]
    return sorted(gap for gap in gaps if PAUSE_MIN_MS <= gap <= PAUSE_MAX_MS)


def _hangover(
    config: Config, decisions: Decisions, loud: Sequence[bool], frame_ms: int
) -> list[Proposal]:
    found = pauses(decisions, loud, frame_ms)
    if len(found) < PAUSES_MIN:
        return []
    long = found[min(len(found) - 1, int(0.95 * len(found)))]
    wanted = -(-(long + HANGOVER_STEP_MS) // HANGOVER_STEP_MS) * HANGOVER_STEP_MS
    least = max(HANGOVER_MIN_MS, config.vad.early_commit_ms + HANGOVER_STEP_MS)
    wanted = max(least, min(HANGOVER_MAX_MS, wanted))
    old = config.vad.hangover_ms
    shorter_by_guess = wanted < old and len(found) < PAUSES_TO_SHORTEN
    if abs(wanted - old) < HANGOVER_WORTH_MS or shorter_by_guess:
        return []
    gains = "fewer sentences are cut" if wanted > old else "the text comes sooner"
    why = f"95 % of {len(found)} pauses inside of sentences are at most {long} ms: {gains}"
    return [Proposal("vad.hangover_ms", old, wanted, why)]


def _gain(sound: Sound, config: Config, speech_dbfs: float | None) -> list[Proposal]:
    """Levels are those of the microphone, before `audio.gain_db`."""
    old = config.audio.gain_db
    if speech_dbfs is None or config.audio.auto_gain is not False:
        return []
    peak_dbfs = dbfs((sound.peak / FULL_SCALE) ** 2)
    room = PEAK_WANTED_DBFS - peak_dbfs
    if old > max(room, 0.0):
        new, why = math.floor(max(room, 0.0)), "the loudest sounds are clipped by the gain"
    elif speech_dbfs + old < SPEECH_LOW_DBFS and room - old >= 1:
        new = round(min(SPEECH_WANTED_DBFS - speech_dbfs, room - 0.5, 40.0))
        why = f"speech has only {speech_dbfs + old:.0f} dBFS"
    else:
        return []
    return [Proposal("audio.gain_db", old, float(new), why)] if new != old else []


def _silent(sound: Sound, config: Config) -> list[Proposal]:
    old, is_live = config.audio.silent_s, config.audio.source == "alsa"
    whole_s = len(sound.levels) * sound.frame_ms / 1000
    if not is_live or not old or sound.still_s < old / 2 or sound.still_s >= whole_s - 1:
        return []
    new = float(min(3600, math.ceil(4 * sound.still_s)))
    why = f"it gave digital silence for {sound.still_s:.1f} s and sound again: it gates by itself"
    return [Proposal("audio.silent_s", old, max(new, old), why)] if new > old else []


def _notes(sound: Sound, config: Config, speech_dbfs: float | None) -> list[str]:
    notes = []
    if sound.clipped >= CLIPPED:
        notes.append(
            f"{sound.clipped:.1%} of the samples are clipped: lower the capture volume (alsamixer)"
        )
    floor = sound.floor_dbfs
    if speech_dbfs is not None and floor is not None and speech_dbfs - floor < SNR_LOW_DB + LOUD_DB:
        notes.append(
            f"speech is only {speech_dbfs - floor:.0f} dB above the noise: bring the microphone "
            "nearer, or the noise away"
        )
    if not sound.peak:
        notes.append("nothing but digital silence was heard: it is muted, or nothing is plugged in")
    if config.listen.mode == "on_request":
        notes.append("listen.mode is on_request: the daemon hears this only within a window")
    return notes
