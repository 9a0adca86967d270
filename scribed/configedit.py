"""Other values in a configuration file's own text: comments and all else stay. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scribed.configfile import examine, flatten
from scribed.contradictions import show
from scribed.errors import ConfigError

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """`text` with other values for some keys, each by its path, as "vad.hangover_ms".

    A key that stands there, if only as a comment, is changed in its place; another comes first in
    its section. Raises `ValueError` where that cannot be done without changing something else, and
    `ConfigError` where `text` is no TOML.
    """
    before = flatten(examine(text, {})[0])
    lines = text.splitlines(keepends=True)
    for path, value in values.items():
        section, name = path.rsplit(".", 1)
        _set(lines, section, name, show(value))
    changed = "".join(lines)
    try:
        config, _, problems = examine(changed, {})
    except ConfigError as exc:
        config, problems = None, exc.problems
    if config is None or flatten(config) != before | dict(values):
        why = f" ({problems[0]})" if problems else ""
        wanted = ", ".join(f"{path} = {show(value)}" for path, value in values.items())
        raise ValueError(f"it is written in a way that only its author can change{why}: {wanted}")
    return changed


def _set(lines: list[str], section: str, name: str, value: str) -> None:
    """Write the value in its place."""
    start, end = _section(lines, section)
    dotted = re.compile(rf"()\s*{re.escape(section)}\s*\.\s*{name}\s*=")
    plain = re.compile(rf"()\s*{name}\s*=")
    commented = re.compile(rf"(#\s?){name}\s*=")
    root = next((n for n, line in enumerate(lines) if _HEADER.match(line)), len(lines))
    places = [(range(root), dotted), (range(start, end), plain), (range(start, end), commented)]
    for span, pattern in places:
        for n in span:
            if pattern.match(lines[n]):
                lines[n] = _with_value(lines[n], value, pattern)
                return
    if start < end or (start and _HEADER.match(lines[start - 1])):
        lines[start - 1] = lines[start - 1].rstrip("\r\n") + "\n"
        lines.insert(start, f"{name} = {value}\n")
    else:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines += ["\n"] * bool(lines) + [f"[{section}]\n", f"{name} = {value}\n"]


def _section(lines: list[str], section: str) -> tuple[int, int]:
    """The lines of a section, without its header; none where there is no such section."""
    start = None
    for n, line in enumerate(lines):
        header = _HEADER.match(line)
        if header and start is not None:
            return start, n
        if header and header[1].strip() == section:
            start = n + 1
    return (len(lines), len(lines)) if start is None else (start, len(lines))


def _with_value(line: str, value: str, pattern: re.Pattern[str]) -> str:
    """The line with another value, no longer a comment, and what stood behind it in its column."""
    body = line.rstrip("\r\n")
    ending = line[len(body) :]
    match = pattern.match(body)
    assert match is not None
    mark = match[1]
    key, behind = body[len(mark) : match.end()], body[match.end() :]
    at = behind.find("#")
    said = f"{key} {value}"
    if at < 0:
        return said + ending
    column = match.end() + at
    return said.ljust(column - 1) + " " + behind[at:] + ending
