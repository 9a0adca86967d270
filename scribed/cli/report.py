"""`scribed report`: a support bundle without secrets and without what was said."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scribed.cli import check, doctor, instances, loading
from scribed.doctor import bundle
from scribed.doctor.probes import keys
from scribed.doctor.probes.machine import show_unit
from scribed.doctor.redaction import Redactor
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.service.credentials import configured_key, mqtt_password
from scribed.service.names import unit_of

ABOUT = """\
A support bundle of scribed, made by `scribed report`.

Inside:
{inside}
Left out:
{left_out}
No audio, no text of what was said, no key and no password is inside. Names of hosts, devices,
topics and files are: look through it before you give it to others.
"""
_TEXTS = "the journal: transcript.log_text is on, so that what was said stands in it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Writes an archive (mode 0600) for whoever is to help: versions, configuration, unit, the "
        "journal's last lines, what scribed doctor finds, the daemon's state, devices, and what "
        "files the store has. No audio, no text of what was said, no key, no password. Never over "
        "a file that is there. As root (sudo) it sees what the service sees."
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="the archive (default: scribed-report-INSTANCE-TIME.tar.gz, here)",
    )
    loading.add_config_option(parser)
    instances.add_instance_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Gather, redact, write; 0 where there is an archive."""
    environ = dict(os.environ)
    subject = doctor.read(args.config, args.instance, environ)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = args.output or Path(f"scribed-report-{subject.instance}-{stamp}.tar.gz")
    if path.exists() or path.is_symlink():
        raise ScribedError(f"{path} is there already; give another name with -o FILE")
    print("gathering: half a minute at most", file=sys.stderr, flush=True)
    unit = unit_of(subject.instance)
    with keys.as_the_service(unit, show_unit(f"{unit}.service"), environ) as shown:
        redactor = Redactor(_secrets(subject, shown))
        files, left_out = _gather(subject, unit)
    inside = "".join(f"  {name:<20} {_ABOUT[name]}\n" for name in files)
    absent = "".join(f"  {each}\n" for each in left_out) or "  nothing\n"
    about = ABOUT.format(inside=inside, left_out=absent)
    bundle.write(path, {"README.txt": about, **files}, redactor)
    print(about)
    print(path)
    return ExitStatus.OK


_ABOUT = {
    "versions.json": "scribed, Python, libraries, kernel, the machine",
    "configuration.txt": "every value in force and where it comes from, or what is wrong",
    "doctor.json": "what scribed doctor finds",
    "state.json": "how the running daemon is (scribed status --json)",
    "devices.json": "the microphones (scribed devices --json)",
    "store.txt": "names and sizes of the store's files",
    "unit.txt": "what systemd says of the unit, and its files",
    "journal.txt": f"the last {bundle.JOURNAL_LINES} lines of the unit's journal",
}


def _gather(subject: doctor.Subject, unit: str) -> tuple[dict[str, str], list[str]]:
    """The files by their names, and what is not among them and why."""
    found = list(doctor.examine(subject))
    gathered: dict[str, Callable[[], str | None]] = {
        "versions.json": bundle.versions,
        "configuration.txt": lambda: _configuration(subject),
        "doctor.json": lambda: _json(doctor.document(subject, found)),
        "state.json": lambda: _json(instances.ask(subject.instance, "state", {})),
        "devices.json": bundle.devices,
        "store.txt": lambda: bundle.listing(
            {"state": subject.place.state, "runtime": subject.place.runtime}
        ),
        "unit.txt": lambda: bundle.unit(f"{unit}.service"),
        "journal.txt": lambda: bundle.journal(f"{unit}.service"),
    }
    left_out = []
    if subject.config.transcript.log_text:
        del gathered["journal.txt"]
        left_out.append(_TEXTS)
    files = {}
    for name, gather in gathered.items():
        try:
            text = gather()
        except ScribedError as exc:
            left_out.append(f"{name}: {exc}")
            continue
        if text is None:
            left_out.append(f"{name}: this machine does not say it")
        else:
            files[name] = text
    return files, left_out


def _configuration(subject: doctor.Subject) -> str:
    try:
        loaded = loading.load(subject.path, subject.environ)
    except ConfigError as exc:
        return "not valid:\n" + "\n".join(exc.problems) + "\n"
    return "\n".join(check.shown(loaded, subject.environ))


def _secrets(subject: doctor.Subject, environ: Mapping[str, str]) -> list[str]:
    """Every secret that this process can know of."""
    config = subject.config
    found: list[str | None] = []
    with contextlib.suppress(ScribedError):
        found.append(configured_key(config.provider, environ))
    with contextlib.suppress(ScribedError):
        found.append(mqtt_password(config, environ))
    found += [environ.get(name) for name in ("ELEVENLABS_API_KEY", "OPENMIND_API_KEY")]
    found += config.provider.elevenlabs.token_command[1:]
    return [each.strip() for each in found if each and each.strip()]


def _json(told: object) -> str:
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"
