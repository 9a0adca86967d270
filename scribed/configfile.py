"""Reading the configuration: all its problems at once, and where each value comes from. Pure.

`section.key: what is wrong, what is allowed`, a line for each. An empty file is valid; variables
`SCRIBED_<SECTION>__<KEY>` stand over the file.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scribed.config import Config
from scribed.contradictions import UNFIT, contradictions, refusal, show
from scribed.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENV_PREFIX = "SCRIBED_"
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")

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
    problems += [line for line in contradictions(config) if _path(line) not in faulty]
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
        elif any(isinstance(v, str) and UNFIT.search(v) for v in _items(value)):
            problems.append(refusal(path, value, "no control characters"))
        else:
            try:
                values[key] = msgspec.convert(value, wanted)
            except msgspec.ValidationError:
                problems.append(refusal(path, value, _allowed(wanted)))
    return values


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unknown(prefix: str, key: str, known: list[str]) -> str:
    path = prefix + (key if _BARE_KEY.fullmatch(key) else show(key))
    paths = list(flatten(Config()))
    sections = sorted({p.rsplit(".", 1)[0] for p in paths})
    elsewhere = [p for p in sections + paths if p.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f"{path}: unknown key here; did you mean {elsewhere[0]}?"
    import difflib  # noqa: PLC0415 -- only where a key is wrong

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"{path}: unknown key; did you mean {prefix}{near[0]}?"
    return f"{path}: unknown key; known here: {', '.join(known)}"


def _allowed(wanted: Any) -> str:
    """What a key of the type `wanted` may be, in words."""
    meta: Meta | None = None
    if typing.get_origin(wanted) is Annotated:
        wanted, meta = typing.get_args(wanted)
    if typing.get_origin(wanted) is Literal:
        return "one of " + ", ".join(show(choice) for choice in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        each = typing.get_args(wanted)[0]
        choices = ", ".join(show(choice) for choice in typing.get_args(each))
        return f"it is a list of any of {choices}" if choices else "it is a list of strings"
    if meta is not None and meta.description:
        return f"it is {meta.description}"
    noun = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    words = f"it is {noun.get(wanted, wanted)}"
    if meta is not None and meta.ge is not None:
        words += f" from {meta.ge} to {meta.le}"
    return words
