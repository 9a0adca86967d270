"""`scribed simulate`: a stand-in for the speech service, in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import queue
import signal
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scribed.errors import ExitStatus, ScribedError
from scribed.simulate import faults, tls
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recognizers.script import Script
from scribed.simulate.recording import CommitRecord, SessionRecord

DESCRIPTION = """\
Answer on this machine as ElevenLabs' realtime speech-to-text and OpenMind's proxy do, for
development and tests without a key, a bill or a network. The path of a connection says which of
them it is. It prints what to put into the configuration, then a line for each session and each
commit, until SIGINT or SIGTERM.
"""
EPILOG = """\
As ElevenLabs: paths, authentication by key and by single-use token (minted by POST
/v1/single-use-token/realtime_scribe, good once and for 15 minutes), query validation (1008),
configuration echo, the commit strategies manual, vad and turn_prediction, partials that replace and
repeat, word times that count from the connection's start, empty answers, commits under 0.3 s that
end the session, a commit of its own at 36 s of audio, an idle close after 15 s, language codes with
a region that are never transcribed.
As OpenMind's proxy (provider.name = "openmind", the same URL): its ElevenLabs, Google and Riva
routes, both framings, commits after silence, restarts, and HTTP 401 for a wrong key.
Unlike them: English only; entities, redaction, edits and speakers are found by a few simple rules;
no quota, no limit of sessions. What goes wrong is what --fault and --schedule say.

Examples:
  scribed simulate                              recognise English with PocketSphinx
  scribed simulate --recognizer script --script answers.txt --answer-ms 400
  scribed simulate --tls                        with a throw-away certificate
  scribed simulate --fault drop=20 --fault lost-answer=5
  scribed simulate --fault list                 everything that can go wrong
  scribed simulate --schedule faults.txt        lines as "60 http-503=5 for 30" and "120 drop"
"""

CLOCK = "%H:%M:%S"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    parser.add_argument(
        "--port", type=_within(0, 65535), default=8765, help="0: a free one [%(default)s]"
    )
    parser.add_argument(
        "--recognizer",
        choices=["pocketsphinx", "script"],
        help="who hears: pocketsphinx recognises English, script gives the answers of --script "
        "and never listens [script if --script is given, else pocketsphinx]",
    )
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="one answer a line, from the first again after the last; an empty line is an empty "
        "answer",
    )
    parser.add_argument(
        "--answer-ms",
        type=_within(0, 60_000),
        default=250,
        metavar="MS",
        help="from a commit to its answer; the service takes 210 to 440 [%(default)s]",
    )
    parser.add_argument(
        "--warm-up-ms",
        type=_within(0, 60_000),
        default=2000,
        metavar="MS",
        help="audio of a session before its first partial [%(default)s, as the service]",
    )
    parser.add_argument(
        "--idle-s",
        type=_within(1, 86_400),
        metavar="S",
        help="without a message, or at OpenMind without speech, after which it hangs up [15 s, as "
        "the service; at OpenMind the route's own]",
    )
    parser.add_argument(
        "--session-s",
        type=_within(1, 86_400),
        default=0,
        metavar="S",
        help="the longest session: then session_time_limit_exceeded, at OpenMind a restart [no "
        "limit; at OpenMind the route's own]",
    )
    parser.add_argument(
        "--text-order",
        choices=["plain-first", "stamped-first"],
        help="of committed_transcript and committed_transcript_with_timestamps [as the service "
        "has it: plain first with include_timestamps, stamped first with language detection alone]",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help='let this go wrong; may be given several times; "list" prints them all',
    )
    parser.add_argument(
        "--schedule",
        type=Path,
        metavar="FILE",
        help="let things go wrong in time: lines SECONDS NAME[=VALUE] [for SECONDS], counted from "
        "the start",
    )
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="accept only the key in this file [any key that is not empty]",
    )
    parser.add_argument(
        "--http-401",
        action="store_true",
        help="refuse a key with HTTP 401 [as the service mostly does: an auth_error frame]",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="serve wss:// with a throw-away certificate for localhost and --host (needs the "
        "openssl command); its authority goes into provider.ca_file",
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="serve wss:// with this")
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="of --certificate")
    parser.add_argument(
        "--show-text", action="store_true", help="print what was said, not only how many words"
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; return the exit status. Raises `ScribedError`."""
    if "list" in args.fault:
        print(faults.listing(), end="")
        return ExitStatus.OK
    _refuse_contradictions(args)
    wrong = _faults(args)
    from scribed.simulate.server import Server  # websockets may be missing

    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: stop. Safe in a handler
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: lines.put(None))
    with contextlib.ExitStack() as stack:
        context, ca_file = _tls(args, stack)
        server = Server(
            recognizer=_recognizer(args),
            host=args.host,
            port=args.port,
            tls=context,
            key=_key(args.key_file),
            refuse_with_http=args.http_401,
            answer_s=args.answer_ms / 1000,
            warmup_s=args.warm_up_ms / 1000,
            idle_s=args.idle_s,
            session_s=args.session_s,
            stamped_first=args.text_order and args.text_order == "stamped-first",
            wrong=wrong,
            record=lambda record: _tell(lines, record, show_text=args.show_text),
        )
        stack.enter_context(server)
        ca = "" if ca_file is None else f', ca_file = "{ca_file}"'
        print(f'put into the configuration: [provider] url = "{server.url}"{ca}', flush=True)
        while (line := lines.get()) is not None:
            _print(line)
    while not lines.empty():  # how the sessions ended that were open
        if (line := lines.get()) is not None:
            _print(line)
    return ExitStatus.OK


