"""Which daemon of this machine is meant, and asking it, for every command that talks to one."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scribed.errors import ScribedError
from scribed.service import asking
from scribed.service.asking import NoDaemon, NotPermitted
from scribed.service.names import (
    DEFAULT_INSTANCE,
    runtime_directory,
    state_directory,
    unit_of,
)
from scribed.service.sockets import CONTROL

SYSTEM_RUNTIME = Path("/run/scribed")
SYSTEM_STATE = Path("/var/lib/scribed")
_INSTANCE = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance has its directories: as a service, or as somebody's own daemon."""

    runtime: Path
    state: Path


def add_instance_option(parser: argparse.ArgumentParser) -> None:
    """The option `-i INSTANCE`."""
    parser.add_argument(
        "-i",
        "--instance",
        metavar="INSTANCE",
        type=_instance,
        default=DEFAULT_INSTANCE,
        help="which daemon: the name of its configuration file without .toml, lower-case "
        "(default: default, which is scribed.toml)",
    )


def places(instance: str, environ: Mapping[str, str]) -> list[Place]:
    """Where to look for an instance: the service's directories first, then this user's own."""
    state = state_directory(instance, environ)
    own = Place(runtime_directory(instance, environ), state)
    if environ.get("STATE_DIRECTORY") or environ.get("RUNTIME_DIRECTORY"):  # it was said which
        return [own]
    system = Place(SYSTEM_RUNTIME / instance, SYSTEM_STATE / instance)
    bare = Place(state / "run", state)  # started where there was no XDG_RUNTIME_DIR
    return [system, own, bare] if own != bare else [system, own]


def ask(instance: str, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """Ask the daemon of `instance`; return the result.

    Raises `NoDaemon` where none runs, and `ScribedError` where it says no or not a word.
    """
    forbidden: NotPermitted | None = None
    looked = places(instance, os.environ)
    for place in looked:
        try:
            return asking.ask(place.runtime, name, args)
        except NoDaemon:
            continue
        except NotPermitted as exc:
            forbidden = forbidden or exc
    if forbidden:
        raise ScribedError(f"{forbidden}; ask as that user, or as root with sudo") from forbidden
    where = ", ".join(str(place.runtime / CONTROL) for place in looked)
    raise NoDaemon(
        f"no scribed runs for instance {instance}: no answer on {where}; "
        f"systemctl status {unit_of(instance)}"
    )


def _instance(text: str) -> str:
    if not _INSTANCE.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no instance: it has lower-case letters, digits, _ and -"
        )
    return text
