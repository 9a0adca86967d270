"""`scribed status`: whether the running daemon hears, and how it is otherwise."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from scribed.cli import instances
from scribed.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Asks the running daemon over its control socket, without the broker, and prints whether "
        "it hears, its link, what waits and how old the last transcript is. "
        "Exit status 0: it hears; 1: it does not, or none runs."
    )
    parser.add_argument(
        "--json", action="store_true", help="print the payload of {base}/state, and status_line"
    )
    instances.add_instance_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask and print; 0 where it hears."""
    said = instances.ask(args.instance, "state", {})
    if args.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print(said.get("status_line") or said.get("state"))
        for name, value in _facts(said):
            print(f"  {name:<11} {value}")
    return ExitStatus.OK if said.get("hearing") is True else ExitStatus.FAILED


def _facts(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The main facts of `stt.state/1`, in words; what is unknown is left out."""
    link, backlog = said.get("link") or {}, said.get("backlog") or {}
    yes_no: dict[Any, str] = {True: "yes", False: "no"}
    clock: dict[Any, str] = {True: "synchronised", False: "NOT synchronised"}
    hears = yes_no.get(said.get("hearing"), "not known yet")
    facts = [
        ("hearing", f"{hears} ({said.get('hearing_reason')})"),
        ("muted", ", ".join(said.get("mute_reasons") or ())),
        ("microphone", _device(said)),
        ("sound", said.get("heard") or ""),
        ("link", f"{link.get('state')} since {link.get('since')}"),
        ("last error", link.get("last_error") or ""),
        ("backlog", f"{backlog.get('utterances')} utterances, {backlog.get('seconds')} s"),
        ("transcript", _last(said.get("last_final_age_s"))),
        ("clock", clock.get(said.get("clock_synced"), "")),
        ("version", f"{said.get('version')}, configuration {said.get('config_sha')}"),
    ]
    return [(name, value) for name, value in facts if value]


def _device(said: Mapping[str, Any]) -> str:
    device = said.get("device") or {}
    words = [f"{device.get('name')} {device.get('state')}"]
    if device.get("rate") is not None:
        words.append(f"{device['rate']} Hz, {device.get('channels')} ch")
    if said.get("last_frame_age_ms") is not None:
        words.append(f"last frame {said['last_frame_age_ms']} ms ago")
    return ", ".join(words)


def _last(age_s: float | None) -> str:
    return "none yet" if age_s is None else f"last one {age_s:.0f} s ago"
