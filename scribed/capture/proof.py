"""Proof of hearing: whether what a microphone gives can be sound at all. Pure.

Digital silence and a stuck value are looked for in every sample; peak, clipping and DC offset in
one sample in four of one frame in five, as the levels are. That costs 30 to 40 microseconds per
second of sound (x86, 2.6 GHz; 90 where it clips), a fourth of what capture computes. Time is that
of the sound: nothing here has a clock.

A fault is raised and cleared with hysteresis, and stands until sound disproves it.
"""

from __future__ import annotations

import enum
import math
import sys
from array import array
from typing import NamedTuple

from scribed.capture.levels import FULL_SCALE, METER_EVERY_SAMPLES, SILENCE_DBFS
from scribed.model import RATE, SAMPLE_BYTES

RECOVERED_S = 1.0
"""So much sound, in pieces too, disproves that a microphone is dead or deaf."""
DEAF_S = 600.0
"""So long nothing but the converter's own noise: in any room somebody walks or a fan starts."""
DEAF_STEPS, HEARS_STEPS = 4, 8
"""From the lowest to the highest sample of a frame. Noise of half a step (-96 dBFS, an input that
is grounded) spans 3; a room at -80 dBFS spans 16."""
WINDOW_S = 5.0
"""Clipping and DC offset are judged by windows; two in a row raise them, two clear them."""
IN_A_ROW = 2
CLIPPING, CLIPPING_OVER = 0.005, 0.0005
"""Shares of a window's samples at full scale. Speech that is clipped in 0.5 % has lost the tops of
most vowels."""
CLIPPED_S = 0.5
"""So much of a window has clipped samples in it: a slammed door is over sooner."""
LOUD, VOICE_S = FULL_SCALE // 2, 1.0
"""A window without such a peak, nor so much voice, says nothing about clipping."""
OFFSET, OFFSET_OVER = 0.1, 0.05
"""Mean over full scale. Sound adapters have up to 0.01; 0.1 takes 1 dB of headroom."""

_CLIPPED = (FULL_SCALE - 1, -FULL_SCALE, 1 - FULL_SCALE)
_CHECK_VOLUME = "the capture volume (alsamixer, F4)"


class Kind(enum.Enum):
    """What can be wrong with what a microphone gives, the worst first."""

    DEAD = "dead"  # digital silence, or a stuck value
    DEAF = "deaf"  # nothing above the converter's own noise
    CLIPPING = "clipping"
    OFFSET = "offset"


class Fault(NamedTuple):
    """One of these, with the evidence as it was when it was found."""

    kind: Kind
    evidence: str


REMEDIES = {
    Kind.DEAD: (
        f"look for a mute switch, a loose cable, {_CHECK_VOLUME}; plug it in again. A microphone "
        "that gates digitally by itself wants a larger audio.silent_s"
    ),
    Kind.DEAF: f"raise {_CHECK_VOLUME}; check that audio.device and audio.channel are its own",
    Kind.CLIPPING: f"lower {_CHECK_VOLUME}, or switch off its boost",
    Kind.OFFSET: "try another adapter: this one's converter, or the power for the microphone, is "
    "wrong",
}


class Sound(NamedTuple):
    """What was measured; `peak_dbfs`, `clipped` and `dc` of the last `WINDOW_S`, None before."""

    peak_dbfs: float | None = None
    clipped: float | None = None  #: share of the samples at full scale
    dc: float | None = None  #: mean over full scale, -1 to 1
    still_s: float = 0.0  #: for how long each sample has been the same
    still_at: int = 0  #: which: 0 is digital silence
    fault: Fault | None = None

    @property
    def is_dead(self) -> bool:
        """Whether it is certain that nothing is heard."""
        return self.fault is not None and self.fault.kind is Kind.DEAD


