"""The three things that `scribed init` asks for, each tried before it is believed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scribed.capture.sources import wanted
from scribed.capture.sources.alsa import ROOT, native
from scribed.capture.sources.listing import Listed, survey
from scribed.cli import devices, loading
from scribed.cli.addresses import TLS_PORT, address, usual_port, word
from scribed.cli.brokers import tls_values
from scribed.cli.check import toml
from scribed.cli.questions import Questions
from scribed.config import Config
from scribed.configfile import flatten, parse
from scribed.doctor import network
from scribed.doctor.finding import Finding
from scribed.doctor.probes import broker as brokers
from scribed.doctor.probes import provider as providers
from scribed.errors import ConfigError, ScribedError
from scribed.service.credentials import (
    MQTT_PASSWORD,
    VARIABLES,
    configured_key,
    key_name,
    mqtt_password,
    with_client_key,
)
from scribed.service.names import identity, instance_of


@dataclass(slots=True)
class Draft:
    """What is going to be written: `values` by their key paths, `secrets` by their files.

    `handed`: the files of the credentials that systemd hands to the service.
    """

    path: Path
    environ: Mapping[str, str]
    values: dict[str, Any]
    secrets: list[tuple[Path, str]] = field(default_factory=list)
    handed: Mapping[str, Path] = field(default_factory=dict)

    def config(self, *, without: tuple[str, ...] = ()) -> Config:
        """As it would be in force. Raises `ConfigError`."""
        values = {key: value for key, value in self.values.items() if key not in without}
        return loading.read(self.path, compose(values), self.environ).config

    def text(self) -> str:
        """The file, which is valid. Raises `ConfigError`."""
        fresh = tuple(
            key
            for key, file in self.values.items()
            if key.endswith("password_file") and any(str(path) == file for path, _ in self.secrets)
        )
        self.config(without=fresh)  # a file that is not there yet is no fault
        return (
            f"# Made by scribed init; config/scribed.toml has every key.\n\n{compose(self.values)}"
        )

    def beside(self, name: str) -> Path:
        """A file next to the configuration."""
        return self.path.absolute().parent / name


def compose(values: Mapping[str, Any]) -> str:
    """The configuration file that sets `values`, in the order of config/scribed.toml."""
    lines: list[str] = []
    section = ""
    for key in flatten(Config()):
        if key not in values:
            continue
        table, name = key.rsplit(".", 1)
        if table != section:
            lines += [*([""] if section else []), f"[{table}]"]
            section = table
        lines.append(f"{name} = {toml(values[key])}")
    return "".join(f"{line}\n" for line in lines)


def keys_of(path: Path) -> dict[str, Any]:
    """What the configuration at `path` sets. Raises `ConfigError`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path} cannot be read as text"]) from exc
    config, origins = parse(text, {}, name=str(path))
    flat = flatten(config)
    return {key: flat[key] for key in origins}


# The microphone


def microphone(draft: Draft, ask: Questions, args: argparse.Namespace) -> None:
    """The one that was named, or that somebody speaks into."""
    if args.device is not None:
        wanted.parse(args.device)
        draft.values["audio.device"] = args.device
    elif draft.values.get("audio.source", "alsa") == "alsa" and (name := _by_voice(ask, args)):
        draft.values["audio.device"] = name


def _by_voice(ask: Questions, args: argparse.Namespace) -> str | None:
    if args.yes:  # nobody speaks
        return None
    found = survey(ROOT, devices.look()[0], native)
    if not found:
        print('No microphone is here now: audio.device = "auto" will take the one that comes.')
        return None
    names = [each.name for each in found]
    while True:
        nearest = _heard(found)
        if nearest is not None and ask.agrees(f"Is it {nearest}?"):
            return nearest
        if not ask.agrees("Listen again?", default=False):
            return ask.choice("Which one", names)


def _heard(found: list[Listed]) -> str | None:
    microphones = devices.open_all(found)
    if not microphones:
        print("None can be listened on now; a daemon that runs has it: systemctl stop scribed")
        return None
    print(f"Say a sentence, as you would to the robot ({devices.FIND_S} s at most) …", flush=True)
    try:
        finding = devices.listen(microphones, devices.FIND_S)
    finally:
        for source in microphones.values():
            source.close()
    nearest = finding.nearest()
    devices.tell(nearest, {name: finding.heard(name) for name in microphones})
    return nearest


# The key


def key(draft: Draft, ask: Questions, args: argparse.Namespace) -> None:
    """Into a file of its own; tried with the service, which costs nothing."""
    known = draft.values.get("provider.name", "elevenlabs")
    names = sorted(VARIABLES, key=lambda name: name != known)
    draft.values["provider.name"] = args.provider or ask.choice("Speech service", names)
    if args.url is not None:
        draft.values["provider.url"] = args.url
    if args.key_file not in (None, "-"):
        draft.values["provider.key_file"] = str(Path(args.key_file).absolute())
        _told(_try_key(draft, draft.environ))
        return
    if args.key_file == "-":
        _keep_key(draft, _readable(sys.stdin.readline().strip()))
    elif not _has_key(draft) or not ask.agrees("There is a key already. Keep it?"):
        _ask_for_key(draft, ask)


def _ask_for_key(draft: Draft, ask: Questions) -> None:
    name = draft.values["provider.name"]
    while secret := ask.secret(f"Key for {name} (not shown; empty: later)"):
        if _is_taken(draft, secret, ask):
            return
    print("  no key yet: scribed hears, and waits for one with what it heard")


