"""`scribed doctor`: tries each part for real, and says what to do."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scribed import __version__
from scribed.cli import check, instances, loading
from scribed.cli.run import GOOD_FILE
from scribed.config import Config
from scribed.configfile import examine as examine_text
from scribed.doctor.examination import Examination, Patient
from scribed.doctor.finding import Finding, failed, is_well, ok, told, warning
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.service.asking import NoDaemon
from scribed.service.credentials import key_problem
from scribed.service.names import identity, instance_of

SCHEMA = "scribed.doctor/1"
CONFIGURATION, DAEMON = "configuration", "daemon"
_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "unknown": "unknown"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Tries configuration, credentials, microphone, gate, names, TLS, clock, speech service, "
        "broker, store, disk, unit and Wi-Fi, and prints a line for each with what to do. It needs "
        "no running daemon and disturbs none: the microphone is left to a daemon that has it, "
        "nothing is published, no audio is sent. Half a minute at most. As root (sudo) it sees "
        "what the service sees. Exit status 1: something failed; warnings do not count."
    )
    loading.add_config_option(parser)
    instances.add_instance_option(parser)
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine; 0 where nothing failed."""
    subject = read(args.config, args.instance, dict(os.environ))
    found = []
    for finding in examine(subject):
        found.append(finding)
        if not args.json:
            print(line(finding), flush=True)
    if args.json:
        print(json.dumps(document(subject, found), ensure_ascii=False, indent=2))
    else:
        print(summary(found))
    return ExitStatus.OK if is_well(found) else ExitStatus.FAILED


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom to examine; `config` is what the daemon would use. `about`: what the file came to."""

    path: Path | None
    instance: str
    config: Config
    about: tuple[Finding, ...]
    place: instances.Place
    environ: Mapping[str, str]


def read(given: Path | None, instance: str, environ: Mapping[str, str]) -> Subject:
    """The configuration, or what stands in for one that is not valid."""
    path: Path | None = given
    about: list[Finding] = []
    try:
        path = loading.config_of(given, instance, environ)
        instance = instance if given is None else instance_of(path)
        place = _place(instance, environ)
        loaded = loading.load(path, environ)
    except ConfigError as exc:
        instance = instance if path is None else instance_of(path)
        place = _place(instance, environ)
        config, instead = _instead(path, place, environ)
        remedy = "scribed init makes one that works"
        about += [told(CONFIGURATION, "failed", each, remedy) for each in exc.problems]
        about.append(warning(CONFIGURATION, f"what follows is of {instead}", "correct the file"))
        return Subject(path, instance, config, tuple(about), place, environ)
    config = loaded.config
    about.append(ok(CONFIGURATION, f"{path}: valid"))
    said_below = {key_problem(config.provider, environ)}
    about += [
        told(CONFIGURATION, "warning", each, "see config/scribed.toml")
        for each in check.warnings(config, environ)
        if each not in said_below and not each.startswith("mqtt.username: is empty")
    ]
    return Subject(path, instance, config, tuple(about), place, environ)


def examine(subject: Subject) -> Iterator[Finding]:
    """Every finding, in order, as it comes."""
    yield from subject.about
    daemon = None
    try:
        daemon = instances.ask(subject.instance, "state", {})
        yield ok(DAEMON, str(daemon.get("status_line") or daemon.get("state")))
    except NoDaemon:
        pass  # its unit says whether it should run
    except ScribedError as exc:
        yield _speechless(exc)
    who = identity(subject.config, subject.instance)
    place = subject.place
    patient = Patient(
        subject.config,
        who,
        subject.instance,
        place.state,
        place.runtime,
        subject.environ,
        daemon,
    )
    yield from Examination(patient).findings()


def _speechless(exc: ScribedError) -> Finding:
    if "another user" in str(exc):
        return Finding(DAEMON, "unknown", "one runs, and is another user's", "sudo scribed doctor")
    return failed(DAEMON, str(exc), "systemctl status, and the journal")


def line(finding: Finding) -> str:
    """One line for the terminal."""
    return f"{_MARKS[finding.level]:<8} {finding.part:<13} {finding}"


def summary(found: list[Finding]) -> str:
    """The last line."""
    counts = [
        (sum(each.level == level for each in found), word)
        for level, word in (("failed", "failed"), ("warning", "warned of"), ("unknown", "unknown"))
    ]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "all is well"


def document(subject: Subject, found: list[Finding]) -> dict[str, object]:
    """For programs."""
    return {
        "schema": SCHEMA,
        "ok": is_well(found),
        "version": __version__,
        "instance": subject.instance,
        "configuration": None if subject.path is None else str(subject.path),
        "findings": [each.as_dict() for each in found],
    }


def _place(instance: str, environ: Mapping[str, str]) -> instances.Place:
    """The directories of the instance: those that are there, the service's first."""
    places = instances.places(instance, environ)
    own = places[min(1, len(places) - 1)]
    return next((place for place in places if _is_there(place.state)), own)


def _is_there(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return True


def _instead(
    path: Path | None, place: instances.Place, environ: Mapping[str, str]
) -> tuple[Config, str]:
    """What can be examined all the same."""
    with contextlib.suppress(OSError, ScribedError, UnicodeDecodeError):
        if path is not None:
            return examine_text(path.read_text("utf-8"), environ)[0], "what of it is valid"
    good = place.state / GOOD_FILE
    with contextlib.suppress(OSError, ScribedError, UnicodeDecodeError):
        return loading.read(good, good.read_text("utf-8"), environ).config, f"the last good: {good}"
    return Config(), "the defaults, as there is no last good configuration"
