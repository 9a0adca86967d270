"""`scribed schema`: the contract with the robot, as JSON Schemas and as an AsyncAPI document."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scribed.contract import asyncapi, schemas
from scribed.contract.topics import BASE, TOPICS
from scribed.errors import ExitStatus, ScribedError


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Print what scribed publishes on MQTT and the commands that it takes: the JSON Schema "
        "(2020-12) of one payload, or of all of them as one object by name; or an AsyncAPI 3.0 "
        "document with topics, QoS, retain flags and expiries. Needs no configuration and no "
        "broker."
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="one payload: transcript, alert, cmd/mute…"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--asyncapi", action="store_true", help="print the AsyncAPI document")
    what.add_argument("--list", action="store_true", help="print the names, and what each is for")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="write files into DIR instead: all schemas and asyncapi.json, or what is chosen",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Print, or write; 0 where it is done."""
    if args.name is not None and (args.asyncapi or args.list):
        args.usage_error("NAME goes neither with --asyncapi nor with --list")
    if args.list:
        if args.output is not None:
            args.usage_error("--list is printed: -o has nothing to write")
        _list()
        return ExitStatus.OK
    names = tuple(schemas.PAYLOADS) if args.name is None else (args.name,)
    if args.name is not None and args.name not in schemas.PAYLOADS:
        known = ", ".join(schemas.PAYLOADS)
        args.usage_error(f"there is no payload {args.name!r}; there are {known}")
    if args.output is not None:
        _write(args.output, _files(names, args))
    elif args.asyncapi:
        print(_json(asyncapi.document()))
    elif args.name is not None:
        print(_json(schemas.document(args.name)))
    else:
        print(_json({name: schemas.document(name) for name in names}))
    return ExitStatus.OK


def _list() -> None:
    print(f"below {BASE}/ (mqtt.topic):")
    for name, topic in TOPICS.items():
        indent = " " * 15
        print(textwrap.fill(f"  {name:<12} {topic.says}", 100, subsequent_indent=indent))


def _files(names: tuple[str, ...], args: argparse.Namespace) -> Mapping[str, dict[str, Any]]:
    """What to write, by file name."""
    if args.asyncapi:
        return {"asyncapi.json": asyncapi.document()}
    files = {f"{name.replace('/', '-')}.schema.json": schemas.document(name) for name in names}
    return files if args.name is not None else files | {"asyncapi.json": asyncapi.document()}


def _write(directory: Path, files: Mapping[str, dict[str, Any]]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, document in files.items():
            path = directory / name
            path.write_text(_json(document) + "\n", "utf-8")
            print(path)
    except (FileExistsError, NotADirectoryError) as exc:
        raise ScribedError(f"{directory} is no directory; -o names one, or a new one") from exc
    except OSError as exc:
        raise ScribedError(f"{exc.filename} cannot be written: {exc.strerror}") from exc


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)
