"""Secrets: from systemd's credentials, a private file or the environment; never from the TOML.

A secret is a plain `str` only where it is used. No error here carries a part of one.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from scribed.config import Config, Mqtt, ProviderSection
from scribed.errors import ScribedError
from scribed.service.redaction import hide


class _Place(NamedTuple):
    """Where a provider's key may be, beside the file that `provider.key_file` names."""

    credential: str
    variable: str
    look: str  #: what such a key looks like, as far as that is known


_PLACES = {
    "elevenlabs": _Place("elevenlabs-api-key", "ELEVENLABS_API_KEY", ""),
    "openmind": _Place("openmind-api-key", "OPENMIND_API_KEY", " (om1_live_…)"),
}


MQTT_CLIENT_KEY = "mqtt-client-key"
MQTT_PASSWORD = "mqtt-password"  # noqa: S105 -- a name
VARIABLES = {name: place.variable for name, place in _PLACES.items()}
"""Where a provider's key may be in the environment."""
SERVICE_USER = "scribed"
"""The unit's `User=`."""


def key_name(provider: ProviderSection) -> str:
    """The name of the credential that holds the provider's key."""
    return _PLACES[provider.name].credential


def api_key(provider: ProviderSection, environ: Mapping[str, str]) -> str:
    """The provider's key. Raises `ScribedError` that says where it may be put."""
    key = configured_key(provider, environ)
    if key is None:
        name, variable, look = _PLACES[provider.name]
        raise ScribedError(
            f"no API key: put it{look} in the credential {name}, in a file that "
            f"provider.key_file names (chmod 600), or in {variable}"
        )
    return key


def configured_key(provider: ProviderSection, environ: Mapping[str, str]) -> str | None:
    """The provider's key, or None where there is none.

    Raises `ScribedError` where a place was named and cannot be used.
    """
    name, variable, _ = _PLACES[provider.name]
    return credential(
        name,
        file=provider.key_file,
        key="provider.key_file",
        variable=variable,
        environ=environ,
    )


def may_be_keyless(provider: ProviderSection) -> bool:
    """Whether connections may need no key of ours: somebody else makes their tokens, or hears."""
    if provider.name == "openmind":  # Riva on the robot or beside it asks for none
        return provider.openmind.route == "riva" and bool(provider.url)
    options = provider.elevenlabs
    return options.auth == "token" and bool(options.token_command or options.token_url)


def key_problem(provider: ProviderSection, environ: Mapping[str, str]) -> str | None:
    """Why no connection can be made for want of a key; None: there is one, or none is needed."""
    try:
        if may_be_keyless(provider):
            configured_key(provider, environ)
        else:
            api_key(provider, environ)
    except ScribedError as exc:
        return str(exc)
    return None


def mqtt_password(config: Config, environ: Mapping[str, str]) -> str | None:
    """The broker's password, where there is one. Raises `ScribedError`."""
    return credential(
        MQTT_PASSWORD,
        file=config.mqtt.password_file,
        key="mqtt.password_file",
        variable=None,
        environ=environ,
    )


def mqtt_client_key(mqtt: Mqtt, environ: Mapping[str, str]) -> str:
    """The file with the key of `mqtt.cert_file`; "": it is in that file, or there is none.

    Raises `ScribedError` where the key is open to others, or cannot be looked at.
    """
    if not mqtt.cert_file:
        return ""
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(directory) / MQTT_CLIENT_KEY
        if is_there(path):
            return str(path)
    key = "mqtt.key_file" if mqtt.key_file else "mqtt.cert_file"
    path = _expanded(mqtt.key_file or mqtt.cert_file, key)
    _check_private(path, key)
    return str(path) if mqtt.key_file else ""


def with_client_key(config: Config, environ: Mapping[str, str]) -> Config:
    """`config` with the file in `mqtt.key_file` that is to be used. Raises `ScribedError`."""
    key_file = mqtt_client_key(config.mqtt, environ)
    return replace(config, mqtt=replace(config.mqtt, key_file=key_file))


def client_key(config: Config, environ: Mapping[str, str]) -> str | None:
    """The text that holds the key of `mqtt.cert_file`, None where there is no such certificate.

    Raises `ScribedError`.
    """
    path = mqtt_client_key(config.mqtt, environ) or config.mqtt.cert_file
    try:
        return Path(path).read_text("ascii", "replace") if path else None
    except OSError as exc:
        raise ScribedError(f"mqtt.key_file: {path} cannot be read: {exc.strerror}") from exc


