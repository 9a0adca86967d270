"""`scribed mute on|off`: close the microphone of the running daemon, or open it again."""

from __future__ import annotations

import argparse

from scribed.cli import instances
from scribed.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "`on` closes the microphone: the open utterance ends as `muted`, what was said before is "
        "still transcribed. It stays closed across restarts, until `scribed mute off` on this "
        "machine: over MQTT it cannot be lifted."
    )
    parser.add_argument("switch", choices=("on", "off"), metavar="on|off")
    instances.add_instance_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask for it; 0 where it is done."""
    on = args.switch == "on"
    instances.ask(args.instance, "mute", {"on": on})
    print("muted: the microphone is closed" if on else "no longer muted")
    return ExitStatus.OK
