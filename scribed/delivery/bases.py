"""The base topics of many robots: `mqtt.topic` read backwards. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_PLACES = re.compile(r"(\{robot\}|\{source\})")
_LEVEL = "[^/+#]+"


class Address(NamedTuple):
    """Whose topic one is; "" where the template does not say."""

    robot: str
    source: str
    rest: str  #: below the base, as "alert/quota"; "" is the base itself


class Bases:
    """The topics of all robots whose `mqtt.topic` is `template`, which must be a valid one."""

    def __init__(self, template: str) -> None:
        self._template = template
        seen: set[str] = set()
        pattern = ""
        for part in _PLACES.split(template):
            name = part[1:-1] if _PLACES.fullmatch(part) else ""
            if not name:
                pattern += re.escape(part)
            elif name in seen:
                pattern += f"(?P={name})"
            else:
                pattern += f"(?P<{name}>{_LEVEL})"
                seen.add(name)
        self._pattern = re.compile(f"{pattern}(?:/(?P<rest>.*))?", re.DOTALL)

    @property
    def names_robots(self) -> bool:
        """Whether a topic says which robot's it is."""
        return "{robot}" in self._template

    @property
    def names_sources(self) -> bool:
        """Whether a topic says which microphone's it is."""
        return "{source}" in self._template

    def subscription(self, below: str, robot: str | None = None, source: str | None = None) -> str:
        """The filter for `below` the bases of a robot and a source, or of all of them (None).

        It may let through what is not of them: `address()` says whose a topic is.
        """
        known = {"{robot}": robot, "{source}": source}
        levels = []
        for level in self._template.split("/"):
            filled = [known.get(part, part) for part in _PLACES.split(level)]
            # A wildcard stands for a whole level or for nothing.
            levels.append("+" if None in filled else "".join(part or "" for part in filled))
        return "/".join([*levels, below])

    def address(self, topic: str) -> Address | None:
        """Whose `topic` is; None: of nobody whose topics are like this."""
        found = self._pattern.fullmatch(topic)
        if found is None:
            return None
        said = found.groupdict()
        return Address(said.get("robot") or "", said.get("source") or "", said["rest"] or "")