def digests(config: Config, environ: Mapping[str, str], salt: bytes) -> dict[str, bytes]:
    """By name, what tells another secret from the one that is there now, and tells nothing else.

    A secret that cannot be read is another one than any that can.
    """
    return {
        name: hashlib.blake2b(_as_it_is(get).encode(), key=salt, digest_size=16).digest()
        for name, get in (
            (key_name(config.provider), lambda: configured_key(config.provider, environ)),
            (MQTT_PASSWORD, lambda: mqtt_password(config, environ)),
            (MQTT_CLIENT_KEY, lambda: client_key(config, environ)),
        )
    }


def _as_it_is(get: Callable[[], str | None]) -> str:
    try:
        return get() or ""
    except ScribedError as exc:
        return f"\0{exc}"


def from_systemd(name: str, environ: Mapping[str, str]) -> bool:
    """Whether the secret called `name` is a credential that systemd handed over at the start."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    return bool(directory) and is_there(Path(str(directory)) / name)


def idle_password(config: Config, environ: Mapping[str, str]) -> str | None:
    """What to say of a password that no broker is ever told, as nobody said whose it is.

    `mqtt.password_file` without `mqtt.username` is a fault of the configuration; a credential may
    be there for all instances. Raises `ScribedError` where the password cannot be read.
    """
    if config.mqtt.username or mqtt_password(config, environ) is None:
        return None
    return "mqtt.username: is empty, so the credential mqtt-password is not used; name the user"


def idle_client_key(config: Config, environ: Mapping[str, str]) -> str | None:
    """What to say of a key that is shown to no broker, as nobody said whose it is."""
    if config.mqtt.cert_file or not from_systemd(MQTT_CLIENT_KEY, environ):
        return None
    return (
        f"mqtt.cert_file: is empty, so the credential {MQTT_CLIENT_KEY} is not used; "
        "name the certificate"
    )


def credential(
    name: str,
    *,
    file: str,
    key: str,
    variable: str | None,
    environ: Mapping[str, str],
) -> str | None:
    """The secret called `name`, or None where there is none.

    Looked for in `$CREDENTIALS_DIRECTORY/<name>`, then in the file that the configuration names
    (under `key`; it must be private), then in the environment. Raises `ScribedError` where a place
    was named and cannot be used.
    """
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(directory) / name
        if is_there(path):
            return _read(path, f"the credential {name}")
    if file:
        path = _expanded(file, key)
        _check_private(path, key)
        return _read(path, key)
    text = environ.get(variable, "") if variable else ""
    return _alone(text, str(variable)) if text else None


def is_there(path: Path) -> bool:
    """Whether something is at `path`; what cannot be looked at is, and reading it will say why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _expanded(file: str, key: str) -> Path:
    try:
        return Path(file).expanduser()
    except RuntimeError as exc:
        raise ScribedError(f"{key}: {file} names no home directory; write the whole path") from exc


def _check_private(path: Path, key: str) -> None:
    try:
        status = path.stat()
    except OSError as exc:
        if "/" not in str(path):  # perhaps the secret itself: it is not to be repeated
            raise ScribedError(
                f"{key}: names a file that cannot be read: {exc.strerror}; it is a path, "
                "the secret stands in the file"
            ) from exc
        raise ScribedError(f"{key}: {path} cannot be read: {exc.strerror}") from exc
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise ScribedError(f"{key}: {path} is open to others (mode {mode:04o}); chmod 600 {path}")
    if status.st_uid not in (os.getuid(), 0, _service_uid()):
        raise ScribedError(f"{key}: {path} belongs to another user; chown it to this one")


def _service_uid() -> int:
    """The service's user, whose files root looks at for it (`sudo scribed doctor`); else ours."""
    try:
        return pwd.getpwnam(SERVICE_USER).pw_uid if os.getuid() == 0 else os.getuid()
    except KeyError:
        return os.getuid()


def _read(path: Path, key: str) -> str:
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        mend = "; chown it to the user that scribed runs as" * isinstance(exc, PermissionError)
        raise ScribedError(f"{key}: {path} cannot be read: {exc.strerror}{mend}") from exc
    except UnicodeDecodeError as exc:
        raise ScribedError(f"{key}: {path} is not a text file") from exc
    return _alone(text, f"{key}: {path}")


def _alone(text: str, where: str) -> str:
    """The secret in `text`, without the space around it."""
    secret = text.strip()
    if not secret:
        raise ScribedError(f"{where} is empty")
    if any(character.isspace() or not character.isprintable() for character in secret):
        raise ScribedError(f"{where} must hold the secret alone, on one line")
    hide(secret)
    return secret
