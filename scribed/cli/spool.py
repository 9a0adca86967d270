"""`scribed spool ls|show|export|purge`: the utterances that wait for an answer."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scribed.cli import instances
from scribed.errors import ExitStatus, ScribedError
from scribed.service.asking import NoDaemon

BATCH = 500
"""Utterances purged with one question: a question has at most 64 KiB."""

Ask = Callable[[dict[str, Any]], dict[str, Any]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "What waits for an answer from the speech service. Asks the running daemon over its "
        "control socket; where none runs it looks into the state directory itself. An utterance "
        "is named by its id or by its seq."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the answer as JSON")
    instances.add_instance_option(common)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verbs.add_parser("ls", parents=[common], help="every utterance that waits")
    show = verbs.add_parser("show", parents=[common], help="all that is known of one")
    export = verbs.add_parser("export", parents=[common], help="one as a WAV file")
    purge = verbs.add_parser("purge", parents=[common], help="delete some, or all that wait")
    for one in (show, export):
        one.add_argument("id", metavar="ID")
    export.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="a new file (default: SEQ-ID.wav)"
    )
    purge.add_argument("ids", nargs="*", metavar="ID")
    purge.add_argument("--all", action="store_true", help="all that wait")
    purge.set_defaults(usage_error=purge.error)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; 0 where it is done."""
    if args.verb == "purge" and args.all == bool(args.ids):
        args.usage_error("name the utterances to delete, or --all")
    try:
        _do(args, lambda question: instances.ask(args.instance, "spool", question))
    except NoDaemon as exc:
        from scribed.cli import stopped  # SQLite, only where it is needed

        with stopped.spool(args.instance, otherwise=exc) as answer:
            _do(args, answer)
    return ExitStatus.OK


def _do(args: argparse.Namespace, ask: Ask) -> None:
    """`ask` is whoever answers for the spool."""
    match args.verb:
        case "ls":
            _list(ask, as_json=args.json)
        case "show":
            _show(ask({"verb": "show", "id": args.id}), as_json=args.json)
        case "export":
            _export(ask, args.id, args.output, as_json=args.json)
        case _:
            _purge(ask, None if args.all else args.ids, as_json=args.json)


def _list(ask: Ask, *, as_json: bool) -> None:
    said = ask({"verb": "ls"})
    if as_json:
        _print_json(said)
        return
    if said["utterances"]:
        print(f"{'seq':>8}  {'id':<26}  {'spoken':<19}  {'length':>7}  {'where':<10}  state")
    for each in said["utterances"]:
        print(
            f"{each['seq']:>8}  {each['id']:<26}  {_clock(each['start_unix_ms']):<19}  "
            f"{_length(each['audio_ms']):>7}  {each['where']:<10}  {each['state']}"
        )
    finals = "an unknown number" if said["finals"] is None else said["finals"]
    print(f"{said['waiting']} wait for an answer, {finals} for the broker")


def _show(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(said)
        return
    flat = {**said, **said.get("meta", {})}
    flat.pop("meta", None)
    flat["spoken"] = _clock(flat["start_unix_ms"])
    for name, value in flat.items():
        if value is not None:
            print(f"{name:<14} {value}")


def _export(ask: Ask, wanted: str, output: Path | None, *, as_json: bool) -> None:
    found = ask({"verb": "show", "id": wanted})
    output = output or Path(f"{found['seq']}-{found['id']}.wav")
    _copy(Path(ask({"verb": "export", "id": found["id"]})["path"]), output)
    if as_json:
        _print_json({"id": found["id"], "seq": found["seq"], "path": str(output)})
    else:
        print(output)


def _copy(source: Path, target: Path) -> None:
    """Copy to a new file that nobody else can read: it is what somebody said."""
    try:
        incoming = os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError as exc:
        raise ScribedError("it has its answer by now: its audio is deleted") from exc
    except OSError as exc:
        raise ScribedError(f"{source} cannot be read: {exc.strerror}") from exc
    with incoming:
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as exc:
            raise ScribedError(f"{target} exists; name another file with -o") from exc
        except OSError as exc:
            raise ScribedError(f"{target} cannot be made: {exc.strerror}") from exc
        try:
            with os.fdopen(fd, "wb") as outgoing:
                shutil.copyfileobj(incoming, outgoing)
        except OSError as exc:
            target.unlink()
            raise ScribedError(f"{target} cannot be written: {exc.strerror}") from exc


def _purge(ask: Ask, wanted: list[str] | None, *, as_json: bool) -> None:
    if wanted is None:
        purged = int(ask({"verb": "purge", "ids": None})["purged"])
    else:
        known = {
            name: each["id"] for each in ask({"verb": "ls"})["utterances"] for name in _names(each)
        }
        if strange := [each for each in wanted if each not in known]:
            raise ScribedError(
                f"nothing was deleted: {', '.join(strange)} is not there; see `scribed spool ls`"
            )
        ids = list(dict.fromkeys(known[each] for each in wanted))
        batches = [ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]
        purged = sum(int(ask({"verb": "purge", "ids": batch})["purged"]) for batch in batches)
    if as_json:
        _print_json({"purged": purged})
    else:
        print(f"{purged} deleted")


def _names(each: dict[str, Any]) -> tuple[str, str]:
    return each["id"], str(each["seq"])


def _print_json(said: dict[str, Any]) -> None:
    print(json.dumps(said, ensure_ascii=False, indent=2))


def _clock(unix_ms: int | None) -> str:
    if unix_ms is None:
        return "unknown"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_ms / 1000))


def _length(audio_ms: int | None) -> str:
    return "" if audio_ms is None else f"{audio_ms / 1000:.1f} s"
