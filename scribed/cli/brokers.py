"""Which broker is meant, for every command that works over MQTT from any machine."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from scribed.cli import loading
from scribed.cli.addresses import SHAPES, address, usual_port
from scribed.config import Config, Mqtt
from scribed.contradictions import contradictions
from scribed.delivery.watch import Access
from scribed.errors import BrokerError, ConfigError, ScribedError
from scribed.service.credentials import (
    MQTT_PASSWORD,
    credential,
    mqtt_client_key,
    mqtt_password,
    with_client_key,
)

_LEVEL = re.compile(r"[a-z0-9_-]+")
_OPTIONS = {
    "mqtt.host": "--host",
    "mqtt.port": "--port",
    "mqtt.transport": "what --host begins with",
    "mqtt.path": "the path in --host",
    "mqtt.username": "--user",
    "mqtt.password_file": "--password-file",
    "mqtt.tls": "--tls",
    "mqtt.ca_file": "--ca-file",
    "mqtt.cert_file": "--client-cert",
    "mqtt.key_file": "--client-key",
    "mqtt.topic": "--topic",
}
"""What overrides a key."""


def add_broker_options(parser: argparse.ArgumentParser) -> None:
    """The options that `access()` reads."""
    options = parser.add_argument_group(
        "the broker",
        "That of this machine's configuration, where there is one; with --host only what is said "
        "here counts, and nothing of a configuration is told to another broker.",
    )
    where = options.add_mutually_exclusive_group()
    where.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="the configuration whose [mqtt] counts"
    )
    where.add_argument(
        *("--host", "--broker"), dest="host", metavar="BROKER", help=f"the broker: {SHAPES}"
    )
    options.add_argument(
        "--port", type=_port, help="its port, where --host has none (default: the usual one)"
    )
    options.add_argument(
        *("--user", "--broker-user"), dest="user", metavar="NAME", help="who we are there"
    )
    options.add_argument(
        *("--password-file", "--broker-password-file"),
        dest="password_file",
        metavar="FILE",
        help="the password of --user: a file that nobody else may read, or - for standard input",
    )
    add_tls_options(options)
    options.add_argument(
        "--topic",
        metavar="TEMPLATE",
        help=f'what the robots have as mqtt.topic (default: "{Mqtt().topic}")',
    )


def add_tls_options(options: argparse._ArgumentGroup) -> None:
    """`--tls`, and what it takes; `tls_values()` reads them."""
    options.add_argument("--tls", action="store_true", help="speak TLS")
    options.add_argument(
        "--ca-file", metavar="FILE", help="the authority to trust (PEM); with TLS, of course"
    )
    options.add_argument(
        "--client-cert",
        metavar="FILE",
        help="our own certificate (PEM), for a broker that wants one; with TLS, of course",
    )
    options.add_argument(
        "--client-key",
        metavar="FILE",
        help="its key, a file that nobody else may read (default: it is in that file)",
    )


def tls_values(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """What `add_tls_options()` asked for, by the keys of [mqtt]; nothing where nothing was said.

    Raises `ScribedError`.
    """
    if args.client_key and not args.client_cert:
        raise ScribedError("--client-key: whose key is it? Name the --client-cert")
    said: dict[str, Any] = {}
    if args.ca_file:
        said["ca_file"] = _file(args.ca_file, "--ca-file")
    if args.client_cert:
        said["cert_file"] = _file(args.client_cert, "--client-cert")
        said["key_file"] = str(Path(args.client_key).absolute()) if args.client_key else ""
        _check_key(Mqtt(tls=True, **said), environ)
    if args.tls or said:
        said["tls"] = True
    return said


def robot_name(text: str) -> str:
    """An argparse type: what a robot or a source may be called."""
    if not _LEVEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a robot or source: lower-case letters, digits, _ and -"
        )
    return text


def access(args: argparse.Namespace, environ: Mapping[str, str]) -> Access:
    """The broker that the options name. Raises `ScribedError`."""
    secure = tls_values(args, environ)
    base = _configured(args.config, environ) if args.host is None else Access(_named(args, secure))
    said = {"port": args.port, "username": args.user, "topic": args.topic}
    mqtt = replace(base.mqtt, **{key: value for key, value in said.items() if value is not None})
    if args.port is None and secure and not mqtt.tls:
        mqtt = replace(mqtt, port=usual_port(mqtt.transport, tls=True))
    mqtt = replace(mqtt, **secure)
    password = base.password if args.user is None else None
    if args.password_file:
        if not mqtt.username:
            raise ScribedError("--password-file: whose password is it? Name the --user")
        password = _password(args.password_file, environ)
    _check(mqtt)
    return Access(mqtt, password)


def in_options(exc: BrokerError) -> BrokerError:
    """The same fault, said to somebody who gave options and wrote no configuration."""
    return BrokerError(_in_options(str(exc)), denied=exc.denied, untrusted=exc.untrusted)


def _named(args: argparse.Namespace, secure: Mapping[str, Any]) -> Mqtt:
    """The broker of `--host`, which says everything about it but who we are."""
    if not args.host:
        raise ScribedError("--host: is empty; name the broker")
    place = address(args.host)
    if place.port and args.port:
        raise ScribedError(f"--port: {args.host} has one already; leave out one of them")
    tls = bool(place.tls or secure)
    port = place.port or usual_port(place.transport, tls=tls)
    named = Mqtt(port=port, transport=place.transport, path=place.path, tls=tls)
    return replace(named, host=place.host) if place.host else named


def _configured(given: Path | None, environ: Mapping[str, str]) -> Access:
    """The broker of the daemon on this machine; where there is no configuration, localhost."""
    try:
        path = loading.config_path(given, environ)
    except ConfigError:
        return Access(Mqtt())
    config = loading.load(path, environ).config
    return Access(with_client_key(config, environ).mqtt, mqtt_password(config, environ))


def _password(file: str, environ: Mapping[str, str]) -> str | None:
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    own = _own(environ)
    return credential(MQTT_PASSWORD, file=file, key="--password-file", variable=None, environ=own)


def _check_key(mqtt: Mqtt, environ: Mapping[str, str]) -> None:
    """The key that was named, or that is in the certificate's file, must be private."""
    try:
        mqtt_client_key(mqtt, _own(environ))
    except ScribedError as exc:
        raise ScribedError(_in_options(str(exc))) from exc


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the secrets that systemd handed over: they are of the configuration."""
    return {key: value for key, value in environ.items() if key != "CREDENTIALS_DIRECTORY"}


def _file(name: str, option: str) -> str:
    """A file that is there, by its whole name."""
    path = Path(name).absolute()
    if not path.is_file():
        raise ScribedError(f"{option}: {name} is not a file; name a PEM file")
    return str(path)


def _check(mqtt: Mqtt) -> None:
    """What a configuration would be told of. Raises `ScribedError`."""
    problems = contradictions(Config(mqtt=mqtt))
    if problems:
        raise ScribedError(_in_options("\n".join(problems)))


def _in_options(text: str) -> str:
    return re.sub(r"\bmqtt\.[a-z_]+", lambda key: _OPTIONS.get(key[0], key[0]), text)


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)
