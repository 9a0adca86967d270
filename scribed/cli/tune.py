"""`scribed tune`: what the gate decides, live or in a recording, and settings for this room."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import msgspec

from scribed import parts
from scribed.capture.replaying import Notebook, new_ear
from scribed.changes import with_values
from scribed.cli import instances, loading, strips
from scribed.config import Audio, Config
from scribed.configedit import with_values as edited
from scribed.errors import ConfigError, ExitStatus, ScribedError, SourceError
from scribed.interfaces import EndOfInput, Source
from scribed.model import RATE, SAMPLE_BYTES, Block, seconds
from scribed.recording import Decisions, utterances
from scribed.service.names import instance_of
from scribed.service.rewriting import rewrite
from scribed.tuning import Advice, Sound, advise

MAX_S = 600
"""So much is kept for the proposals: 19 MB."""
QUIET_S = 5.0
LOOK_S = 0.05
BAR = 20
SHOWN_FRAMES = 48


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Shows each decision of the gate with the level, live on the configured source or for a "
        "recording, and proposes settings for this room: it lets the same sound through the same "
        "gate with others. Live: be quiet for the first seconds, then speak as you will; Ctrl-C "
        "ends it. A microphone that the daemon has open is not taken from it."
    )
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="a recording")
    loading.add_config_option(parser)
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=MAX_S,
        metavar="N",
        help=f"hear so much at most, 1 to {MAX_S} (default: {MAX_S})",
    )
    parser.add_argument(
        "--quiet",
        type=_seconds,
        metavar="N",
        help=f"nobody speaks in the first N seconds (default: {QUIET_S:g} live, else 0)",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write what is proposed into the configuration; comments and all else stay",
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hear, show, propose, and write where that is asked for."""
    environ = dict(os.environ)
    loaded = _load(args, environ)
    config = loaded.config
    live = args.file is None
    audio = config.audio if live else _recording(config.audio, args.file)
    if live:
        _ask_the_daemon(instance_of(loaded.path))
    quiet_s = args.quiet if args.quiet is not None else QUIET_S if live else 0.0
    source = parts.source(audio)()
    shown = None if args.json else Strip(audio.frame_ms, tty=sys.stdout.isatty())
    if live and shown:
        print(
            f"{source.device.name}: be quiet for {quiet_s:g} s, then speak as you will; "
            f"Ctrl-C ends it\n{strips.LEGEND}",
            flush=True,
        )
    try:
        pcm = _listen(source, config, args.seconds, shown)
    finally:
        source.close()
    if not pcm:
        raise ScribedError("nothing was heard")

    def hear(values: Mapping[str, Any]) -> Decisions:
        notebook = Notebook()
        _hear(with_values(config, values), notebook)(Block(pcm, 0, 0.0))
        return notebook.decisions

    advice = advise(_measured(pcm, audio.frame_ms, quiet_s), config, hear)
    if args.json:
        print(json.dumps(_told(advice, hear({}), audio.frame_ms, pcm), indent=2))
    else:
        _print(advice)
    if advice.proposals and args.write:
        _write(loaded, advice, environ, sys.stderr if args.json else sys.stdout)
    elif advice.proposals and not args.json:
        print("--write writes this into the configuration")
    return ExitStatus.OK


def _load(args: argparse.Namespace, environ: Mapping[str, str]) -> loading.Loaded:
    """The configuration; for a recording the defaults do where there is none."""
    try:
        path = loading.config_path(args.config, environ)
    except ConfigError:
        if args.file is None or args.write:
            raise
        return loading.read(Path(os.devnull), "", environ)
    return loading.load(path, environ)


def _recording(audio: Audio, path: Path) -> Audio:
    return msgspec.structs.replace(
        audio, source="file", path=str(path), pace="fast", rate=0, channels=0
    )


def _ask_the_daemon(instance: str) -> None:
    """Where it is muted nothing is heard here, either. Raises `ScribedError`."""
    try:
        said = instances.ask(instance, "state", {})
    except ScribedError:  # none runs, or it is another user's
        return
    if said.get("mute_reasons"):
        raise ScribedError("scribed is muted on this machine: scribed mute off, and try again")


def _hear(config: Config, notebook: Notebook) -> Callable[[Block], object]:
    ear = new_ear(
        parts.vad(config)(), parts.gate(config), notebook, parts.conditioner(config.audio)
    )
    return ear.hear


def _listen(source: Source, config: Config, most_s: float, shown: Strip | None) -> bytes:
    """Hear until the end, Ctrl-C or so many seconds."""
    notebook = Notebook()
    hear, heard = _hear(config, notebook), bytearray()
    most = round(most_s * RATE) * SAMPLE_BYTES
    heard_at, stall_s = time.monotonic(), parts.stall_s(config.audio)
    try:
        while len(heard) < most:
            block = source.read()
            if block is None:
                _wait(source, time.monotonic() - heard_at, stall_s)
                continue
            heard_at = time.monotonic()
            before = notebook.pieces
            hear(block)
            heard += block.pcm
            if shown:
                shown.add(block.pcm, notebook.since(before))
    except (EndOfInput, KeyboardInterrupt):
        pass
    except SourceError as exc:
        if not heard:
            raise
        print(f"\n{exc}", file=sys.stderr)
    if shown:
        shown.end()
    return bytes(heard)


