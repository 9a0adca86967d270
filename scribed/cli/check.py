"""`scribed check`: every problem of the configuration at once, or what it comes to."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from scribed import clock
from scribed.capture import silero
from scribed.cli import loading
from scribed.config import Config
from scribed.configfile import flatten
from scribed.delivery import tls
from scribed.delivery.certificates import complaint
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.parts import gate_stages
from scribed.remarks import remarks
from scribed.service.credentials import (
    client_key,
    configured_key,
    idle_client_key,
    idle_password,
    key_name,
    key_problem,
    mqtt_password,
    with_client_key,
)
from scribed.service.names import identity, instance_of, runtime_directory, state_directory
from scribed.service.tokens import command_problem
from scribed.uplink.providers.elevenlabs_query import notices

_SECRET_IN_URL = re.compile(r"(?<=://)[^/?#]*(?=@)|(?<=\?).*")
"""The user of a URL, and its query: a camera's address often has a password in it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Check the configuration without touching microphone, network or broker. "
        "Prints a line for each problem (section.key: what is wrong, what is allowed) and exits "
        "78, or says that it is valid and exits 0. A missing key is a warning: `scribed run` "
        "starts without one and says so in alert/auth_failed."
    )
    loading.add_config_option(parser)
    parser.add_argument(
        "--show",
        action="store_true",
        help="print every effective value and where it comes from; secrets are masked",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; return the exit status."""
    environ = dict(os.environ)
    path = loading.config_path(args.config, environ)
    try:
        loaded = loading.load(path, environ)
    except ConfigError as exc:
        count = len(exc.problems)
        print(f"{path}: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)
        for problem in exc.problems:
            print(f"  {problem}", file=sys.stderr)
        return ExitStatus.CONFIG
    if args.show:
        print("\n".join(shown(loaded, environ)))
    for warning in [*_neural_problem(loaded), *warnings(loaded.config, environ)]:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{path}: valid")
    return ExitStatus.OK


def warnings(config: Config, environ: Mapping[str, str]) -> list[str]:
    """What is valid, and yet not what its author may have meant."""
    found = (
        key_problem(config.provider, environ),
        command_problem(config.provider),
        idle_password(config, environ),
        idle_client_key(config, environ),
        *_of_certificate(config, environ),
    )
    return [*filter(None, found), *notices(config.provider), *remarks(config)]


def _of_certificate(config: Config, environ: Mapping[str, str]) -> list[str | None]:
    """What a broker that wants a certificate of ours will find wrong with it."""
    try:
        mqtt = with_client_key(config, environ).mqtt
    except ScribedError:  # told by who reads the configuration
        return []
    late = [complaint(each.name, each.holds, clock.wall()) for each in tls.own(mqtt.cert_file)]
    return [tls.own_problem(mqtt), *late]


def _neural_problem(loaded: loading.Loaded) -> list[str]:
    """Said to who asked for a second stage, and has half of it."""
    asked = "vad.engine" in loaded.origins and loaded.config.vad.engine == "two_stage"
    if not asked or silero.is_installed():
        return []
    return [
        f"vad.engine: the noise floor alone is the second stage; for Silero too: {silero.INSTALL}"
    ]


def shown(loaded: loading.Loaded, environ: Mapping[str, str]) -> list[str]:
    """Every effective value and where it comes from, without a secret, in lines of TOML."""
    lines: list[str] = []
    section = ""
    for key, plain in flatten(loaded.config).items():
        value = _fit_to_be_shown(key, plain)
        table, name = key.rsplit(".", 1)
        if table != section:
            lines += [*([""] if section else []), f"[{table}]"]
            section = table
        origin = loaded.origins.get(key, "default")
        lines.append(f"{name + ' = ' + toml(value):<42} # {origin}")
    instance = instance_of(loaded.path)
    who = identity(loaded.config, instance)
    provider = loaded.config.provider
    return [
        *lines,
        "",
        f"# robot {who.robot}, source {who.source}, instance {instance}",
        f"# topics {who.base}/…, client id {who.client_id}",
        f"# state {state_directory(instance, environ)}",
        f"# runtime {runtime_directory(instance, environ)}",
        f"# gate: {gate_stages(loaded.config, neural=silero.is_installed())}",
        f"# {key_name(provider)}: {_masked(lambda: configured_key(provider, environ))}",
        f"# mqtt-password: {_masked(lambda: mqtt_password(loaded.config, environ))}",
        f"# mqtt-client-key: {_masked(lambda: client_key(loaded.config, environ))}",
        "",
    ]


def _fit_to_be_shown(key: str, value: Any) -> Any:
    """`value` without the secrets that may be in it."""
    if key == "audio.path" and "://" in value:
        return _SECRET_IN_URL.sub("***", value)
    if key.endswith(".token_command"):
        return (*value[:1], *("***" for _ in value[1:]))
    return value


def toml(value: object) -> str:
    """A value of the configuration as it is written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def _masked(get: Any) -> str:
    try:
        return "none" if get() is None else "********"
    except ScribedError as exc:
        return f"none ({exc})"