def _print(line: str) -> None:
    print(f"{time.strftime(CLOCK)} {line}", flush=True)


def _refuse_contradictions(args: argparse.Namespace) -> None:
    if args.tls and (args.certificate or args.private_key):
        args.usage_error("--tls makes its own certificate; leave out one or the other")
    if bool(args.certificate) != bool(args.private_key):
        args.usage_error("--certificate and --private-key belong together")
    if args.recognizer == "script" and args.script is None:
        args.usage_error("--recognizer script needs --script FILE, one answer a line")
    if args.recognizer == "pocketsphinx" and args.script is not None:
        args.usage_error("--script belongs to --recognizer script")


def _faults(args: argparse.Namespace) -> list[faults.Fault]:
    wrong = []
    for text in args.fault:
        try:
            wrong.append(faults.parse(text))
        except faults.FaultError as error:
            args.usage_error(f"--fault: {error}")
    if args.schedule is not None:
        try:
            wrong += faults.read_schedule(_text(args.schedule, "schedule"))
        except faults.FaultError as error:
            raise ScribedError(f"the schedule {args.schedule}, {error}") from error
    return wrong


def _recognizer(args: argparse.Namespace) -> MakeRecognizer:
    if args.script is not None:
        return Script.read(args.script)
    from scribed.simulate.recognizers import pocketsphinx  # likewise

    return pocketsphinx.PocketSphinx()


def _key(path: Path | None) -> str | None:
    if path is None:
        return None
    key = _text(path, "key file").strip()
    if not key:
        raise ScribedError(f"the key file {path} is empty; write the key to accept into it")
    return key


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not text"
        raise ScribedError(f"cannot read the {what} {path}: {reason}") from exc


def _tls(
    args: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[ssl.SSLContext | None, Path | None]:
    if args.certificate:
        return tls.from_files(args.certificate, args.private_key), None
    if not args.tls:
        return None, None
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scribed-simulate-")))
    directory.chmod(0o755)  # the daemon that must read the authority may be another user
    return tls.throw_away(directory, host=args.host)


def _tell(
    lines: queue.SimpleQueue[str | None], record: SessionRecord | CommitRecord, *, show_text: bool
) -> None:
    """Queue a line; in the server's thread. A commit gets its line with its answer."""
    who = f"session {record.session_id[:8]}"
    if isinstance(record, SessionRecord):
        lines.put(f"{who} {_session(record)}")
    elif record.text is not None and record.answered_at is not None:
        asked = "" if record.asked else " (the service's own)"
        said = repr(record.text) if show_text else f"{len(record.text.split())} words"
        lines.put(
            f"{who} commit {record.number}{asked}: {record.duration_s:.2f} s of audio, answered "
            f"after {(record.answered_at - record.received_at) * 1000:.0f} ms: {said}"
        )


def _session(record: SessionRecord) -> str:
    if record.closed_at is None:
        return "opened" + (f"; {record.note}" if record.note else "")
    how = f"refused ({record.refused})" if record.refused else "closed"
    code = "" if record.close is None else f" {record.close[0]} {record.close[1]}".rstrip()
    return (
        f"{how}{code}: {record.audio_bytes} bytes of audio, {record.wire_bytes} on the wire, "
        f"{record.commits} commits"
    )


def _within(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number {low} to {high}")
        return int(text)

    return number
