"""A flight recording: what the gate heard, each of its decisions, and how it stood before. Pure.

A file is a WAV that any player takes, with a chunk of its own before the samples:

```
scrd    a line of JSON: format, settings, device, version, trigger, and how the gate stood
        a line with a character for each frame: what the VAD said (`VOICES`)
        another: how the gate stood behind it (`GATE`)
        a line for each note: the number of the frame during or before which it was, and its words
```
Notes are what was done to the gate (`DONE_TO_IT`) and what it did (`IT_DID`).
"""

from __future__ import annotations

import re
import struct
from typing import Any

import msgspec
from msgspec import Struct

from scribed.items import without
from scribed.model import RATE, SAMPLE_BYTES, Command, EndReason, Verdict, pcm_bytes

VERSION = 1
CHUNK = b"scrd"
MAX_BYTES = 64 << 20
"""A longer file is none of ours: two minutes are 4 MB."""

VOICES = "".join(verdict.value for verdict in Verdict)
VOICED = Verdict.VOICED.value
CLOSED, CANDIDATE, OPEN = GATE = ".?="
"""Closed; a candidate, which may become an utterance; an utterance is open."""
DONE_TO_IT = ("lost", "close", "reset", "again")
"""`lost SAMPLES` before the frame, `close REASON` from outside, `reset`: what follows is new,
`again`: it follows after a pause."""
IT_DID = ("open", "end", "pause", "resume")
"""`open FRAMES [continues]`: with so many frames, the pre-roll among them; `end REASON AUDIO_MS
LOST_MS`; `pause` and `resume` as `vad.early_commit_ms` has it."""

Note = tuple[int, str]

_REASON = "|".join(reason.value for reason in EndReason)
_WORDS = re.compile(
    rf"lost -?\d{{1,15}}|close ({_REASON})|reset|again|open \d{{1,9}}( continues)?"
    rf"|end ({_REASON}) \d{{1,9}} \d{{1,9}}|pause|resume"
)
_FRAMES_MS = (10, 20, 30)

_FMT = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * SAMPLE_BYTES, SAMPLE_BYTES, 16)


class GateStand(Struct, frozen=True):
    """How the gate stands between two frames, with no candidate and nothing held back."""

    before: str = ""  #: `VOICES` of the frames that may become pre-roll
    window: int = 0  #: how many of them count for the trigger
    is_open: bool = False
    paused: bool = False
    silence: int = 0  #: frames
    sent: int = 0  #: frames
    sent_voiced: int = 0  #: frames
    lost: int = 0  #: samples


class Stand(Struct, frozen=True):
    """All that the gate's next decisions depend on, but for the sound."""

    vad: bytes  #: what it remembers of the frames before
    gate: GateStand

    __repr__ = without("vad")


class Decisions(Struct, frozen=True):
    """What the gate decided about a stretch of sound; equal where each byte of `text` is."""

    voices: str  #: a character of `VOICES` for each frame
    gate: str  #: one of `GATE` for each frame
    notes: tuple[Note, ...] = ()

    @property
    def text(self) -> str:
        """As it stands in the file."""
        notes = (f"{frame} {words}\n" for frame, words in self.notes)
        return "".join([f"{self.voices}\n{self.gate}\n", *notes])


class Recording(Struct, frozen=True):
    """The last seconds of what the gate heard. `stand` is None where it could not be told: then the
    same decisions cannot be had once more with certainty."""

    pcm: bytes
    decisions: Decisions
    stand: Stand | None
    settings: dict[str, Any]  #: key path → value, of `audio.frame_ms` and all of `[vad]`
    device: str
    device_rate: int | None
    device_channels: int | None
    version: str  #: of scribed
    trigger: str  #: "error" | "false_opening" | "command"
    about: str  #: the alert's code, or the utterance's number
    at: float  #: when its first sample was heard

    __repr__ = without("pcm")

    @property
    def frame_ms(self) -> int:
        return int(self.settings["audio.frame_ms"])


class Record(Struct, frozen=True):
    """Keep what was heard in the last seconds, because of `trigger`; answered when it is kept."""

    trigger: str
    about: str = ""
    command: Command | None = None
    since: float | None = None  #: when what it is about began: of no use without that


class KeepRecording(Struct, frozen=True):
    """For the store: write it; to be followed by one `RecordingKept` to capture."""

    recording: Recording
    command: Command | None = None


class RecordingKept(Struct, frozen=True):
    """The store has done with the last `KeepRecording`, well or not: the next may come."""


