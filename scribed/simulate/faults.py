"""What can go wrong on purpose: faults by name, and a schedule of them. Pure.

A fault is a state, which shapes what a connection gets as long as it lasts, or an event, which
befalls each connection once. `Faults` says which are on; `faulty.py` makes a session suffer them.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus

from scribed.simulate.dialects.elevenlabs_errors import TEXTS
from scribed.simulate.dialects.openmind_faults import OPENMIND_FAULTS

NUMBERED = re.compile(r"(http|mint|close)-([0-9]+)")
LINE = re.compile(r"(?P<start>\S+)\s+(?P<fault>\S+)(?:\s+for\s+(?P<length>\S+))?")
ON_COMMIT = "commit"  # the value of an event that waits for the next commit


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault as the manual has it. `value` says what its value is; "" where it takes none."""

    says: str
    value: str = ""
    default: float = 0.0
    least: float = 0.0
    is_event: bool = False


STATES = {
    "http": Kind("the upgrade is answered with this HTTP status, 400 to 599", "Retry-After in s"),
    "mint": Kind("so is a request for a single-use token", "Retry-After in s"),
    "no-upgrade": Kind("TCP is accepted and the upgrade never answered"),
    "mute": Kind("nothing is ever sent, not even a greeting"),
    "deaf": Kind("nothing is read: what the client sends piles up"),
    "slow": Kind("every message comes late", "seconds", 2.0),
    "lost-answer": Kind("a commit is never answered", "every so many commits", 1.0, 1.0),
    "late-answer": Kind("commits are answered late", "seconds", 5.0),
    "double-answer": Kind("a commit is answered twice", "every so many commits", 1.0, 1.0),
    "garbage": Kind("every message is a page of HTML instead"),
    "bad-utf8": Kind("every message is text that is not UTF-8 instead"),
    "binary": Kind("every message comes in a binary frame"),
    "unknown": Kind("a message of an unknown type before each other"),
    "bomb": Kind("deeply nested JSON before each message", "levels", 100_000.0, 1.0),
    "huge": Kind("an enormous message before each other", "bytes", 16.0 * 2**20, 1.0),
    **{name: Kind(fault.says) for name, fault in OPENMIND_FAULTS.items() if not fault.is_event},
}
EVENTS = {
    "drop": Kind("TCP is cut off", is_event=True),
    "close": Kind("the service closes with this code, 1000 to 4999", is_event=True),
    **{name: Kind(f"error: {text}", is_event=True) for name, text in TEXTS.items()},
    **{
        name: Kind(fault.says, is_event=True)
        for name, fault in OPENMIND_FAULTS.items()
        if fault.is_event
    },
}
KINDS = {**STATES, **EVENTS}
WHEN = 'seconds after the opening, or "commit": with the next one'


class FaultError(ValueError):
    """There is no such fault; `str()` says what there is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault between two times: seconds after the server's start, or of its clock."""

    name: str  # of KINDS
    number: int | None = None  # HTTP status or close code
    value: float = 0.0
    on_commit: bool = False
    start_s: float = 0.0
    end_s: float = math.inf  # that of `start_s`: it befalls who is connected at that moment

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]