def _has_key(draft: Draft) -> bool:
    try:
        return configured_key(_config(draft).provider, draft.environ) is not None
    except ScribedError as exc:
        print(exc)
        return False


def _is_taken(draft: Draft, secret: str, ask: Questions) -> bool:
    """Whether the key that was typed is kept."""
    try:
        refused = _keep_key(draft, _readable(secret))
    except ScribedError as exc:
        print(exc)
        return False
    if refused and ask.agrees("Another one?"):
        draft.secrets.clear()
        return False
    return True


def _keep_key(draft: Draft, secret: str) -> bool:
    """Note it; whether the service refuses it."""
    provider = _config(draft).provider
    handed = draft.handed.get(key_name(provider))  # which goes before provider.key_file
    file = handed or draft.beside(key_name(provider))
    draft.secrets.append((file, secret))
    draft.values.pop("provider.key_file", None)
    usual = {k: v for k, v in draft.environ.items() if k != "CREDENTIALS_DIRECTORY"}
    answered = _try_key(draft, {**usual, VARIABLES[provider.name]: secret})
    if handed is None:
        draft.values["provider.key_file"] = str(file)
    _told(answered)
    return answered.alert == "auth_failed"


def _try_key(draft: Draft, environ: Mapping[str, str]) -> network.Answered:
    return providers.greet(_config(draft).provider, environ)


def _readable(secret: str) -> str:
    if not secret or any(each.isspace() or not each.isprintable() for each in secret):
        raise ScribedError("a key is one word; nothing was taken")
    return secret


def _config(draft: Draft) -> Config:
    """Raises `ConfigError` where an answer so far is not valid."""
    return draft.config(without=("mqtt.password_file",))


def _told(answered: network.Answered) -> None:
    _say(network.of_provider(answered)[0])


# The broker


def broker(draft: Draft, ask: Questions, args: argparse.Namespace) -> None:
    """Asked for until it answers, or is to be believed all the same."""
    if args.broker_user is not None:
        draft.values["mqtt.username"] = args.broker_user
    if args.broker_password_file is not None:
        draft.values["mqtt.password_file"] = str(Path(args.broker_password_file).absolute())
    secure = tls_values(args, draft.environ)
    given = args.broker
    while True:
        known = word(_config(draft).mqtt)
        try:
            _place(draft, given or ask.text("MQTT broker", known), ask, secure)
        except ScribedError as exc:
            if given:
                raise
            print(exc)
            continue
        reached = _try_broker(draft, ask, is_asked=not args.yes)
        if not reached.problem or args.yes or not ask.agrees("Another broker?"):
            return
        given = None


_WHERE = ("mqtt.host", "mqtt.port", "mqtt.transport", "mqtt.path")
_WITHIN_TLS = ("mqtt.ca_file", "mqtt.cert_file", "mqtt.key_file")


def _place(draft: Draft, text: str, ask: Questions, secure: Mapping[str, Any]) -> None:
    """Note which broker it is. Raises `ScribedError` where that cannot be."""
    said = address(text)
    is_tls = bool(draft.values.get("mqtt.tls")) if said.tls is None else said.tls
    if said.port == TLS_PORT and said.tls is None and not (is_tls or secure):
        is_tls = ask.agrees("TLS, as usual on that port?")
    is_tls = is_tls or bool(secure)
    gone = (*_WHERE, *(() if is_tls else _WITHIN_TLS))
    values = {key: value for key, value in draft.values.items() if key not in gone}
    values |= {**{f"mqtt.{key}": value for key, value in secure.items()}, "mqtt.tls": is_tls}
    if said.host:
        values["mqtt.host"] = said.host
        values["mqtt.port"] = said.port or usual_port(said.transport, tls=is_tls)
    if said.transport != "tcp":
        values |= {"mqtt.transport": said.transport, "mqtt.path": said.path}
    _config(Draft(draft.path, draft.environ, values))
    draft.values = values


def _try_broker(draft: Draft, ask: Questions, *, is_asked: bool) -> network.Reached:
    reached = _reach(draft)
    _say(network.of_broker(reached)[0])
    if not (is_asked and reached.is_denied):
        return reached
    user = ask.text("User", draft.values.get("mqtt.username") or os.environ.get("USER", "scribed"))
    password = ask.secret("Password (not shown)")
    if password:
        draft.values["mqtt.username"] = user
        file = draft.handed.get(MQTT_PASSWORD)
        if file is None:
            file = draft.beside(MQTT_PASSWORD)
            draft.values["mqtt.password_file"] = str(file)
        draft.secrets = [each for each in draft.secrets if each[0] != file]
        draft.secrets.append((file, password))
        reached = _reach(draft)
        _say(network.of_broker(reached)[0])
    return reached


def _password_file(draft: Draft) -> Path | None:
    """Where the password is, or will be: what systemd hands over goes before what is configured."""
    configured = draft.values.get("mqtt.password_file")
    return draft.handed.get(MQTT_PASSWORD) or (Path(configured) if configured else None)


def _reach(draft: Draft) -> network.Reached:
    config = _config(draft)
    file = _password_file(draft)
    password = next((secret for path, secret in draft.secrets if path == file), None)
    try:
        if password is None:
            password = mqtt_password(draft.config(), draft.environ)
        mqtt = with_client_key(config, draft.environ).mqtt
    except ScribedError as exc:
        return network.Reached(word(config.mqtt), problem=str(exc))
    who = identity(config, instance_of(draft.path))
    return brokers.try_broker(mqtt, who, password)


def _say(finding: Finding) -> None:
    print(f"  {finding.level}: {finding}")
