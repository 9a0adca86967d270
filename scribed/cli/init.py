"""`scribed init`: asks its way to a working configuration."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
import time
from pathlib import Path
from typing import Any

from scribed.cli import initial, instances, loading
from scribed.cli.initial import Draft
from scribed.cli.questions import Questions
from scribed.doctor.probes.machine import show_unit
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.service.credentials import SERVICE_USER, is_there
from scribed.service.files import File, write_all
from scribed.service.names import DEFAULT_INSTANCE, instance_of, unit_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Asks for microphone (it finds the one you speak into), key and broker, tries each, and "
        "writes the configuration: /etc/scribed/scribed.toml as root, else the user's own. The key "
        "goes into a file of its own (mode 0600) and is never shown. Nothing is written before the "
        "last question; a configuration that is there is kept as a copy. For scripts: --yes, with "
        "an option for each answer that is not the default."
    )
    loading.add_config_option(parser)
    instances.add_instance_option(parser)
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the defaults")
    parser.add_argument("--device", metavar="NAME", help="audio.device; see scribed devices")
    parser.add_argument("--provider", choices=("elevenlabs", "openmind"), help="the service")
    parser.add_argument("--url", metavar="URL", help="provider.url, for another endpoint")
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="the file with the key, or - to read the key from standard input",
    )
    parser.add_argument("--broker", metavar="HOST[:PORT]", help="the MQTT broker")
    parser.add_argument("--broker-user", metavar="NAME", help="mqtt.username")
    parser.add_argument(
        "--broker-password-file", metavar="FILE", help="a private file with its password"
    )
    parser.add_argument("--tls", action="store_true", help="the broker wants TLS")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, try, write; 0 where there is a configuration."""
    if not args.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ScribedError(
            "init asks questions, and this is no terminal; give --yes, with --device NAME, "
            "--key-file FILE and --broker HOST:PORT where the defaults will not do"
        )
    environ = dict(os.environ)
    path = _path(args.config, args.instance, environ)
    questions = Questions(yes=args.yes)
    try:
        draft = Draft(path, environ, _kept(path, questions))
        initial.microphone(draft, questions, args)
        initial.key(draft, questions, args)
        initial.broker(draft, questions, args)
        text = draft.text()
        print(f"\n{text}")
        if not questions.agrees(f"Write this to {path}?"):
            raise ScribedError("nothing was written")
        _write(draft, text)
    except (KeyboardInterrupt, EOFError):
        print()
        raise ScribedError("nothing was written") from None
    _say_what_is_next(path)
    return ExitStatus.OK


def _path(given: Path | None, instance: str, environ: dict[str, str]) -> Path:
    if given is not None:
        return given
    usual = loading.SYSTEM_FILE if os.geteuid() == 0 else loading.user_file(environ)
    return usual if instance == DEFAULT_INSTANCE else usual.with_name(f"{instance}.toml")


def _kept(path: Path, questions: Questions) -> dict[str, Any]:
    """The keys of the configuration that is there, to go on with."""
    if not is_there(path):
        return {}
    if not questions.agrees(f"There is {path} already. Change it?", default=False):
        raise ScribedError(f"{path} stays as it is; nothing was written")
    try:
        return initial.keys_of(path)
    except ConfigError as exc:
        print("\n".join(exc.problems), file=sys.stderr)
        if not questions.agrees("It is not valid. Begin anew? A copy is kept", default=False):
            raise ScribedError(f"{path} stays as it is; nothing was written") from None
        return {}


def _write(draft: Draft, text: str) -> None:
    """Secrets first, then the copy of what is there, then the configuration."""
    path = draft.path
    service = _service_user() if path.parent == loading.SYSTEM_FILE.parent else None
    is_system = path.parent == loading.SYSTEM_FILE.parent
    files = [File(where, f"{what}\n".encode(), 0o600, service) for where, what in draft.secrets]
    mode = 0o644 if is_system else 0o600  # it holds no secret; the service's user has to read it
    if is_there(path):
        copy = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            files.append(File(copy, path.read_bytes(), 0o600))
        except OSError as exc:
            raise ScribedError(f"{path} cannot be read: {exc.strerror}") from exc
        print(f"a copy of what was there: {copy}")
    files.append(File(path, text.encode(), mode))
    write_all(files, directory_mode=0o755 if is_system else 0o700)


def _service_user() -> int | None:
    try:
        return pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        return None


def _say_what_is_next(path: Path) -> None:
    instance = instance_of(path)
    unit = unit_of(instance)
    is_usual = path.parent in (
        loading.SYSTEM_FILE.parent,
        loading.user_file(dict(os.environ)).parent,
    )
    option = "" if is_usual and instance == DEFAULT_INSTANCE else f" -c {path}"
    shown = show_unit(f"{unit}.service") or {}
    print(f"written: {path}\nnext:\n  scribed doctor{option}")
    if path.parent == loading.SYSTEM_FILE.parent and shown.get("LoadState") == "loaded":
        print(f"  systemctl enable --now {unit}     (runs already: systemctl restart {unit})")
    else:
        print(f"  scribed run{option}")
        print("  as a service: docs/systemd.md")