class Proof:
    """Measures all that is heard and judges it.

    `silent_s`: digital silence for so long is a dead microphone; 0: neither that nor what is nearly
    it is a fault; None: measure only, nothing is one (a file may be silent, and loud).
    `believes_vad`: where there is a voice it is not deaf, however faint; not where what the VAD was
    asked about had been made louder: a converter's own noise may then pass for one.
    """

    def __init__(self, silent_s: float | None, *, believes_vad: bool = True) -> None:
        self.retune(silent_s, believes_vad=believes_vad)
        self.forget()

    def retune(self, silent_s: float | None, *, believes_vad: bool) -> None:
        """Judge by other settings from now on; what is known stands."""
        self._believes_vad = believes_vad
        self._judges, self._silent_s = silent_s is not None, silent_s or math.inf
        self._deaf_s = max(DEAF_S, 2 * self._silent_s)

    def forget(self) -> None:
        """The source is gone: the next one may be another."""
        self._dead: Fault | None = None
        self._deaf: Fault | None = None
        self._clipping, self._offset = _Latch(), _Latch()
        self._peak_dbfs: float | None = None
        self._clipped: float | None = None
        self._dc: float | None = None
        self.anew()

    def anew(self) -> None:
        """What comes next does not follow what was heard before; what is wrong with it stands."""
        self._still, self._still_at = 0, 0  # samples
        self._sounds = self._faint = self._audible = 0  # samples
        self._window = _Window()

    @property
    def sound(self) -> Sound:
        """The figures, and `fault`."""
        return Sound(
            peak_dbfs=self._peak_dbfs,
            clipped=self._clipped,
            dc=self._dc,
            still_s=self._still / RATE,
            still_at=self._still_at,
            fault=self.fault,
        )

    @property
    def fault(self) -> Fault | None:
        """The worst that is true."""
        return self._dead or self._deaf or self._clipping.fault or self._offset.fault

    def part(self, pcm: bytes) -> None:
        """Look for digital silence in `pcm`: every sample of what is heard comes by here."""
        samples = len(pcm) // SAMPLE_BYTES
        first = pcm[:SAMPLE_BYTES]
        if samples and pcm == first * samples:
            value = int.from_bytes(first, "little", signed=True)
            self._still = samples + (self._still if value == self._still_at else 0)
            self._still_at = value
            if self._judges and self._still >= self._silent_s * RATE:
                self._sounds = 0
                self._dead = self._dead or Fault(Kind.DEAD, still(self._still / RATE, value))
                self._deaf, self._faint = None, 0
        else:
            self._still = 0
            self._sounds += samples
            if self._sounds >= RECOVERED_S * RATE:
                self._dead = None
        self._window.samples += samples
        if self._window.samples >= WINDOW_S * RATE:
            self._look_at(self._window)
            self._window = _Window()

    def frame(self, pcm: bytes, *, voiced: bool, stands_for: int) -> None:
        """Measure one of the frames; it stands for so many samples with those left out."""
        samples = array("h", pcm)[::METER_EVERY_SAMPLES]
        if sys.byteorder == "big":
            samples.byteswap()
        if not samples:
            return
        low, high = min(samples), max(samples)
        self._window.add(samples, low, high, voiced=voiced)
        span = high - low
        proven = voiced and self._believes_vad
        if span <= DEAF_STEPS and not proven:
            self._faint += 0 if self._dead else stands_for
            if self._judges and self._faint >= self._deaf_s * RATE:
                self._audible = 0
                self._deaf = self._deaf or Fault(Kind.DEAF, _deaf(self._faint / RATE))
        else:
            self._faint = 0
            self._audible += stands_for if span > HEARS_STEPS else 0
            if proven or self._audible >= RECOVERED_S * RATE:
                self._deaf = None

    def _look_at(self, window: _Window) -> None:
        if not window.measured:
            return
        clipped, dc = window.clipped / window.measured, window.total / window.measured / FULL_SCALE
        loudest = max(abs(window.low), abs(window.high))
        self._peak_dbfs = max(20 * math.log10(max(loudest, 1) / FULL_SCALE), SILENCE_DBFS)
        self._clipped, self._dc = clipped, dc
        if not self._judges or 2 * window.still > window.measured:  # else there is no sound in it
            return
        if loudest >= LOUD or window.voiced * WINDOW_S >= VOICE_S * window.measured:
            evidence = f"{clipped:.1%} of the samples are clipped"
            fault = Fault(Kind.CLIPPING, evidence)
            long = window.clipped_in * WINDOW_S >= CLIPPED_S * window.measured
            bad = clipped >= CLIPPING and long
            self._clipping.look(fault, bad=bad, good=clipped < CLIPPING_OVER)
        evidence = f"a DC offset of {abs(dc):.0%} of full scale"
        fault = Fault(Kind.OFFSET, evidence)
        self._offset.look(fault, bad=abs(dc) >= OFFSET, good=abs(dc) < OFFSET_OVER)


class _Window:
    """What was measured since the last one; in samples."""

    def __init__(self) -> None:
        self.samples = 0  #: that came by
        self.measured = self.voiced = self.still = 0
        self.clipped = self.clipped_in = 0  #: at full scale; in frames with such samples
        self.low, self.high, self.total = 0, 0, 0

    def add(self, samples: array[int], low: int, high: int, *, voiced: bool) -> None:
        count = len(samples)
        self.measured += count
        self.voiced += count if voiced else 0
        self.still += count if low == high else 0
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += sum(samples)
        if high >= FULL_SCALE - 1 or low <= 1 - FULL_SCALE:
            self.clipped_in += count
            self.clipped += sum(samples.count(value) for value in _CLIPPED)


class _Latch:
    """A fault that so many bad windows in a row raise, and as many good ones clear."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._against = 0  # windows in a row that speak against what is thought

    def look(self, fault: Fault, *, bad: bool, good: bool) -> None:
        self._against = self._against + 1 if (good if self.fault else bad) else 0
        if self._against == IN_A_ROW:
            self.fault = None if self.fault else fault
            self._against = 0


def still(seconds: float, value: int) -> str:
    """Digital silence, or a stuck value, in words."""
    what = f"a stuck value ({value})" if value else "digital silence"
    return f"{what} for {seconds:.0f} s"


def _deaf(seconds: float) -> str:
    return f"nothing above the converter's own noise for {seconds / 60:.0f} min"
