"""`scribed flush`: end the utterance that is open, now."""

from __future__ import annotations

import argparse

from scribed.cli import instances
from scribed.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Ends the utterance that the running daemon has open as if its speaker had stopped: its "
        "text is asked for at once. Where nobody speaks nothing happens."
    )
    instances.add_instance_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask for it; 0 where it is done."""
    instances.ask(args.instance, "flush", {})
    return ExitStatus.OK
