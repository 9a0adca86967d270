"""How each robot is, from what it says: one owner, fed message by message. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from scribed.delivery.topics import OFFLINE, ONLINE
from scribed.monitor import messages
from scribed.monitor.messages import NotUnderstood

SILENT_S = 75.0
"""`state` comes every 30 s: two were missed."""
OPEN_S = 60.0
"""An utterance whose end never came is forgotten; the longest is half of it."""
FINALS = 12
ALERTS = 64
"""So many codes are kept: the contract has a quarter of it."""
BRIDGE_UP, BRIDGE_DOWN = b"1", b"0"
"""What mosquitto says of a bridge on its `notification_topic`."""
ROBOTS = 2000
LONGEST_NAME = 200
TROUBLE, WARNING, FINE = 2, 1, 0


@dataclass(frozen=True, slots=True)
class Passed:
    """A final or an end, as it is listed."""

    topic: str
    seq: int
    text: str  #: or the outcome of what ended without
    marks: tuple[str, ...]  #: why not to act on it
    at: float | None  #: Unix time
    age_ms: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """The worst thing that is true."""

    trouble: int  #: TROUBLE, WARNING or FINE
    words: str


@dataclass(slots=True)
class Microphone:
    """One base topic: a robot, or one of its microphones. Times are the caller's `now`."""

    name: str
    robot: str = ""
    is_cut_off: bool = False  #: the bridge from its broker is down
    status: str | None = None
    state: messages.State | None = None
    state_at: float | None = None  #: when it was so
    level_dbfs: float | None = None
    alerts: dict[str, messages.Alert] = field(default_factory=dict)
    open_seq: int | None = None  #: of the utterance that has no end yet
    partial: str = ""
    open_at: float = 0.0
    finals: deque[Passed] = field(default_factory=lambda: deque(maxlen=FINALS))
    odd: int = 0  #: messages that were not understood

    def take(
        self, below: str, payload: bytes, *, retained: bool, now: float, wall: float
    ) -> Passed | None:
        """Note a message; return the final or end that is new with it.

        Raises `NotUnderstood`, and has counted it then.
        """
        try:
            return self._take(below, payload, retained=retained, now=now, wall=wall)
        except NotUnderstood:
            self.odd += 1
            raise

    def _take(
        self, below: str, payload: bytes, *, retained: bool, now: float, wall: float
    ) -> Passed | None:
        topic, _, rest = below.partition("/")
        if topic in ("transcript", "late", "ended"):
            return self._pass(_passed(topic, payload))
        match topic:
            case "status":
                if payload not in (ONLINE, OFFLINE, b""):
                    raise NotUnderstood("neither online nor offline")
                self.status = payload.decode() or None
            case "state" if payload:
                self._note_state(messages.read(messages.State, payload), retained, now, wall)
            case "metrics":
                figures = messages.read(messages.Figures, payload).metrics
                self.level_dbfs = figures.get("scribed_level_dbfs", self.level_dbfs)
            case "alert" if rest:
                self._note_alert(rest, payload)
            case "speech" | "partial":
                self._note_speech(topic, payload, now)
            case _:
                pass  # a topic of a later version, or a command
        return None

    def _note_state(self, said: messages.State, retained: bool, now: float, wall: float) -> None:
        self.state, self.state_at, self.level_dbfs = said, now, said.level_dbfs
        if retained:
            self.state_at = None if said.unix is None else now - max(0.0, wall - said.unix)

    def _note_alert(self, code: str, payload: bytes) -> None:
        if not payload:
            self.alerts.pop(code, None)
        elif code in self.alerts or (len(self.alerts) < ALERTS and len(code) <= LONGEST_NAME):
            self.alerts[code] = messages.read(messages.Alert, payload)

    def _note_speech(self, topic: str, payload: bytes, now: float) -> None:
        if topic == "partial":
            partial = messages.read(messages.Text, payload)
            self.open_seq, self.partial, self.open_at = partial.seq, partial.text, now
            return
        speech = messages.read(messages.Speech, payload)
        if speech.active:
            self.open_seq, self.partial, self.open_at = speech.seq, "", now

    def _pass(self, passed: Passed) -> Passed | None:
        if self.open_seq is not None and passed.seq >= self.open_seq:
            self.open_seq, self.partial = None, ""
        if any((p.topic, p.seq) == (passed.topic, passed.seq) for p in self.finals):
            return None  # QoS 1 may bring it twice
        self.finals.append(passed)
        return passed

    def utterance(self, now: float) -> str | None:
        """What is being said: "" where there is no text yet; None: nothing."""
        if self.open_seq is None or now - self.open_at > OPEN_S:
            return None
        return self.partial

    def age_s(self, now: float) -> float | None:
        """How old the state is."""
        return None if self.state_at is None else max(0.0, now - self.state_at)

    def last_text_age_s(self, now: float) -> float | None:
        """How long ago the last transcript was, as the state says it."""
        age_s = self.age_s(now)
        if self.state is None or self.state.last_final_age_s is None or age_s is None:
            return None
        return self.state.last_final_age_s + age_s

    def health(self, now: float) -> Health:
        """In a few words, for people; alerts have their own."""
        state, age_s = self.state, self.age_s(now)
        if self.status != "online":
            return Health(TROUBLE, "OFFLINE" if self.status else "not known to be online")
        if self.is_cut_off:
            old = "" if age_s is None else f": its state is {age_s:.0f} s old"
            return Health(TROUBLE, f"BRIDGE DOWN{old}")
        if age_s is not None and age_s > SILENT_S:
            return Health(TROUBLE, f"SILENT: its state is {age_s:.0f} s old")
        return Health(WARNING, "online, no state yet") if state is None else _health(state)

    def trouble(self, now: float) -> int:
        """The worst of its health and its alerts."""
        alerts = (_weight(alert) for alert in self.alerts.values())
        return max(self.health(now).trouble, *alerts, FINE)

    def disconnected(self) -> None:
        """What it says now is not heard: only what was said stays."""
        self.status = self.state = self.state_at = self.level_dbfs = None
        self.is_cut_off = False
        self.alerts.clear()
        self.open_seq, self.partial = None, ""


