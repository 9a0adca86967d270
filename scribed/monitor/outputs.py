"""What becomes of what is heard: JSON for programs, lines, or pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from scribed.delivery.bases import Address
from scribed.delivery.events import Heard
from scribed.monitor import lines
from scribed.monitor.messages import NotUnderstood
from scribed.monitor.robots import Look, Microphone, Microphones
from scribed.monitor.safe import shown

CHANGES_S = 1.0
"""How often it is looked what follows from what came, and from what did not."""
DRAW_S = 0.2
"""Between two pictures at least, however much comes; as often as `take()` is called at most."""

BRIDGE = "bridge"
"""Below `fleet/<robot>`: nothing of scribed's is called so."""

Whose = Callable[[str], "Address | None"]
"""Whose a topic is; None: nobody's that is watched."""
Clock = Callable[[], float]


class Output(Protocol):
    """Told what was heard, and why there is no connection (`lost`), again and again."""

    def take(self, heard: Sequence[Heard], lost: str | None) -> None: ...


class _Told:
    """Tells once that the broker is lost, and once that it is back."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._lost = tell, False

    def note(self, lost: str | None) -> bool:
        """Return whether the connection was lost just now."""
        before, self._lost = self._lost, lost is not None
        if lost is not None and not before:
            self._tell(f"broker lost: {shown(lost)}; trying again")
        elif lost is None and before:
            self._tell("broker back")
        return self._lost and not before


class Json:
    """Every message as it comes; what becomes of the connection goes to `err`."""

    def __init__(self, whose: Whose, out: TextIO, err: TextIO) -> None:
        self._whose, self._out = whose, out
        self._told = _Told(lambda text: print(f"scribed: {text}", file=err, flush=True))

    def take(self, heard: Sequence[Heard], lost: str | None) -> None:
        self._told.note(lost)
        for message in heard:
            address = self._whose(message.topic)
            if address is not None:
                line = lines.as_json(address, message.payload, retained=message.retained)
                self._out.write(f"{line}\n")
        self._out.flush()


class Lines:
    """A line for each thing that happens."""

    def __init__(self, whose: Whose, out: TextIO, now: Clock, wall: Clock) -> None:
        self._whose, self._out, self._now, self._wall = whose, out, now, wall
        self._all, self._changes, self._looked_at = Microphones(), lines.Changes(), now()
        self._told = _Told(lambda text: self._say("", text))

    def take(self, heard: Sequence[Heard], lost: str | None) -> None:
        now, wall = self._now(), self._wall()
        if self._told.note(lost):
            self._all.disconnected()
        for message in heard:
            self._take(message, now, wall)
        if lost is not None:
            self._looked_at = now  # after it is back, first what is retained
        elif now - self._looked_at >= CHANGES_S:
            self._looked_at = now
            for name, text in self._changes.since(self._all.sorted(now), now):
                self._say(name, text)
        self._out.flush()

    def _take(self, message: Heard, now: float, wall: float) -> None:
        address = self._whose(message.topic)
        microphone = address and _microphone(self._all, address, message)
        if not address or microphone is None:
            return
        payload, kept = message.payload, message.retained
        code = address.rest.removeprefix("alert/")
        if not payload and code != address.rest and code not in microphone.alerts:
            return  # each connection of a robot empties all that are not active
        try:
            passed = microphone.take(address.rest, payload, retained=kept, now=now, wall=wall)
            text = lines.line(address.rest, payload, passed)
        except NotUnderstood as exc:
            text = f"{'?':<10} {shown(address.rest, 40)} is not understood: {shown(str(exc), 120)}"
        if text is not None:
            self._say(microphone.name, text)

    def _say(self, name: str, text: str) -> None:
        self._out.write(f"{lines.stamped(self._wall(), name, text)}\n")


class Pictures:
    """One picture after another. `in_full` None: as long as there is one robot."""

    def __init__(
        self,
        whose: Whose,
        show: Callable[[Look], None],
        *,
        where: str,
        in_full: bool | None,
        now: Clock,
        wall: Clock,
    ) -> None:
        self._whose, self._show, self._now, self._wall = whose, show, now, wall
        self._where, self._in_full = where, in_full
        self._all, self._drawn_at = Microphones(), float("-inf")
        self._told = _Told(lambda _text: None)  # each picture says it

    def take(self, heard: Sequence[Heard], lost: str | None) -> None:
        now, wall = self._now(), self._wall()
        if self._told.note(lost):
            self._all.disconnected()
        for message in heard:
            self._take(message, now, wall)
        if now - self._drawn_at < DRAW_S:
            return
        self._drawn_at = now
        in_full = len(self._all) == 1 if self._in_full is None else self._in_full
        all_ = self._all.sorted(now)
        self._show(Look(self._where, lost, all_, in_full, now, self._all.too_many))

    def _take(self, message: Heard, now: float, wall: float) -> None:
        address = self._whose(message.topic)
        microphone = address and _microphone(self._all, address, message)
        if address and microphone is not None:
            try:
                kept = message.retained
                microphone.take(address.rest, message.payload, retained=kept, now=now, wall=wall)
            except NotUnderstood:
                pass  # counted, and the picture says so


def _microphone(known: Microphones, address: Address, message: Heard) -> Microphone | None:
    """Whose the message is; None: nobody's, or of a bridge, which is noted."""
    if address.rest == BRIDGE:
        known.bridged(address.robot, message.payload)
        return None
    return known.named(name_of(address, message.topic), address.robot)


def name_of(address: Address, topic: str) -> str:
    """What a microphone is called: robot and source, or its base topic where it has neither."""
    said = "/".join(filter(None, (address.robot, address.source)))
    return said or topic.removesuffix(f"/{address.rest}")
