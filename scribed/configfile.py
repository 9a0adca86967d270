"""Reading the configuration: all its problems at once, and where each value comes from. Pure.

`section.key: what is wrong, what is allowed`, a line for each. An empty file is valid; variables
`SCRIBED_<SECTION>__<KEY>` stand over the file.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import sys
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from scribed.config import Config
from scribed.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENV_PREFIX = "SCRIBED_"
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that fit into no name, path or line: controls, and what in a variable was no UTF-8."""
_MAX_SHOWN = 80
_MAY_HOLD_A_SECRET = frozenset(["provider.url", "provider.key_file", "mqtt.password_file"])
"""Keys that people put a secret into by mistake: a value that is not allowed is not repeated."""

Origins = dict[str, str]
"""Where each value that is not the default comes from: key path → "file" or a variable's name."""


def parse(text: str, environ: Mapping[str, str], *, name: str = "") -> tuple[Config, Origins]:
    """Read the configuration from the TOML `text` and the `SCRIBED_…__…` variables.

    Raises `ConfigError` with every problem; `name` is the file's, for a syntax error.
    """
    config, origins, problems = examine(text, environ, name=name)
    if problems:
        raise ConfigError(problems)
    return config, origins


def examine(
    text: str, environ: Mapping[str, str], *, name: str = ""
) -> tuple[Config, Origins, list[str]]:
    """Like `parse()`, but give the problems along with what could be read, for more to be found.

    Raises `ConfigError` where the text is no TOML.
    """
    name = name or "configuration"
    problems: list[str] = []
    origins: Origins = {}
    try:
        document = _document(text, name)
        _mark(document, "", origins)
        _overlay(document, environ, origins, problems)
        values = _section(Config, document, "", problems)
    except RecursionError as exc:
        raise ConfigError([f"{name}: tables or arrays nested too deeply"]) from exc
    config = Config(**values)
    faulty = {_path(problem) for problem in problems}  # they have their defaults in `config`
    problems += [line for line in _contradictions(config) if _path(line) not in faulty]
    return config, origins, [line + _blame(_path(line), origins) for line in problems]


def flatten(config: msgspec.Struct, prefix: str = "") -> dict[str, Any]:
    """Every key path of `config` with its value, in the order of the file."""
    flat: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(config)):
        value = getattr(config, field.name)
        if isinstance(value, msgspec.Struct):
            flat |= flatten(value, f"{prefix}{field.name}.")
        else:
            flat[prefix + field.name] = value
    return flat


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except ValueError as exc:  # a syntax error, or a number of more digits than int() takes
        raise ConfigError([f"{name}: not valid TOML: {exc}"]) from exc
    return document


def _mark(table: dict[str, Any], prefix: str, origins: Origins) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _mark(value, f"{prefix}{key}.", origins)
        else:
            origins[prefix + key] = "file"


def _overlay(
    document: dict[str, Any], environ: Mapping[str, str], origins: Origins, problems: list[str]
) -> None:
    """Write the variables over the document; a value is TOML, or else a string as it stands."""
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX) or "__" not in variable:
            continue
        path = variable.removeprefix(ENV_PREFIX).lower().split("__")
        table = document
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                problems.append(f"{variable}: {part} is not a section")
                break
        else:
            table[path[-1]] = text if _is_text(path) else _literal(text)
            origins[".".join(path)] = variable


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _is_text(path: list[str]) -> bool:
    """Whether the key at `path` takes nothing but strings, so that 5 is one as well."""
    current: Any = Config
    for part in path:
        hints = typing.get_type_hints(current) if hasattr(current, "__struct_fields__") else {}
        current = hints.get(part)
    choices = typing.get_args(current)
    return current is str or (choices != () and all(isinstance(c, str) for c in choices))


def _path(problem: str) -> str:
    return problem.split(":", 1)[0]


def _blame(path: str, origins: Origins) -> str:
    """Which variable is at fault for what is said about `path`; empty where the file is."""
    under = [o for key, o in origins.items() if key == path or key.startswith(f"{path}.")]
    return f" (set by {under[0]})" if under and under[0] != "file" else ""


def _section(
    struct: type[msgspec.Struct], table: dict[str, Any], prefix: str, problems: list[str]
) -> dict[str, Any]:
    types = typing.get_type_hints(struct, include_extras=True)
    values: dict[str, Any] = {}
    for key, value in table.items():
        path, wanted = prefix + key, types.get(key)
        if wanted is None:
            problems.append(_unknown(prefix, key, list(types)))
        elif isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            if isinstance(value, dict):
                values[key] = wanted(**_section(wanted, value, f"{path}.", problems))
            else:
                problems.append(f"{path}: is a section; write [{path}] and its keys below")
        elif any(isinstance(v, str) and _UNFIT.search(v) for v in _items(value)):
            problems.append(_refusal(path, value, "no control characters"))
        else:
            try:
                values[key] = msgspec.convert(value, wanted)
            except msgspec.ValidationError:
                problems.append(_refusal(path, value, _allowed(wanted)))
    return values


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _refusal(path: str, value: Any, allowed: str) -> str:
    shown = "the value" if path in _MAY_HOLD_A_SECRET else _show(value)
    return f"{path}: {shown} is not allowed; {allowed}"


