"""`scribed transcribe`: recordings, URLs, standard input and devices to text, once."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from scribed.cli import loading, values
from scribed.config import Audio, Config
from scribed.configfile import examine
from scribed.errors import ConfigError, ScribedError
from scribed.parts import Provider
from scribed.service import journal
from scribed.transcribe import again, stdout, target
from scribed.transcribe.formats import SUFFIXES
from scribed.transcribe.mark import fingerprint
from scribed.transcribe.output import FileOutlet, StreamOutlet
from scribed.transcribe.progress import Screen
from scribed.transcribe.run import Task, Transcription
from scribed.transcribe.sound import Sound
from scribed.uplink.providers.elevenlabs_query import notices

DESCRIPTION = """\
Write down what is said in each SOURCE: a recording (WAV; with ffmpeg also FLAC, MP3 and whatever it
reads), a URL or stream (ffmpeg), "-" for standard input, or "alsa:NAME" for a capture device. The
daemon's own pipeline, without a broker: gate, uplink and recovery, with [provider], [vad] and the
credential of the configuration where there is one. A device and a stream are heard until Ctrl-C.
"""
EPILOG = """\
Formats: text, a line for each utterance; jsonl, the fields of stt.transcript/1 that mean something
here, with start_ms and end_ms from the source's beginning (words count from the utterance's start,
as there); srt and vtt, subtitles cut at words.

Ctrl-C writes what there is and says how to go on. With -o, a run that ended early in any way is
taken up with --resume: nothing is missing then, and nothing doubled.

Exit status: 0 all was told, or asked to stop; 1 something could not be heard (a damaged recording
as well) or has no text.

Examples:
  scribed transcribe interview.wav
  scribed transcribe --format srt -o film.srt film.mkv
  scribed transcribe --jobs 4 --format vtt -o subtitles/ *.mp3
  arecord -f S16_LE -r 16000 -t raw | scribed transcribe -
