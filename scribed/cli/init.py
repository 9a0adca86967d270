"""`scribed init`: asks its way to a working configuration."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
import time
from pathlib import Path
from typing import Any

from scribed.cli import brokers, initial, instances, loading
from scribed.cli.addresses import SHAPES
from scribed.cli.initial import Draft
from scribed.cli.questions import Questions
from scribed.doctor.keys import load_credentials
from scribed.doctor.probes import keys
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
    options = parser.add_argument_group("the broker")
    options.add_argument(
        *("--broker", "--host"), dest="broker", metavar="BROKER", help=f"which: {SHAPES}"
    )
    options.add_argument(
        *("--broker-user", "--user"), dest="broker_user", metavar="NAME", help="mqtt.username"
    )
    options.add_argument(
        *("--broker-password-file", "--password-file"),
        dest="broker_password_file",
        metavar="FILE",
        help="a private file with its password",
    )
    brokers.add_tls_options(options)
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
    unit = unit_of(instance_of(path))
    shown = show_unit(f"{unit}.service") if _is_system(path) else None
    try:
        with keys.as_the_service(unit, shown, environ) as seen:
            draft = Draft(path, seen, _kept(path, questions), handed=_handed(shown))
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


def _is_system(path: Path) -> bool:
    """Whether it is a service's configuration."""
    return path.absolute().parent == loading.SYSTEM_FILE.parent


def _handed(shown: dict[str, str] | None) -> dict[str, Path]:
    """The files that systemd reads for the service, by the names of the credentials."""
    pairs = load_credentials((shown or {}).get("LoadCredential", ""))
    return {name: Path(path) for name, path in pairs}


def _kept(path: Path, questions: Questions) -> dict[str, Any]:
    """The keys of the configuration that is there, to go on with."""
    if not is_there(path):
        return {}
    kept: dict[str, Any] = {}
    try:
        kept = initial.keys_of(path)
        what = "Change it?" if kept else "It sets nothing. Replace it?"
    except ConfigError as exc:
        print("\n".join(exc.problems), file=sys.stderr)
        what = "It is not valid. Begin anew?"
    said = f"There is {path} already. {what} A copy is kept"
    if not questions.agrees(said, default=what.startswith("It sets nothing")):
        raise ScribedError(f"{path} stays as it is; nothing was written")
    return kept


def _write(draft: Draft, text: str) -> None:
    """Secrets first, then the copy of what is there, then the configuration."""
    path, is_system = draft.path, _is_system(draft.path)
    service = _service_user() if is_system else None
    handed = draft.handed.values()  # root's: systemd reads them
    files = [
        File(where, f"{what}\n".encode(), 0o600, None if where in handed else service)
        for where, what in draft.secrets
    ]
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
    is_usual = path in (loading.SYSTEM_FILE, loading.user_file(dict(os.environ)))
    option = "" if is_usual else f" -c {path}"
    shown = show_unit(f"{unit}.service") or {}
    print(f"written: {path}\nnext:\n  scribed doctor{option}")
    if _is_system(path) and shown.get("LoadState") == "loaded":
        print(f"  systemctl enable --now {unit}     (runs already: systemctl restart {unit})")
    else:
        print(f"  scribed run{option}")
        print("  as a service: docs/systemd.md")