def _unknown(prefix: str, key: str, known: list[str]) -> str:
    path = prefix + (key if _BARE_KEY.fullmatch(key) else _show(key))
    paths = list(flatten(Config()))
    sections = sorted({p.rsplit(".", 1)[0] for p in paths})
    elsewhere = [p for p in sections + paths if p.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f"{path}: unknown key here; did you mean {elsewhere[0]}?"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"{path}: unknown key; did you mean {prefix}{near[0]}?"
    return f"{path}: unknown key; known here: {', '.join(known)}"


def _show(value: Any) -> str:
    """`value` as the file has it, on one line of bounded length."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = _UNFIT.sub(lambda char: f"\\u{ord(char[0]):04x}", shown)
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"


def _allowed(wanted: Any) -> str:
    """What a key of the type `wanted` may be, in words."""
    meta: Meta | None = None
    if typing.get_origin(wanted) is Annotated:
        wanted, meta = typing.get_args(wanted)
    if typing.get_origin(wanted) is Literal:
        return "one of " + ", ".join(_show(choice) for choice in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        each = typing.get_args(wanted)[0]
        choices = ", ".join(_show(choice) for choice in typing.get_args(each))
        return f"it is a list of any of {choices}" if choices else "it is a list of strings"
    if meta is not None and meta.description:
        return f"it is {meta.description}"
    noun = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    words = f"it is {noun.get(wanted, wanted)}"
    if meta is not None and meta.ge is not None:
        words += f" from {meta.ge} to {meta.le}"
    return words


def _contradictions(config: Config) -> list[str]:
    """What is wrong between keys, or with the form of a value that no type can say."""
    problems = []
    audio, vad, retry, spool = config.audio, config.vad, config.retry, config.spool
    if vad.start_ms > vad.start_window_ms:
        problems.append(
            f"vad.start_ms: {vad.start_ms} does not fit into vad.start_window_ms = "
            f"{vad.start_window_ms}; make it at most as long"
        )
    if isinstance(audio.channel, str) and audio.channel != "mix":
        problems.append(
            f'audio.channel: {_show(audio.channel)} is not allowed; "mix", or a number from 0'
        )
    if isinstance(audio.channel, int) and not 0 <= audio.channel < (audio.channels or 8):
        problems.append(
            f"audio.channel: {audio.channel} is not allowed; "
            f"a number from 0 to {(audio.channels or 8) - 1}"
        )
    if audio.source == "file" and not audio.path:
        problems.append('audio.path: is needed with audio.source = "file"; name a WAV file')
    if not audio.device:
        problems.append('audio.device: is empty; "auto" or the name of an ALSA capture device')
    if retry.initial_s > retry.max_s:
        problems.append(
            f"retry.initial_s: {retry.initial_s} is longer than retry.max_s = {retry.max_s}"
        )
    if spool.runtime_max_mb > spool.max_mb:
        problems.append(
            f"spool.runtime_max_mb: {spool.runtime_max_mb} is more than spool.max_mb = "
            f"{spool.max_mb}; make it at most as much: what is in the one has to fit into the other"
        )
    problems += _url_problems(config.provider.url)
    problems += _topic_problems(config.mqtt.topic)
    if config.mqtt.password_file and not config.mqtt.username:
        problems.append("mqtt.username: is empty, but there is a mqtt.password_file; name the user")
    if not config.mqtt.host:
        problems.append("mqtt.host: is empty; name the broker's host")
    return problems


def _url_problems(url: str) -> list[str]:
    if not url:
        return []
    form = _refusal("provider.url", url, "wss://HOST[:PORT][/PATH]")
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            return ["provider.url: holds a user or a query; a key belongs into provider.key_file"]
        port = parts.port
    except ValueError:  # no number from 0 to 65535, or half a pair of brackets
        return [form]
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        return [form]
    if parts.scheme == "ws" and not _is_loopback(parts.hostname):
        return [
            f"provider.url: ws:// would send speech and key unencrypted to {parts.hostname}; "
            "use wss://, ws:// is for a loopback address only"
        ]
    return []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _topic_problems(topic: str) -> list[str]:
    rest = topic.replace("{robot}", "").replace("{source}", "")
    if "{" in rest or "}" in rest:
        return [
            f"mqtt.topic: {_show(topic)} is not allowed; "
            "only {robot} and {source} may stand in braces"
        ]
    if not topic or topic.startswith(("/", "$")) or topic.endswith("/") or set(topic) & set("#+"):
        return [
            f"mqtt.topic: {_show(topic)} is not allowed; levels divided by /, without # and +, "
            "not starting with / or $, not ending with /"
        ]
    return []
