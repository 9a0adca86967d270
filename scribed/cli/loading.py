"""Finding and reading the configuration file, for every command that needs one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from scribed import parts
from scribed.capture.sources import urls, wanted
from scribed.config import Config
from scribed.configfile import Origins, examine
from scribed.errors import ConfigError, ScribedError
from scribed.service.credentials import is_there, mqtt_client_key, mqtt_password
from scribed.service.names import DEFAULT_INSTANCE
from scribed.uplink.connection import tls_context

SYSTEM_FILE = Path("/etc/scribed/scribed.toml")


class Loaded(Struct, frozen=True):
    """A valid configuration, its text, and where each value comes from."""

    path: Path
    text: str
    config: Config
    origins: Origins


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """The option `-c FILE`."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        help="the configuration; an empty file is valid (default: /etc/scribed/scribed.toml, "
        "else $XDG_CONFIG_HOME/scribed/scribed.toml)",
    )


def config_path(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file to use. Raises `ConfigError` where there is none."""
    if given is not None:
        return given
    own = user_file(environ)
    for path in (SYSTEM_FILE, own):
        if is_there(path):
            return path
    raise ConfigError(
        [f"no configuration: make {SYSTEM_FILE} or {own} (it may be empty), or give -c FILE"]
    )


def user_file(environ: Mapping[str, str]) -> Path:
    """Where this user's own configuration is."""
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    return Path(home) / "scribed" / "scribed.toml"


def config_of(given: Path | None, instance: str, environ: Mapping[str, str]) -> Path:
    """The configuration file of an instance, unless one was given. Raises `ConfigError`."""
    if given is not None or instance == DEFAULT_INSTANCE:
        return config_path(given, environ)
    paths = [place.with_name(f"{instance}.toml") for place in (SYSTEM_FILE, user_file(environ))]
    for path in paths:
        if is_there(path):
            return path
    raise ConfigError([f"no configuration: make {paths[0]} or {paths[1]}, or give -c FILE"])


def load(given: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read and check the configuration. Raises `ConfigError` with every problem."""
    path = config_path(given, environ)
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        raise ConfigError([f"{path} cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path} is not UTF-8 text"]) from exc
    return read(path, text, environ)


def read(path: Path, text: str, environ: Mapping[str, str]) -> Loaded:
    """The configuration in `text`. Raises `ConfigError` with every problem."""
    config, origins, problems = examine(text, environ, name=str(path))
    if config.provider.ca_file:
        try:
            tls_context(config.provider.ca_file)
        except ScribedError as exc:
            problems.append(str(exc))
    problems += [
        f"mqtt.{name}: {file} is not a file; name a PEM file"
        for name, file in (("ca_file", config.mqtt.ca_file), ("cert_file", config.mqtt.cert_file))
        if file and not _is_file(Path(file))
    ]
    looks: list[Callable[[], object]] = [
        lambda: mqtt_password(config, environ),
        lambda: mqtt_client_key(config.mqtt, environ),
        lambda: wanted.parse(config.audio.device),
        lambda: parts.check_cleaning(config.audio),
        lambda: parts.check_metrics(config.metrics),
    ]
    if config.audio.source == "url":
        looks.append(lambda: urls.address(config.audio.path))
    for look in looks:
        try:
            look()
        except ConfigError as exc:
            problems += exc.problems
        except ScribedError as exc:
            problems.append(str(exc))
    if problems:
        raise ConfigError(problems)
    return Loaded(path, text, config, origins)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it cannot be looked at
        return False
