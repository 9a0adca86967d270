"""What an examination says of one part: how it is, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "failed", "unknown"]
"""`unknown`: it could not be looked at; like a warning, that is no failure."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `remedy` says what to do where something is to be done."""

    part: str
    level: Level
    text: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


def ok(part: str, text: str) -> Finding:
    """All is well."""
    return Finding(part, "ok", text)


def warning(part: str, text: str, remedy: str) -> Finding:
    """It works, and may not do so well or for long."""
    return Finding(part, "warning", text, remedy)


def failed(part: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(part, "failed", text, remedy)


def unknown(part: str, text: str, remedy: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(part, "unknown", text, remedy)


def told(part: str, level: Level, line: str, remedy: str) -> Finding:
    """One of scribed's own error lines, which mostly say behind a semicolon what to do.

    `remedy` is for one that does not.
    """
    text, found, advice = line.partition("; ")
    return Finding(part, level, text, advice if found else remedy)


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return all(each.level != "failed" for each in findings)