"""

_SECTIONS = ("provider", "vad", "retry", "shutdown", "SCRIBED_PROVIDER", "SCRIBED_VAD")
"""What of the configuration is used here: what is wrong elsewhere is the daemon's trouble."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    loading.add_config_option(parser)
    add = parser.add_argument
    add("sources", metavar="SOURCE", nargs="+", help='a file, a URL, "-" or "alsa:NAME"')
    add("--format", choices=list(SUFFIXES), default="text", help="[%(default)s]")
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="write there instead of standard output; of several sources it is the directory of "
        "their files",
    )
    add("--resume", action="store_true", help="with -o: go on where an earlier run ended")
    add(
        "--start",
        type=values.time,
        metavar="TIME",
        help="begin there in the source: seconds, or [H:]M:S; times still count from its beginning",
    )
    add(
        "--jobs",
        type=values.count,
        default=2,
        metavar="N",
        help="sources at once, each with a connection of its own [%(default)s]",
    )
    add(
        "--speed",
        type=values.factor,
        default=8.0,
        metavar="N",
        help="send at most so many times faster than it was spoken [%(default)s]",
    )
    add("--language", metavar="CODE", help="instead of provider.language")
    for name, allowed, unit, usual in (
        ("--rate", values.RATES, "HZ", 16000),
        ("--channels", values.CHANNELS, "N", 1),
    ):
        meaning = f"of raw samples [{usual}] or the device"
        add(name, type=int, choices=allowed, metavar=unit, help=meaning)
    add(
        "--channel",
        type=values.channel,
        metavar="N",
        help="hear only this one, from 0 [all, mixed]",
    )
    add("--raw", action="store_true", help="standard input is raw s16le, whatever it looks like")
    add("-v", "--verbose", action="store_true", help="the log, on stderr")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Transcribe; return the exit status."""
    if wrong := _misuse(args):
        args.usage_error(wrong)
    environ = dict(os.environ)
    screen = Screen()
    config = _config(args, environ, screen)
    if args.verbose:
        journal.configure("info")
    else:  # what matters is told in words of its own
        logging.getLogger().addHandler(logging.NullHandler())
    Provider(config.provider, environ).check()
    for notice in notices(config.provider):
        screen.say(f"scribed: {notice}")
    tasks = _tasks(args, config, screen)
    return Transcription(
        tasks,
        config,
        lambda: Provider(config.provider, environ),
        screen,
        jobs=args.jobs,
        speed=args.speed,
        quiet=args.verbose,
    ).run()


def _misuse(args: argparse.Namespace) -> str | None:
    """What is wrong with the command line, beyond each option."""
    several = len(args.sources) > 1
    if args.resume and not args.output:
        return "--resume goes on with a file: name it with -o, or begin with --start TIME"
    if args.resume and args.start is not None:
        return "--resume knows where to begin: leave --start out"
    if several and args.start is not None:
        return "--start is for one source"
    if several and not args.output and args.format in ("srt", "vtt"):
        return f"several sources as {args.format} are several files: name a directory with -o"
    if args.sources.count("-") > 1 or len(set(args.sources)) < len(args.sources):
        return "a source is named twice"
    return None


def _tasks(args: argparse.Namespace, config: Config, screen: Screen) -> list[Task]:
    audio = _audio(args, config)
    tasks: list[Task] = []
    for asked in args.sources:
        sound = Sound(asked, audio, raw=args.raw)
        sound.look()
        if sound.note:
            screen.say(f"scribed: {sound.note}")
        others = [task.outlet for task in tasks]
        outlet = _outlet(args, sound, screen, others, config.provider.languages)
        if isinstance(outlet, FileOutlet) and outlet.is_done:
            screen.say(f"scribed: {sound.name}: {outlet.path} is finished already")
            continue
        tasks.append(Task(sound, outlet, _again(args, sound)))
    return tasks


def _outlet(
    args: argparse.Namespace,
    sound: Sound,
    screen: Screen,
    others: list[FileOutlet | StreamOutlet],
    languages: tuple[str, ...],
) -> FileOutlet | StreamOutlet:
    if args.output is not None:
        path = target.path(args.output, sound, args.format, several=len(args.sources) > 1)
        if any(isinstance(other, FileOutlet) and other.path == path for other in others):
            raise ScribedError(f"{path} would be of several sources; transcribe them one by one")
        target.refuse_recording(path, args.sources)
        address = fingerprint(sound.asked, sound.name)
        outlet = FileOutlet(
            path, args.format, sound.name, resume=args.resume, address=address, languages=languages
        )
        outlet.begin_at(args.start or 0.0)
        return outlet

    def show(text: str) -> None:
        screen.clear()
        stdout.show(text)

    is_text, start_s = args.format == "text", args.start or 0.0
    title = f"== {sound.name} ==\n" if len(args.sources) > 1 and is_text else ""
    return StreamOutlet(
        args.format, sound.name, start_s=start_s, title=title, show=show, waits=is_text,
        languages=languages,
    )  # fmt: skip


def _again(args: argparse.Namespace, sound: Sound) -> Callable[[float], str]:
    """What makes the command that goes on with a source from a time on."""
    shown = sound.name if sound.hides else sound.asked

    def go_on(start_s: float) -> str:
        more = ["--start", f"{start_s:.3f}"]
        if args.output is not None:
            more = [] if args.resume else ["--resume"]
        return again.command(
            ["scribed", *again.again(sys.argv[1:], args.sources, sound.asked, shown, more)]
        )

    return go_on


def _audio(args: argparse.Namespace, config: Config) -> Audio:
    """What was said of the form of the sound; the rest of [audio] is of the daemon's microphone."""
    values = {"frame_ms": config.audio.frame_ms, "stall_s": config.audio.stall_s}
    for key in ("rate", "channels", "channel"):
        if (value := getattr(args, key)) is not None:
            values[key] = value
    return msgspec.convert(values, Audio)


def _config(args: argparse.Namespace, environ: Mapping[str, str], screen: Screen) -> Config:
    """The configuration where there is one, else the defaults. Raises `ConfigError`."""
    text, name = "", ""
    try:
        path = loading.config_path(args.config, environ)
        name, text = str(path), path.read_text("utf-8")
    except ConfigError:
        pass  # there is none, and none was named
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        if args.config is not None:
            raise ConfigError([f"{args.config} cannot be read: {why}"]) from exc
        screen.say(f"scribed: {name} cannot be read ({why}): the defaults are used")
    config, _, problems = examine(text, environ, name=name)
    problems = [line for line in problems if line.split(".")[0] in _SECTIONS]
    if problems:
        raise ConfigError(problems)
    if args.language is None:
        return config
    try:
        language = msgspec.convert({"language": args.language}, type(config.provider)).language
    except msgspec.ValidationError as exc:
        raise ScribedError(f'--language: "{args.language}" is no ISO 639 code, as "en"') from exc
    return replace(config, provider=replace(config.provider, language=language))
