"""`scribed devices`: the microphones, and which one you speak into."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scribed.capture.sources.alsa import ROOT, AlsaSource, native, sound_cards
from scribed.capture.sources.cards import Card
from scribed.capture.sources.devices import others
from scribed.capture.sources.finding import Finding, Heard
from scribed.capture.sources.hung import not_for_ever
from scribed.capture.sources.listing import Listed, survey
from scribed.capture.vad import WebRtcVad
from scribed.config import Audio, Vad
from scribed.errors import ExitStatus, SourceError
from scribed.model import pcm_bytes

FIND_S = 10
"""Time to read the line and say something."""
FIND_MIN_S, FIND_MAX_S = 2, 120
LOOK_S = 0.05
FRAME_MS = Audio().frame_ms


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Lists the capture devices with the name to write into audio.device, which means the same "
        "microphone after a reboot, what each has natively, and who has it open (all users' "
        "programs only as root). Each is opened for a moment. Exit status 1: there is none, or "
        "--find has found none."
    )
    parser.add_argument(
        "--find",
        action="store_true",
        help="listen on all of them, and name the one you speak into",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=FIND_S,
        metavar="N",
        help=f"how long --find listens at most, {FIND_MIN_S} to {FIND_MAX_S} (default: {FIND_S})",
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List or find; 0 where there is one."""
    if args.find:
        return find(args.seconds, as_json=args.json)
    return show(as_json=args.json)


def show(root: Path = ROOT, *, as_json: bool) -> int:
    """List what there is; 0 where that is anything."""
    cards, hints = look(root)
    found, pcms = survey(root, cards, native), others(hints)
    if as_json:
        told = {"devices": [each.as_dict() for each in found], "pcms": pcms}
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for each in found:
            print("\n".join(_described(each)))
        if pcms:
            print(f"asound.conf also defines: {', '.join(pcms)}")
    if found:
        return ExitStatus.OK
    deaf = ", ".join(card.name or card.id for card in cards)
    print(
        "no capture card: plug in a microphone" + (f" ({deaf}: only to play)" if deaf else ""),
        file=sys.stderr,
    )
    return ExitStatus.FAILED


def find(seconds: int, root: Path = ROOT, *, as_json: bool) -> int:
    """Listen on all cards, for at most so many seconds; 0 where one was spoken into."""
    found = survey(root, look(root)[0], native)
    microphones = open_all(found, root)
    if not microphones:
        raise SourceError("there is no microphone to listen on; see scribed devices")
    print(
        f"listening for {seconds} s at most on {len(microphones)} of {len(found)}; "
        "speak into the one you want",
        file=sys.stderr,
        flush=True,
    )
    try:
        finding = listen(microphones, seconds)
    finally:
        for source in microphones.values():
            source.close()
    nearest = finding.nearest()
    heard = {name: finding.heard(name) for name in microphones}
    if as_json:
        print(json.dumps({"found": nearest, "heard": _figures(heard)}, indent=2))
    else:
        tell(nearest, heard)
    return ExitStatus.FAILED if nearest is None else ExitStatus.OK


def look(root: Path = ROOT) -> tuple[list[Card], list[str]]:
    """The cards, and libasound's hints."""
    with not_for_ever("auto"):
        return sound_cards(root)


def open_all(found: Sequence[Listed], root: Path = ROOT) -> dict[str, AlsaSource]:
    """Those that can be listened on, by their names."""
    microphones: dict[str, AlsaSource] = {}
    for each in found:
        try:
            microphones[each.name] = AlsaSource(Audio(device=f"card:{each.card}"), root)
        except SourceError as exc:
            print(f"not listening on {each.name}: {exc}", file=sys.stderr)
    return microphones


def listen(microphones: dict[str, AlsaSource], seconds: int) -> Finding:
    """Hear all of them until one has heard enough, or the time is over."""
    finding = Finding(list(microphones), FRAME_MS)
    vads = {name: WebRtcVad(Vad().aggressiveness) for name in microphones}
    frame_bytes, deadline = pcm_bytes(FRAME_MS), time.monotonic() + seconds
    lost: set[str] = set()
    while time.monotonic() < deadline and not finding.decided() and len(lost) < len(microphones):
        time.sleep(LOOK_S)
        for name, source in microphones.items():
            if name in lost:
                continue
            try:
                block = source.read()
            except SourceError as exc:
                print(exc, file=sys.stderr)
                lost.add(name)
                continue
            pcm = block.pcm if block else b""
            for start in range(0, len(pcm), frame_bytes):
                frame = pcm[start : start + frame_bytes]
                finding.hear(name, frame, voiced=vads[name](frame))
    return finding


def _described(listed: Listed) -> list[str]:
    facts = []
    if has := listed.native:
        facts += [
            f"{', '.join(map(str, has.rates))} Hz",
            f"channels: {', '.join(map(str, has.channels))}",
            ", ".join(has.formats),
        ]
    if listed.in_use:
        by = ", ".join(map(str, listed.in_use_by))
        facts.append(f"in use by {by}" if by else "in use by another program")
    elif listed.problem:
        facts.append(f"cannot be opened: {listed.problem}")
    else:
        facts.append("free")
    lines = [f'audio.device = "{listed.name}"', f"    {listed.description}; {'; '.join(facts)}"]
    if listed.also:
        lines.append(f"    also: {', '.join(listed.also)}")
    if listed.more:
        lines.append(f"    further capture devices: {', '.join(listed.more)}")
    return lines


def tell(nearest: str | None, heard: dict[str, Heard]) -> None:
    """Print what each heard, and which was spoken into."""
    for name, each in heard.items():
        if each.is_dead:
            words = "nothing but digital silence: muted, or nothing is plugged into it"
        elif each.speech_dbfs is None:
            words = f"no speech, {each.quiet_dbfs:.0f} dBFS"
        else:
            words = f"{each.speech_dbfs:.0f} dBFS of speech over {each.quiet_dbfs:.0f} dBFS"
        print(f"    {name}: {words}")
    if nearest is None:
        print("nobody was heard; speak louder or nearer, or give --seconds more", file=sys.stderr)
    else:
        print(f'audio.device = "{nearest}"')


def _figures(heard: dict[str, Heard]) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "speech_ms": each.speech_ms,
            "speech_dbfs": each.speech_dbfs and round(each.speech_dbfs, 1),
            "quiet_dbfs": each.quiet_dbfs and round(each.quiet_dbfs, 1),
            "digital_silence": each.is_dead,
        }
        for name, each in heard.items()
    ]


def _seconds(text: str) -> int:
    if not text.isdecimal() or not FIND_MIN_S <= int(text) <= FIND_MAX_S:
        raise argparse.ArgumentTypeError(f"{FIND_MIN_S} to {FIND_MAX_S} seconds")
    return int(text)
