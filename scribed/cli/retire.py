"""`scribed retire`: take what a robot has left at the broker away, when it is gone for good."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from scribed.cli import brokers
from scribed.delivery.bases import Bases
from scribed.delivery.compat import home_assistant
from scribed.delivery.events import Heard
from scribed.delivery.topics import COMMANDS, ONLINE, RULES
from scribed.delivery.watch import Access, Watch
from scribed.errors import BrokerError, ExitStatus, ScribedError
from scribed.model import Identity

QUIET_S = 0.5
"""No retained message for so long: that were all. Brokers send them at once after SUBACK."""
LOOK_S = 10.0
"""How long to look at most."""
STILL_THERE = "it is still there: somebody publishes it, or an ACL forbids"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Empties every retained topic of scribed that ROBOT has at the broker (status, state, "
        "muted, alerts, commands that somebody retained) and its device in Home Assistant, so that "
        "no dashboard shows it any more. "
        "What is retained below its base topics and is not scribed's is left alone, and named; a "
        "device is not looked for where the broker does not let this user, which is said. "
        "Exit status 0: nothing of it is left; 1: it is online, the broker refuses, or something "
        "is left."
    )
    parser.add_argument("robot", metavar="ROBOT", type=brokers.robot_name, help="its robot.id")
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        type=brokers.robot_name,
        help="this microphone only (default: all of the robot's)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be emptied, and empty nothing"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="although it is online: for a status that a broker kept when it crashed; a daemon "
        "that runs says everything anew",
    )
    brokers.add_broker_options(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Remains:
    """What of a robot is retained; whole topics, sorted."""

    ours: tuple[str, ...]
    others: tuple[str, ...]  #: below its base, and not scribed's
    online: tuple[str, ...]  #: the bases whose status says so


def remains(
    heard: Iterable[Heard], bases: Bases, robot: str, source: str | None, device: str
) -> Remains:
    """Sort out what was `heard`; `device` is the filter of its devices in Home Assistant."""
    head, _, tail = device.partition("+")
    ours: set[str] = set()
    others: set[str] = set()
    online: set[str] = set()
    for each in heard:
        if each.retained and _is_like(each.topic, head, tail):
            ours.add(each.topic)
            continue
        whose = bases.address(each.topic)
        if whose is None or not whose.rest or not each.retained or whose.robot != robot:
            continue
        if source is not None and whose.source != source:
            continue
        name = whose.rest.partition("/")[0]
        (ours if name in RULES or name == COMMANDS else others).add(each.topic)
        if whose.rest == "status" and each.payload == ONLINE:
            online.add(each.topic.removesuffix("/status"))
    return Remains(tuple(sorted(ours)), tuple(sorted(others)), tuple(sorted(online)))


def _is_like(topic: str, head: str, tail: str) -> bool:
    """Whether a topic is what a filter stands for, which was parted at its wildcard."""
    if not tail:
        return topic == head
    level = topic.removeprefix(head).removesuffix(tail)
    return topic == f"{head}{level}{tail}" and "/" not in level


def run(args: argparse.Namespace) -> int:
    """Look, empty, look again; 0 where nothing is left."""
    access = brokers.access(args, os.environ)
    bases = Bases(access.mqtt.topic)
    if not bases.names_robots or (args.source and not bases.names_sources):
        missing = "{source}" if bases.names_robots else "{robot}"
        raise ScribedError(
            f'the topics "{access.mqtt.topic}" do not say whose they are: there is no {missing}'
        )
    try:
        return _retire(access, bases, args)
    except BrokerError as exc:
        raise (brokers.in_options(exc) if args.host is not None else exc) from exc


def _retire(access: Access, bases: Bases, args: argparse.Namespace) -> int:
    asked = bases.subscription("#", args.robot, args.source)
    who = Identity(args.robot, args.source or "+", "", "", "", "")
    device = home_assistant.address(access.mqtt.discovery_prefix, who)

    def look(watch: Watch) -> Remains:
        return remains(retained(watch), bases, args.robot, args.source, device)

    with Watch(access, [asked], name="retire", beside=device) as watch:
        found = look(watch)
        if watch.unheard:
            text = f"a device in Home Assistant was not looked for: {watch.unheard}"
            print(f"scribed: {text}", file=sys.stderr)
        for topic in found.others:
            print(f"left alone, as it is not scribed's: {_shown(topic)}")
        if not found.ours:
            where = asked if watch.unheard else f"{asked} and {device}"
            print(f"nothing of {args.robot} is retained on {where}")
            return ExitStatus.OK
        if args.dry_run:
            print("\n".join(f"would empty {_shown(topic)}" for topic in found.ours))
        if found.online and not args.force:
            where = ", ".join(map(_shown, found.online))
            raise ScribedError(
                f"{where} is online: stop its daemon (sudo systemctl disable --now scribed), or, "
                "if that is long gone, say --force"
            )
        if args.dry_run:
            return ExitStatus.OK
        refused, ended = _clear(watch, found.ours, last=device.partition("+")[0])
        beside = "" if watch.unheard else device
    with Watch(access, [asked], name="retire", beside=beside) as again:
        left = look(again).ours  # version 3.1.1 has no words for a no
    return _tell(found.ours, left, refused, ended or STILL_THERE)


def _clear(watch: Watch, topics: Iterable[str], last: str) -> tuple[dict[str, str], str]:
    """Empty them, those that begin like `last` at the end: a broker may end a connection for them.

    The broker's reason for each that it refuses, and why the connection ended, where it did.
    """
    try:
        return watch.clear(sorted(topics, key=lambda topic: topic.startswith(last))), ""
    except BrokerError as exc:
        return {}, str(exc)


def _tell(
    topics: Iterable[str], left: Container[str], refused: Mapping[str, str], otherwise: str
) -> int:
    """Say what became of each; 0 where all are empty. `otherwise`: why not, unless refused."""
    status = ExitStatus.OK
    for topic in topics:
        if topic in left or topic in refused:
            status = ExitStatus.FAILED
            why = refused.get(topic, otherwise)
            print(f"NOT emptied: {_shown(topic)} ({why})")
        else:
            print(f"emptied {_shown(topic)}")
    return status


def retained(watch: Watch) -> list[Heard]:
    """What the broker has kept of what is watched. Raises `BrokerError`."""
    found: list[Heard] = []
    deadline = time.monotonic() + LOOK_S
    quiet_at = time.monotonic() + QUIET_S
    while (until := min(quiet_at, deadline)) > time.monotonic():
        kept = [each for each in watch.heard(until - time.monotonic()) if each.retained]
        if kept:
            found += kept
            quiet_at = time.monotonic() + QUIET_S
    return found


def _shown(topic: str) -> str:
    """For a terminal: whoever may publish chooses what stands in a topic."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in topic)
