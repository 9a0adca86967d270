"""Which broker is meant, for every command that works over MQTT from any machine."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from scribed.cli import loading
from scribed.config import Config, Mqtt
from scribed.contradictions import contradictions
from scribed.delivery.watch import Access
from scribed.errors import BrokerError, ConfigError, ScribedError
from scribed.service.credentials import MQTT_PASSWORD, credential, mqtt_password, with_client_key

PLAIN_PORT, TLS_PORT = 1883, 8883
_LEVEL = re.compile(r"[a-z0-9_-]+")
_OPTIONS = {
    "mqtt.host": "--host",
    "mqtt.port": "--port",
    "mqtt.username": "--user",
    "mqtt.password_file": "--password-file",
    "mqtt.tls": "--tls",
    "mqtt.ca_file": "--ca-file",
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
    where.add_argument("--host", metavar="HOST", help="the broker's name or address")
    options.add_argument(
        "--port", type=_port, help=f"its port (default: {PLAIN_PORT}, with TLS {TLS_PORT})"
    )
    options.add_argument("--user", metavar="NAME", help="who we are there")
    options.add_argument(
        "--password-file",
        metavar="FILE",
        help="the password of --user: a file that nobody else may read, or - for standard input",
    )
    options.add_argument("--tls", action="store_true", help="speak TLS")
    options.add_argument(
        "--ca-file", metavar="FILE", help="the authority to trust (PEM); with TLS, of course"
    )
    options.add_argument(
        "--topic",
        metavar="TEMPLATE",
        help=f'what the robots have as mqtt.topic (default: "{Mqtt().topic}")',
    )


def robot_name(text: str) -> str:
    """An argparse type: what a robot or a source may be called."""
    if not _LEVEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a robot or source: lower-case letters, digits, _ and -"
        )
    return text


def access(args: argparse.Namespace, environ: Mapping[str, str]) -> Access:
    """The broker that the options name. Raises `ScribedError`."""
    named = args.host is not None
    base = Access(Mqtt(host=args.host)) if named else _configured(args.config, environ)
    said = {
        "port": args.port,
        "username": args.user,
        "tls": True if args.tls or args.ca_file else None,
        "ca_file": args.ca_file,
        "topic": args.topic,
    }
    mqtt = replace(base.mqtt, **{key: value for key, value in said.items() if value is not None})
    if args.port is None and mqtt.tls and not base.mqtt.tls:
        mqtt = replace(mqtt, port=TLS_PORT)
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
    own = {key: value for key, value in environ.items() if key != "CREDENTIALS_DIRECTORY"}
    return credential(MQTT_PASSWORD, file=file, key="--password-file", variable=None, environ=own)


def _check(mqtt: Mqtt) -> None:
    """What a configuration would be told of. Raises `ScribedError`."""
    problems = contradictions(Config(mqtt=mqtt))
    if mqtt.ca_file and not Path(mqtt.ca_file).is_file():
        problems.append(f"mqtt.ca_file: {mqtt.ca_file} is not a file; name a PEM file")
    if problems:
        raise ScribedError(_in_options("\n".join(problems)))


def _in_options(text: str) -> str:
    return re.sub(r"\bmqtt\.[a-z_]+", lambda key: _OPTIONS.get(key[0], key[0]), text)


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)
