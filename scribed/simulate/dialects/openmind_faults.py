"""What can go wrong with OpenMind's proxy alone, by name, and where its spelling differs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from scribed.simulate.dialects.openmind_routes import Options


class OpenMindFault(NamedTuple):
    """A state, which `changes` the options of each session that opens meanwhile; or an event, which
    `Session.fail` takes by its name and changes nothing."""

    says: str
    changes: Mapping[str, Any] = MappingProxyType({})

    @property
    def is_event(self) -> bool:
        return not self.changes


OPENMIND_FAULTS: Mapping[str, OpenMindFault] = MappingProxyType(
    {
        "openmind-committed": OpenMindFault(
            'finals have "type": "committed", as OM1\'s clients want them', {"final": "committed"}
        ),
        "openmind-final": OpenMindFault('finals have "type": "final"', {"final": "final"}),
        "openmind-untyped": OpenMindFault('finals have "type": ""', {"final": ""}),
        "openmind-no-greeting": OpenMindFault("no connection message", {"hello": False}),
        "openmind-never-ends": OpenMindFault(
            "no silence is long enough for a final", {"endpoint_s": 3600.0}
        ),
        "openmind-echo": OpenMindFault("a partial repeats each final", {"echo": True}),
        "openmind-clock": OpenMindFault(
            "the service's clock is seven hours fast", {"clock_off_s": 7 * 3600.0}
        ),
        "openmind-raw": OpenMindFault(
            "the header of a binary frame is heard as audio, as on Riva before June 2026",
            {"binary": "raw"},
        ),
        "openmind-kept": OpenMindFault(
            "a restart commits the open utterance, which is lost else", {"restart": "commit"}
        ),
        "openmind-restart": OpenMindFault("recognition is restarted, as it is after 5 minutes"),
        "openmind-complaint": OpenMindFault("error, and the connection goes on"),
    }
)


def changed(options: Options, names: Collection[str]) -> Options:
    """Return the options of a session that opens while the states of these names are on.

    Of two that contradict each other the later in the table counts.
    """
    for name, fault in OPENMIND_FAULTS.items():
        if name in names:
            options = replace(options, **fault.changes)
    return options