class _Head(msgspec.Struct, frozen=True):
    v: int
    version: str
    t: str
    trigger: str
    about: str
    device: str
    device_rate: int | None
    device_channels: int | None
    settings: dict[str, Any]
    stand: Stand | None


def encode(recording: Recording, t: str) -> bytes:
    """The file; `t` is when its first sample was heard, RFC 3339."""
    head = _Head(
        v=VERSION,
        version=recording.version,
        t=t,
        trigger=recording.trigger,
        about=recording.about,
        device=recording.device,
        device_rate=recording.device_rate,
        device_channels=recording.device_channels,
        settings=recording.settings,
        stand=recording.stand,
    )
    own = msgspec.json.encode(head) + b"\n" + recording.decisions.text.encode()
    own += b"\n" * (len(own) % 2)
    chunks = _FMT + CHUNK + struct.pack("<I", len(own)) + own
    chunks += b"data" + struct.pack("<I", len(recording.pcm)) + recording.pcm
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def decode(content: bytes) -> tuple[Recording, str] | None:
    """The recording in a file and its `t`; None: a file that has no decisions in it.

    Raises `ValueError` that says what is wrong with one that has.
    """
    chunks = _chunks(content)
    if CHUNK not in chunks:
        return None
    pcm, form = chunks.get(b"data", b""), chunks.get(b"fmt ", b"")
    if form[:16] != _FMT[8:]:
        raise ValueError("its sound is not what was recorded: it was converted")
    try:
        line, voices, gate, *rest = chunks[CHUNK].decode("ascii").rstrip("\n").split("\n")
        version = msgspec.json.decode(line, type=dict[str, Any]).get("v", 0)
        if isinstance(version, int) and version > VERSION:
            raise ValueError("it was made by a later version of scribed")
        head = msgspec.json.decode(line, type=_Head)
        notes = tuple(map(_note, rest))
        frame_ms = head.settings["audio.frame_ms"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError) as exc:
        raise ValueError(f"its decisions cannot be read: {exc}") from exc
    if frame_ms not in _FRAMES_MS:
        raise ValueError("its decisions cannot be read: audio.frame_ms is 10, 20 or 30")
    fits = len(pcm) == pcm_bytes(frame_ms) * len(voices) and len(voices) == len(gate)
    if not fits or set(voices) - set(VOICES) or set(gate) - set(GATE):
        raise ValueError("its sound and its decisions do not belong together: it was cut")
    if head.stand is not None and not _is_possible(head.stand.gate, voices):
        raise ValueError("its decisions cannot be read: no gate stands like that")
    recording = Recording(
        pcm=pcm,
        decisions=Decisions(voices, gate, notes),
        stand=head.stand,
        settings=head.settings,
        device=head.device,
        device_rate=head.device_rate,
        device_channels=head.device_channels,
        version=head.version,
        trigger=head.trigger,
        about=head.about,
        at=0.0,
    )
    return recording, head.t


def utterances(decisions: Decisions, frame_ms: int) -> list[dict[str, Any]]:
    """Each with its first sample (pre-roll included), its end and why: `start_ms` is None where it
    began before, `end_ms` where it goes on."""
    found: list[dict[str, Any]] = []
    turns = [words for _, words in decisions.notes if words.startswith(("open", "end"))]
    if turns[0].startswith("end") if turns else OPEN in decisions.gate:
        found.append({"start_ms": None, "end_ms": None, "reason": None, "audio_ms": None})
    for frame, words in decisions.notes:
        word, *values = words.split(" ")
        if word == "open":
            start = (frame + 1 - int(values[0])) * frame_ms
            found.append({"start_ms": start, "end_ms": None, "reason": None, "audio_ms": None})
        elif word == "end" and found:
            reason, audio_ms = values[0], int(values[1])
            found[-1] |= {"end_ms": frame * frame_ms, "reason": reason, "audio_ms": audio_ms}
    return found


def _note(line: str) -> Note:
    frame, _, words = line.partition(" ")
    if not re.fullmatch("[0-9]{1,9}", frame) or not _WORDS.fullmatch(words):
        raise ValueError(f"its decisions cannot be read: {line!r:.60} is no note")
    return int(frame), words


def _is_possible(gate: GateStand, voices: str) -> bool:
    counts = (gate.silence, gate.sent, gate.sent_voiced, gate.lost)
    return (
        voices.startswith(gate.before)
        and 0 <= gate.window <= len(gate.before)
        and all(0 <= count < 1 << 53 for count in counts)
    )


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """The first chunk of each name."""
    found: dict[bytes, bytes] = {}
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return found
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        found.setdefault(name, content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found
