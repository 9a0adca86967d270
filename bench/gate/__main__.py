"""Runs the gate, and others, on speech in noise whose truth is known by construction.

Prints Markdown tables. The engines of others are installed when they are first asked
for (`bench/peers/installed.py`); what does not install is told.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.gate import figures, picture, words
from bench.gate.engines import ENGINES
from bench.gate.peers import ROOT, SLOW, Heard, hear
from bench.gate.rooms import NOISES, SNRS_DB, Room, Voices, rooms

AUDIO = ROOT.parent / "shared" / "audio"
GATED = ("webrtc", "two_stage, floor", "two_stage, floor + Silero")


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench gate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each room (default: 300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", action="append", choices=ENGINES, help="default: all")
    parser.add_argument("--noise", action="append", choices=NOISES, help="default: all")
    parser.add_argument("--no-words", action="store_true", help="without the word error rates")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the figures too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    voices = Voices(AUDIO)
    places = rooms(voices, args.seconds, args.seed, args.noise or NOISES)
    heard = listen(places, args.engine or list(ENGINES))
    measured: picture.Measured = {
        each.engine: {
            (room.noise, room.snr_db): figures.figures(each.engine, room, says, cpu_s)
            for room, says, cpu_s in zip(places, each.says, each.cpu_s, strict=False)
        }
        for each in heard
        if not each.absent
    }
    spoken = {} if args.no_words or not voices.recorded else words.spoken_words(AUDIO)
    rates = words.word_errors(voices, spoken, GATED, args.seed) if spoken else {}
    if args.picture:
        picture.draw({name: each for name, each in measured.items() if name != SLOW}, args.picture)
    if args.json:
        print(json.dumps(_as_json(heard, measured, rates)))
    else:
        print("\n".join(_tables(places, heard, measured, rates)))


def listen(places: Sequence[Room], names: Sequence[str]) -> list[Heard]:
    """Let all of them hear all of it, one after the other: CPU is measured."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for n, room in enumerate(places):
            paths.append(Path(directory) / f"{n}.pcm")
            paths[-1].write_bytes(room.pcm)
        heard = []
        for name in names:
            print(f"{name} listens", file=sys.stderr)
            heard.append(hear(name, paths))
    return heard


def _as_json(
    heard: list[Heard], measured: picture.Measured, rates: dict[str, dict[int, float]]
) -> dict[str, object]:
    return {
        "engines": {
            each.engine: {"absent": each.absent}
            if each.absent
            else {
                "version": each.version,
                "loading_ms": round(each.loading_ms),
                "memory_mb": round(each.memory_mb, 1),
            }
            for each in heard
        },
        "rooms": {
            engine: {f"{noise} {snr} dB": each.rounded() for (noise, snr), each in by_room.items()}
            for engine, by_room in measured.items()
        },
        "word_error_rates": rates,
    }


def _tables(
    places: Sequence[Room],
    heard: list[Heard],
    measured: picture.Measured,
    rates: dict[str, dict[int, float]],
) -> list[str]:
    share = sum(room.speech.mean() for room in places) / len(places)
    lines = [
        f"{len(places)} rooms of {places[0].seconds:.0f} s with {len(places[0].utterances)} "
        f"utterances each, {share:.0%} of it speech; Python {platform.python_version()}, "
        f"{platform.machine()}",
        "",
        *_row("engine", "package", "to load (ms)", "MB", "CPU-s/h, mean"),
    ]
    for each in heard:
        if each.absent:
            lines += _row(each.engine, f"not here: {each.absent}", "", "", "")[:1]
            continue
        cpus = [room.cpu_s_per_h for room in measured[each.engine].values()]
        cpu, loading = sum(cpus) / len(cpus), f"{each.loading_ms:.0f}"
        lines += _row(each.engine, each.version, loading, f"{each.memory_mb:.1f}", f"{cpu:.1f}")[:1]
    for noise in dict.fromkeys(room.noise for room in places):
        lines += ["", f"### {noise}", "", *_room_header()]
        for snr_db in SNRS_DB:
            for engine, by_room in measured.items():
                if (noise, snr_db) in by_room:
                    lines += _room(engine, snr_db, by_room[noise, snr_db])
    if rates:
        lines += ["", "### Words", ""]
        lines += _row("word error rate (%)", *(f"{snr_db} dB" for snr_db in words.SNRS_DB))
        for name, by_snr in rates.items():
            lines += _row(name, *(f"{rate:.1f}" for rate in by_snr.values()))[:1]
    return lines


def _room_header() -> list[str]:
    return _row(
        "SNR",
        "engine",
        "TPR / FPR (%)",
        "speech delivered (%)",
        "onset / end missed (ms)",
        "false openings per h",
        "sent (%)",
        "MB/h",
        "CPU-s/h",
    )


def _room(engine: str, snr_db: int, each: figures.Figures) -> list[str]:
    return _row(
        f"{snr_db} dB",
        engine,
        f"{100 * each.tpr:.1f} / {100 * each.fpr:.1f}",
        f"{100 * each.delivered:.2f}",
        f"{each.onset_ms:.0f} / {each.end_ms:.0f}",
        f"{each.false_per_h:.0f}",
        f"{100 * each.sent:.0f}",
        f"{each.mb_per_h:.0f}",
        f"{each.cpu_s_per_h:.1f}",
    )[:1]


def _row(*cells: str) -> list[str]:
    """A row of a table, and the rule that stands below it where it is the first."""
    return [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]


if __name__ == "__main__":
    main()