def _wait(source: Source, silent_s: float, stall_s: float) -> None:
    """For more; raises `SourceError` where a microphone has given nothing for too long."""
    if source.live and silent_s > stall_s:
        raise SourceError(f"{source.device.name}: no frames for {stall_s} s")
    time.sleep(LOOK_S)


class Strip:
    """Shows decisions as they come: one line that changes on a terminal, else one a second."""

    def __init__(self, frame_ms: int, *, tty: bool) -> None:
        self._frame_ms, self._tty = frame_ms, tty
        self._glyphs, self._pcm, self._frames = "", b"", 0

    def add(self, pcm: bytes, decisions: Decisions) -> None:
        self._glyphs += strips.glyphs(decisions)
        self._pcm += pcm
        if self._tty:
            level = max(strips.levels(pcm[-3200:], self._frame_ms))
            self._glyphs = self._glyphs[-SHOWN_FRAMES:]
            self._pcm = b""
            line = f"\r{level:6.1f} dBFS {strips.bar(level, BAR)} {self._glyphs:>{SHOWN_FRAMES}}"
            print(line, end="", flush=True)
            return
        while len(self._glyphs) >= strips.ROW_FRAMES:
            self._row()

    def end(self) -> None:
        if self._tty:
            print()
        elif self._glyphs:
            self._row()

    def _row(self) -> None:
        count = strips.ROW_FRAMES
        size = RATE * self._frame_ms // 1000 * SAMPLE_BYTES * count
        levels = strips.levels(self._pcm[:size], self._frame_ms)
        blocks = "".join(map(strips.block, levels))
        at_s = self._frames * self._frame_ms / 1000
        print(f"{at_s:8.2f} s {max(levels):6.1f} dBFS  {blocks}\n{'':25}{self._glyphs[:count]}")
        self._frames += len(levels)
        self._glyphs, self._pcm = self._glyphs[count:], self._pcm[size:]


def _measured(pcm: bytes, frame_ms: int, quiet_s: float) -> Sound:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    low, high = min(samples), max(samples)
    clipped = samples.count(32767) + samples.count(-32768)
    levels = strips.levels(pcm, frame_ms)
    still = longest = 0
    size = len(pcm) // len(levels)
    for start in range(0, len(pcm), size):
        frame = pcm[start : start + size]
        still = still + 1 if not any(frame) else 0
        longest = max(longest, still)
    return Sound(
        frame_ms=frame_ms,
        levels=levels,
        peak=min(32768, max(-low, high)),
        clipped=clipped / len(samples),
        still_s=longest * frame_ms / 1000,
        quiet_s=quiet_s,
    )


def _told(advice: Advice, decisions: Decisions, frame_ms: int, pcm: bytes) -> dict[str, Any]:
    said = asdict(advice)
    return {
        "audio_ms": round(seconds(len(pcm)) * 1000),
        **said,
        "snr_db": advice.snr_db,
        "utterances": utterances(decisions, frame_ms),
        "voices": decisions.voices,
        "gate": decisions.gate,
    }


def _print(advice: Advice) -> None:
    figures = [
        f"noise {advice.floor_dbfs:.0f} dBFS" if advice.floor_dbfs is not None else "",
        f"speech {advice.speech_dbfs:.0f} dBFS" if advice.speech_dbfs is not None else "no speech",
        f"{advice.snr_db:.0f} dB apart" if advice.snr_db is not None else "",
    ]
    print(", ".join(filter(None, figures)))
    now = advice.now
    print(
        f"{now.openings} utterances, {now.false} of them opened by noise; "
        f"{now.heard:.1%} of {advice.speech_ms / 1000:.1f} s of speech heard"
    )
    for note in advice.notes:
        print(f"note: {note}")
    for each in advice.proposals:
        print(f"{each.key} = {each.new}  # instead of {each.old}: {each.why}")
    if not advice.proposals:
        print("nothing to change")


def _new_text(loaded: loading.Loaded, advice: Advice) -> str:
    """Raises `ScribedError` where the file cannot be changed by a program."""
    try:
        return edited(loaded.text, {each.key: each.new for each in advice.proposals})
    except ValueError as exc:
        raise ScribedError(f"{loaded.path}: {exc}") from exc


def _write(loaded: loading.Loaded, advice: Advice, environ: Mapping[str, str], out: TextIO) -> None:
    """Raises `ScribedError`, and has written nothing then."""
    path, new_text = loaded.path, _new_text(loaded, advice)
    for each in advice.proposals:
        if (origin := loaded.origins.get(each.key, "file")) != "file":
            print(f"warning: {each.key}: {origin} stands over the file", file=sys.stderr)
    loading.read(path, new_text, environ)  # what is written passes the check
    before, after = loaded.text.splitlines(), new_text.splitlines()
    diff = difflib.unified_diff(before, after, str(path), f"{path} (new)", lineterm="", n=1)
    print("\n".join(diff), file=out)
    rewrite(path, loaded.text, new_text)
    print(f"{path} is written; a running daemon takes it at a reload", file=sys.stderr)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_S:
        raise argparse.ArgumentTypeError(f"0 to {MAX_S} seconds")
    return value
