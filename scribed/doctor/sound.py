"""The microphone and the gate: what was heard, and what that means. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scribed.capture.levels import SILENCE_DBFS
from scribed.capture.proof import REMEDIES, Kind
from scribed.doctor.finding import Finding, failed, ok, told, unknown, warning

MICROPHONE, GATE = "microphone", "gate"
FAINT_DBFS = -80.0
"""A quiet room through a working microphone is 20 dB louder."""
LOUD_DBFS = -3.0
"""A frame of so much power has its tops cut off."""
SLACK_S = 1.0
"""So much of the voice may be missing at either end: `vad.start_ms` and its window are shorter."""
_HELD = "is in use by"


@dataclass(frozen=True, slots=True)
class Listened:
    """What the device gave within `seconds`; levels are None where nothing came."""

    name: str
    rate: int | None
    channels: int | None
    seconds: float
    quiet_dbfs: float | None
    peak_dbfs: float | None
    speech_ms: int


def of_device(heard: Listened) -> Finding:
    """It could be opened."""
    where = f"{heard.name}, {heard.rate} Hz, {heard.channels} ch"
    if heard.peak_dbfs is None or heard.quiet_dbfs is None:
        text = f"{where}: opens, and gave nothing for {heard.seconds:g} s"
        return failed(MICROPHONE, text, "plug it in again; see dmesg")
    if heard.peak_dbfs <= SILENCE_DBFS:
        text = f"{where}: digital silence for {heard.seconds:g} s"
        return failed(MICROPHONE, text, REMEDIES[Kind.DEAD])
    level = f"{where}: {heard.quiet_dbfs:.0f} dBFS, at most {heard.peak_dbfs:.0f}"
    if heard.peak_dbfs < FAINT_DBFS:
        return warning(MICROPHONE, f"{level}: hardly anything", REMEDIES[Kind.DEAF])
    if heard.peak_dbfs > LOUD_DBFS:
        return warning(MICROPHONE, f"{level}: as loud as it can be", REMEDIES[Kind.CLIPPING])
    voice = f", {heard.speech_ms} ms of speech" if heard.speech_ms else ", nobody speaks"
    return ok(MICROPHONE, level + voice)


def of_refusal(line: str, *, daemon_runs: bool) -> Finding:
    """It could not be opened; `line` is what the daemon would say."""
    if _HELD in line and daemon_runs:
        text = "it is in use, by the daemon that runs; its level is for those who may ask it"
        return ok(MICROPHONE, text)
    return told(MICROPHONE, "failed", line, "scribed devices lists what there is")


def of_daemon(state: Mapping[str, Any]) -> Finding:
    """The running daemon has it, and says how it is (`stt.state/1`)."""
    reason, device = str(state.get("hearing_reason")), state.get("device") or {}
    who = f"the daemon, {device.get('name') or 'no device'}"
    if state.get("hearing") is True:
        return ok(MICROPHONE, f"{who}: {state.get('heard') or 'hears'}")
    if reason in ("robot_speaking", "not_listening"):
        return ok(MICROPHONE, f"{who}: does not listen just now ({reason})")
    if reason == "muted":
        by = ", ".join(state.get("mute_reasons") or ())
        return warning(MICROPHONE, f"{who}: muted ({by})", "scribed mute off, or cmd/mute")
    if reason == "starting":
        return unknown(MICROPHONE, f"{who}: has just started", "ask again in a moment")
    remedy = "scribed devices lists what there is; the journal has its words"
    return failed(MICROPHONE, f"{who}: DOES NOT HEAR ({reason})", remedy)


def of_gate(cut: Sequence[tuple[float, float]], voice: tuple[float, float]) -> Finding:
    """The utterances that the gate cut from a voice that stood in silence; all in seconds."""
    cut = [span for span in cut if span[1] > voice[0]]  # a detector takes the first noise for one
    defaults = "compare [vad] with its defaults (scribed check --show)"
    if not cut:
        return failed(GATE, f"[vad] takes {_length(voice):.1f} s of voice for none", defaults)
    if len(cut) > 1:
        text = f"[vad] cuts one steady voice into {len(cut)} utterances"
        return warning(GATE, text, defaults)
    if cut[0][0] > voice[0] + SLACK_S or cut[0][1] < voice[1] - SLACK_S:
        text = f"[vad] keeps {_length(cut[0]):.1f} s of {_length(voice):.1f} s of voice"
        return failed(GATE, text, defaults)
    return ok(GATE, f"{_length(voice):.1f} s of voice are one utterance of {_length(cut[0]):.1f} s")


def not_tried(source: str) -> Finding:
    """What is no microphone is not opened: a pipe or a camera may have one reader only."""
    return unknown(MICROPHONE, f'audio.source = "{source}" is not opened by an examination')


def _length(span: tuple[float, float]) -> float:
    return span[1] - span[0]
