"""`scribed monitor`: robots as they say on MQTT that they are, live in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from scribed import clock
from scribed.cli import brokers
from scribed.cli.addresses import word
from scribed.cli.brokers import robot_name
from scribed.delivery.bases import Address, Bases
from scribed.delivery.events import Heard
from scribed.delivery.watch import Watch
from scribed.errors import BrokerError, ScribedError
from scribed.monitor.outputs import BRIDGE, Json, Lines, Output, Pictures, Whose
from scribed.monitor.robots import Look
from scribed.monitor.watching import Watching

TOPICS = [
    *("status", "state", "metrics", "transcript", "late", "ended", "partial", "speech", "event"),
    *("alert/+", "word/+"),
]
"""What is watched below each base; everything with --json."""
TICK_S = 0.5
FLEET = Bases("fleet/{robot}")
"""Below it is `bridge`, where docs/examples/fleet has a bridge say how it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Shows what robots say on MQTT, from any machine: whether each hears, its link, level, "
        "alerts, what waits and what is said. One robot in full, several in a line each; Ctrl-C "
        "ends it. Where the output is no terminal it is a line for each thing that happens."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--robot", type=robot_name, metavar="R", help="only this robot, in full")
    which.add_argument("--all", action="store_true", help="a line for each, also where it is one")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--plain", action="store_true", help="lines, on a terminal too")
    how.add_argument("--json", action="store_true", help="every message, as a line of JSON each")
    brokers.add_broker_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C."""
    access = brokers.access(args, os.environ)
    bases = Bases(access.mqtt.topic)
    if args.robot and not bases.names_robots:
        raise ScribedError(f"--robot: {access.mqtt.topic!r} does not say whose topic it is")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    topics = ["#"] if args.json else TOPICS
    filters = [bases.subscription(topic, args.robot) for topic in topics]

    bridges = FLEET.subscription(BRIDGE, args.robot) if bases.names_robots else ""

    def connect() -> Watch:
        nonlocal bridges
        try:
            watch = Watch(access, filters, name="monitor", beside=bridges)
        except BrokerError as exc:
            raise brokers.in_options(exc) from exc
        if watch.unheard:
            bridges = ""  # some end the connection for asking, each time
        return watch

    def whose(topic: str) -> Address | None:
        address = bases.address(topic)
        if address is None and (fleet := FLEET.address(topic)) and fleet.rest == BRIDGE:
            address = fleet
        return None if address is None or args.robot not in (None, address.robot) else address

    where = f"{word(access.mqtt)}  {bases.subscription('#', args.robot)}"
    with contextlib.ExitStack() as stack:
        watching = stack.enter_context(Watching(connect))
        output = stack.enter_context(_output(args, whose, where))
        while True:
            _tell(output, watching.heard(TICK_S), watching.lost)


def _tell(output: Output, heard: Sequence[Heard], lost: str | None) -> None:
    """Raises `ScribedError` where a disk is full."""
    try:
        output.take(heard, lost)
    except BrokenPipeError:  # nobody reads it any more
        raise
    except OSError as exc:
        raise ScribedError(f"the output cannot be written: {exc.strerror}") from exc


@contextlib.contextmanager
def _output(args: argparse.Namespace, whose: Whose, where: str) -> Iterator[Output]:
    if args.json:
        yield Json(whose, sys.stdout, sys.stderr)
    elif args.plain or not _is_screen():
        yield Lines(whose, sys.stdout, clock.now, clock.wall)
    else:
        in_full = True if args.robot else False if args.all else None
        with _screen() as show:
            yield Pictures(
                whose, show, where=where, in_full=in_full, now=clock.now, wall=clock.wall
            )


def _is_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Look], None]]:
    """The terminal, taken over. Raises `ScribedError` without rich."""
    try:
        from scribed.monitor.screen import Screen  # an extra: only who draws needs it
    except ImportError as exc:
        raise ScribedError(
            "monitor: drawing needs rich, which is not installed: pip install 'scribed[monitor]' "
            "(scripts/install --extra monitor); or --plain, which needs nothing"
        ) from exc
    with Screen() as screen:
        yield screen.show
