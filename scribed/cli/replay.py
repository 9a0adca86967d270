"""`scribed replay`: a flight recording through the same gate once more, decision by decision."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scribed import parts
from scribed.capture.replaying import replay
from scribed.cli import strips
from scribed.config import Config
from scribed.configfile import parse
from scribed.contradictions import UNFIT
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.model import seconds
from scribed.recording import MAX_BYTES, Decisions, Recording, decode, utterances

_SECTION = "vad"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Runs a recording that the flight recorder made ([recorder], cmd/record) through the gate "
        "that made it, and compares each decision. With --set it shows what other settings would "
        "have decided. Exit status 0: the same byte for byte, or nothing to compare because of "
        "--set; 1: not the same. For other recordings see scribed tune FILE."
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--set",
        dest="changes",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another value for a key of [vad], as vad.hangover_ms=700; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and compare; 0 where it is the same, or was to be another."""
    recording, t = _read(args.file)
    settings = recording.settings | dict(map(_change, args.changes))
    config = _config(settings, recording)
    try:
        found = replay(recording, parts.vad(config)(), parts.gate(config), alike=not args.changes)
    except ValueError as exc:
        raise ScribedError(f"{args.file}: {exc}") from exc
    same = found.text == recording.decisions.text
    said = _said(recording, t, found, same=same)
    if args.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        _print(recording, said, found, changed=bool(args.changes))
    return ExitStatus.OK if same or args.changes else ExitStatus.FAILED


def _read(path: Path) -> tuple[Recording, str]:
    try:
        with path.open("rb") as file:
            found = decode(file.read(MAX_BYTES))
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise ScribedError(f"{path}: {why}") from exc
    if found is None:
        raise ScribedError(
            f"{path}: has no decisions in it: it was not made by the flight recorder; "
            "see what the gate makes of it with scribed tune FILE"
        )
    return found


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key.startswith(f"{_SECTION}."):
        raise ScribedError(f"--set {text}: is to be vad.KEY=VALUE, as vad.hangover_ms=700")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value.strip()


def _config(settings: dict[str, Any], recording: Recording) -> Config:
    """Raises `ScribedError` where a setting is none."""
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    try:
        return parse("\n".join(lines), {}, name="--set")[0]
    except ConfigError as exc:
        words = "; ".join(exc.problems)
        raise ScribedError(f"{words} (recorded by scribed {recording.version})") from exc


def _said(recording: Recording, t: str, found: Decisions, *, same: bool) -> dict[str, Any]:
    return {
        "t": t,
        "audio_ms": round(seconds(len(recording.pcm)) * 1000),
        "trigger": recording.trigger,
        "about": recording.about,
        "device": recording.device,
        "device_rate": recording.device_rate,
        "device_channels": recording.device_channels,
        "version": recording.version,
        "settings": recording.settings,
        "exact": recording.stand is not None,
        "same": same,
        "recorded": _told(recording.decisions, recording.frame_ms),
        "replayed": _told(found, recording.frame_ms),
    }


def _told(decisions: Decisions, frame_ms: int) -> dict[str, Any]:
    return {
        "voices": decisions.voices,
        "gate": decisions.gate,
        "notes": [{"ms": frame * frame_ms, "what": words} for frame, words in decisions.notes],
        "utterances": utterances(decisions, frame_ms),
    }


def _print(recording: Recording, said: dict[str, Any], found: Decisions, *, changed: bool) -> None:
    device = f"{recording.device or 'no device'}, {recording.device_rate} Hz"
    about = f" ({recording.about})" if recording.about else ""
    by = f"recorded by scribed {recording.version} because of: {recording.trigger}{about}"
    for line in (f"{said['audio_ms'] / 1000:.1f} s from {said['t']}: {device}", by):
        print(UNFIT.sub("?", line))  # the file may be anybody's
    print(strips.LEGEND)
    both = [("recorded", recording.decisions)]
    if not said["same"]:
        both.append(("replayed", found))
    for line in strips.rows(recording.pcm, both, recording.frame_ms):
        print(line)
    for name, decisions in both:
        for each in utterances(decisions, recording.frame_ms):
            print(f"{name}: {strips.words(each)}")
    frames = len(recording.decisions.gate)
    if said["same"]:
        print(f"the same, byte for byte: {frames} frames")
        return
    differ = strips.differences(recording.decisions, found)
    at = f", first at {differ[0] * recording.frame_ms / 1000:.2f} s" if differ else ""
    print(f"NOT the same: {len(differ)} of {frames} frames{at}")
    if not changed:
        print(_why(recording))


def _why(recording: Recording) -> str:
    from scribed import __version__  # only for this line

    if recording.stand is None:
        return "it begins in the middle of something: how the gate stood there is not in it"
    if recording.version != __version__:
        return f"it was recorded by scribed {recording.version}, and this is {__version__}"
    return "this is a bug, or another webrtcvad"