class Microphones:
    """All that are heard, by name."""

    def __init__(self) -> None:
        self._all: dict[str, Microphone] = {}
        self._cut_off: set[str] = set()  # robots
        self.too_many = False  #: more than `ROBOTS`, or no name: the others are not shown

    def named(self, name: str, robot: str = "") -> Microphone | None:
        """The one of that name; a new one, of `robot`, where there is room for it."""
        if name not in self._all:
            if len(self._all) >= ROBOTS or len(name) > LONGEST_NAME:
                self.too_many = True
                return None
            self._all[name] = Microphone(name, robot, robot in self._cut_off)
        return self._all[name]

    def bridged(self, robot: str, payload: bytes) -> None:
        """The bridge from the broker of `robot` says how it is; what else it says is nothing."""
        if payload == BRIDGE_DOWN and len(self._cut_off) < ROBOTS and len(robot) <= LONGEST_NAME:
            self._cut_off.add(robot)
        elif payload in (BRIDGE_UP, b""):
            self._cut_off.discard(robot)
        for each in self._all.values():
            if each.robot == robot:
                each.is_cut_off = robot in self._cut_off

    def sorted(self, now: float) -> Sequence[Microphone]:
        """The worst first, then by name."""
        return sorted(self._all.values(), key=lambda each: (-each.trouble(now), each.name))

    def __len__(self) -> int:
        return len(self._all)

    def disconnected(self) -> None:
        """The broker is lost, and with it what is known of anybody now."""
        self._cut_off.clear()
        for each in self._all.values():
            each.disconnected()


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to show at a moment."""

    where: str  #: the broker, and what is watched there
    lost: str | None  #: why there is no connection
    microphones: Sequence[Microphone]
    in_full: bool
    now: float
    too_many: bool = False


def _health(state: messages.State) -> Health:
    if state.hearing is None:
        return Health(WARNING, "starting")
    if not state.hearing:
        # A person muted it, or the robot speaks: nobody need come.
        meant = state.hearing_reason in ("muted", "robot_speaking", "not_listening")
        return Health(WARNING if meant else TROUBLE, f"DOES NOT HEAR ({state.hearing_reason})")
    if state.link.state in ("backoff", "refused"):
        return Health(TROUBLE, f"hears, link {state.link.state}")
    return Health(FINE, "hears")


def _passed(topic: str, payload: bytes) -> Passed:
    if topic == "ended":
        ended = messages.read(messages.Ended, payload)
        return Passed(topic, ended.seq, ended.outcome, (), ended.unix, None)
    said = messages.read(messages.Text, payload)
    reason = (said.late_reason,) if said.late_reason else ()
    restated = ("restated",) if said.restated and "restated" not in reason else ()
    marks = (*reason, *restated, *said.caution)
    return Passed(topic, said.seq, said.text, marks, said.unix, said.age_ms)


def _weight(alert: messages.Alert) -> int:
    return TROUBLE if alert.severity == "error" else WARNING
