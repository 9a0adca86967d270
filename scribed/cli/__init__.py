"""The `scribed` command: one file a subcommand."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

from scribed import __version__
from scribed.errors import ExitStatus, ScribedError
from scribed.service import children
from scribed.service.redaction import redacted

EPILOG = """\
exit status: 0 done, end of input or asked to stop; 1 failed; 2 wrong usage; 70 a bug; 75 the state
directory is in use; 78 no valid configuration. Without -c the configuration is
/etc/scribed/scribed.toml, else $XDG_CONFIG_HOME/scribed/scribed.toml.
"""


COMMANDS = {
    "run": "the daemon, in the foreground",
    "init": "asks its way to a working configuration",
    "check": "every problem of the configuration at once",
    "doctor": "tries each part for real, and says what to do",
    "status": "whether the running daemon hears, and how it is",
    "mute": "close the microphone, or open it again",
    "flush": "end the utterance that is open, now",
    "devices": "the microphones, and which one you speak into",
    "tune": "what the gate decides, live or in a recording, and settings for this room",
    "replay": "a recording through the gate once more, decision by decision",
    "spool": "what waits for an answer: list, look, hear, delete",
    "transcribe": "recordings, URLs, standard input and devices to text, once",
    "monitor": "robots as they are, live, over MQTT from any machine",
    "schema": "what is on MQTT: JSON Schemas and an AsyncAPI document",
    "retire": "empty what a robot that is gone has left at the broker",
    "report": "a support bundle without secrets and without what was said",
    "simulate": "a stand-in for the speech service, for development without a key",
    "demo": "the whole chain on this machine, with nothing configured",
}


def parser(chosen: str) -> argparse.ArgumentParser:
    """The command line: of the `chosen` command alone, whose file is imported, or of all."""
    top = argparse.ArgumentParser(
        prog="scribed",
        description="The speech ear for robots: microphone in, committed transcripts out on MQTT.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"scribed {__version__}")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if chosen in COMMANDS:
        command = subparsers.add_parser(chosen)
        importlib.import_module(f"scribed.cli.{chosen}").configure(command)
        return top
    for name, summary in COMMANDS.items():
        subparsers.add_parser(name, help=summary)
    return top


def _asked_to_stop(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM before the command has its own way to end."""
    raise SystemExit(ExitStatus.OK)


def leave_when_asked() -> None:
    """Until a command serves them itself SIGTERM and SIGINT end the process, at once: an exception
    in the middle of its own imports may be told as a bug, or be swallowed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(ExitStatus.OK)


def _fill_descriptors() -> None:
    """Give what was closed at the start (`>&-`) a place where it may go.

    Or else the next file that is opened would get the number, and whatever a library prints.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # To stay open as long as the process lives.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 -- so


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status. What the user did wrong is one line on stderr."""
    _fill_descriptors()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        args = parser(words[0] if words else "").parse_args(words)
        signal.signal(signal.SIGTERM, _asked_to_stop)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return int(args.run(args))
    except ScribedError as exc:
        for line in str(exc).splitlines():
            print(f"scribed: {line}", file=sys.stderr)
        return exc.exit_status
    except KeyboardInterrupt:
        return ExitStatus.OK
    except BrokenPipeError:  # the reader of our output went away, as `scribed … | head` does
        sys.stderr.close()
        return ExitStatus.FAILED
    except Exception:  # noqa: BLE001 -- the last door: a bug is told with its traceback, and as one
        print(redacted(traceback.format_exc()), end="", file=sys.stderr)
        return ExitStatus.BUG
    finally:
        children.end_all()
