"""Where the secrets are, and whether they can be read: as the service has them, where it is one."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scribed.config import Config
from scribed.doctor.keys import DIRECTIVES, Evidence, Source, load_credentials, source_of
from scribed.errors import ScribedError
from scribed.service.credentials import (
    MQTT_CLIENT_KEY,
    MQTT_PASSWORD,
    client_key,
    configured_key,
    is_there,
    key_name,
    key_problem,
    may_be_keyless,
    mqtt_password,
)

HANDED = Path("/run/credentials")
"""Where systemd puts what a running service was given."""


@contextlib.contextmanager
def as_the_service(
    unit: str, shown: Mapping[str, str] | None, environ: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """The environment that shows credentials as the unit has them, for as long as the block runs.

    What this process was given itself goes first, then what systemd gave the service that runs,
    then the files that the unit names, as far as they may be read.
    """
    if environ.get("CREDENTIALS_DIRECTORY") or not shown:
        yield dict(environ)
        return
    handed = HANDED / f"{unit}.service"
    if _may_list(handed):
        yield {**environ, "CREDENTIALS_DIRECTORY": str(handed)}
        return
    named = load_credentials(shown.get("LoadCredential", ""))
    readable = [(name, Path(path)) for name, path in named if os.access(path, os.R_OK)]
    if not readable:
        yield dict(environ)
        return
    with tempfile.TemporaryDirectory(prefix="scribed-") as directory:  # of links, no secret
        for name, path in readable:
            (Path(directory) / Path(name).name).symlink_to(path)
        yield {**environ, "CREDENTIALS_DIRECTORY": directory}


def gather(
    config: Config, environ: Mapping[str, str], shown: Mapping[str, str] | None
) -> list[Evidence]:
    """The provider's key first; the broker's password and the key of our certificate, if any."""
    provider = config.provider
    name = key_name(provider)
    keyless = may_be_keyless(provider)
    key = _evidence(
        name,
        key_problem(provider, environ) or "",
        lambda: configured_key(provider, environ) is not None,
        _source(name, provider.key_file, environ, shown),
        is_needed=not keyless,
    )
    password = _evidence(
        MQTT_PASSWORD,
        "",
        lambda: mqtt_password(config, environ) is not None,
        _source(MQTT_PASSWORD, config.mqtt.password_file, environ, shown),
        is_needed=bool(config.mqtt.password_file),
    )
    source = _source(MQTT_CLIENT_KEY, config.mqtt.key_file or config.mqtt.cert_file, environ, shown)
    ours = _evidence(
        MQTT_CLIENT_KEY,
        "",
        lambda: client_key(config, environ) is not None,
        source,
        is_needed=bool(config.mqtt.cert_file),
    )
    is_missing = source is not None and source.is_handed and source.is_missing
    return [
        key,
        *([password] if password.is_there or password.problem or password.source else []),
        *([ours] if config.mqtt.cert_file or is_missing else []),
    ]


def _evidence(
    name: str, problem: str, find: Callable[[], bool], source: Source | None, *, is_needed: bool
) -> Evidence:
    found = False
    try:
        found = find()
    except ScribedError as exc:
        problem = problem or str(exc)
    return Evidence(name, found, problem, is_needed, source)


def _source(
    name: str, file: str, environ: Mapping[str, str], shown: Mapping[str, str] | None
) -> Source | None:
    """The file that it comes from, so far as it is one."""
    if shown:
        for key in DIRECTIVES:
            if path := source_of(load_credentials(shown.get(key, "")), name):
                return _look(path, is_handed=True, is_encrypted=key.endswith("Encrypted"))
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and is_there(Path(directory) / name):
        return None  # systemd's own copy
    with contextlib.suppress(RuntimeError):  # ~ of nobody: its reader says so
        return _look(str(Path(file).expanduser())) if file else None
    return None


def _look(path: str, *, is_handed: bool = False, is_encrypted: bool = False) -> Source:
    try:
        found = Path(path).stat()
    except OSError as exc:
        missing = isinstance(exc, FileNotFoundError)
        return Source(path, None, None, is_handed, is_encrypted, is_missing=missing)
    mode = stat.S_IMODE(found.st_mode)
    return Source(path, mode, found.st_uid, is_handed, is_encrypted)


def _may_list(directory: Path) -> bool:
    try:
        return bool(list(directory.iterdir()))
    except OSError:
        return False