def parse(text: str) -> Fault:
    """Read `NAME` or `NAME=VALUE`. Raises `FaultError`."""
    full, is_given, value = text.partition("=")
    numbered = NUMBERED.fullmatch(full)
    name, number = (numbered[1], int(numbered[2])) if numbered else (full, None)
    kind = KINDS.get(name)
    if kind is None or (name in ("http", "mint", "close")) != (number is not None):
        near = difflib.get_close_matches(full, [usage(name) for name in KINDS], n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise FaultError(f"there is no fault '{full}'{meant} (--fault list has all)")
    if number is not None:
        _check_number(name, number)
    if not is_given:
        return Fault(name, number, kind.default)
    if kind.is_event and value == ON_COMMIT:
        return Fault(name, number, on_commit=True)
    wanted = kind.value or (WHEN if kind.is_event else "")
    if not wanted:
        raise FaultError(f"the fault {full} takes no value, not '{value}'")
    return Fault(name, number, _seconds(value, kind.least, f"the value of {full} ({wanted})"))


def _check_number(name: str, number: int) -> None:
    low, high = (1000, 4999) if name == "close" else (400, 599)
    known = low <= number <= high
    if name != "close":
        known = known and number in {status.value for status in HTTPStatus}
    elif number in (1004, 1005, 1006, 1015) or 1016 <= number < 3000:
        known = False  # no endpoint may send these
    if not known:
        what = "close code that may be sent" if name == "close" else "HTTP status of an error"
        raise FaultError(f"{name}-{number}: {number} is no {what}, {low} to {high}")


def _seconds(text: str, least: float, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise FaultError(f"{what} must be a number from {least:g}, not '{text}'")
    return number


def read_schedule(text: str) -> list[Fault]:
    """Read lines `SECONDS FAULT[=VALUE] [for SECONDS]`; # begins a comment. Raises `FaultError`.

    Seconds count from the server's start. Without `for` a state lasts to the end, and an event
    befalls whoever is connected at that moment.
    """
    faults = []
    for number, whole in enumerate(text.splitlines(), 1):
        line = whole.partition("#")[0].strip()
        if not line:
            continue
        try:
            faults.append(_scheduled(line))
        except FaultError as error:
            raise FaultError(f"line {number}: {error}") from error
    return faults


def _scheduled(line: str) -> Fault:
    match = LINE.fullmatch(line)
    if match is None:
        raise FaultError(f"'{line}' is not SECONDS FAULT[=VALUE] [for SECONDS]")
    fault = parse(match["fault"])
    start_s = _seconds(match["start"], 0.0, "the time")
    if match["length"] is not None:
        return replace(
            fault, start_s=start_s, end_s=start_s + _seconds(match["length"], 0.0, "the length")
        )
    return replace(fault, start_s=start_s, end_s=momentary(fault, start_s))


def momentary(fault: Fault, start_s: float) -> float:
    """Return when a fault ends that begins at `start_s` and was given no end."""
    return start_s if fault.kind.is_event and not fault.on_commit else math.inf


def usage(name: str) -> str:
    return f"{name}-NNN" if name in ("http", "mint", "close") else name


def listing() -> str:
    """Return all faults, one a line or two, as the manual has them."""
    lines = ["As long as they last:"]
    lines += [_line(name, kind, kind.value) for name, kind in STATES.items()]
    lines += ["", f"Once for each connection (=VALUE: {WHEN}):"]
    lines += [_line(name, kind, "") for name, kind in EVENTS.items()]
    return "\n".join(lines) + "\n"


def _line(name: str, kind: Kind, value: str) -> str:
    default = f" [{kind.default:.15g}]" if kind.default else ""
    given = f" (=VALUE: {value}{default})" if value else ""
    return f"  {usage(name):29}{kind.says}{given}"


class Faults:
    """Which faults are on, on the server's clock. May be asked and told from any thread."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._ahead, self._faults = tuple(faults), tuple[Fault, ...]()

    def begin(self, now: float) -> None:
        """The server starts: what was given at first counts from here."""
        begun = tuple(
            replace(fault, start_s=now + fault.start_s, end_s=now + fault.end_s)
            for fault in self._ahead
        )
        self._ahead, self._faults = (), (*begun, *self._faults)

    def add(self, fault: Fault, now: float, for_s: float | None = None) -> None:
        """Let a fault begin now."""
        end_s = momentary(fault, now) if for_s is None else now + for_s
        self._faults = (*self._faults, replace(fault, start_s=now, end_s=end_s))

    def clear(self) -> None:
        """Let all be well from here on."""
        self._ahead, self._faults = (), ()

    def state(self, name: str, now: float) -> Fault | None:
        """Return the newest fault of this name that is on."""
        for fault in reversed(self._faults):
            if fault.name == name and fault.start_s <= now < fault.end_s:
                return fault
        return None

    def states(self, now: float) -> set[str]:
        """Return the names of the states that are on."""
        return {name for name in STATES if self.state(name, now) is not None}

    def events(self, opened_at: float) -> list[tuple[float, Fault]]:
        """Return what befalls a connection, with when it is due.

        Those that wait for a commit are due from when they are on.
        """
        return [
            (max(fault.start_s, opened_at) + fault.value, fault)
            for fault in self._faults
            if fault.kind.is_event and opened_at <= fault.end_s
        ]
