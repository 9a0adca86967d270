"""What became of the utterances of one source, in the order of speech; pure.

Answers may come in another order than speech. What is handed on is always a beginning of the whole
without a hole: where it ends, a later run goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scribed.model import (
    Closed,
    EndReason,
    Final,
    Outcome,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
)
from scribed.transcribe.progress import clock

SHOWN = 5
"""So many places are named where there was no text."""


@dataclass(frozen=True, slots=True)
class Told:
    """A text whose turn has come; with it everything up to `done_s` is told."""

    final: Final
    done_s: float


@dataclass(frozen=True, slots=True)
class Untold:
    """An utterance without text; `outcome` says why, None: no answer came."""

    start_s: float  #: from the source's beginning
    outcome: Outcome | None

    @property
    def is_loss(self) -> bool:
        """Somebody may have said something that is not told."""
        return self.outcome is not Outcome.NO_SPEECH


class Order:
    """`began` is the time of the source's beginning by the clock of the utterances; a run begins
    `start_s` behind it, with all that is before already told. `hangover_s` is the gate's."""

    def __init__(self, began: float, start_s: float, hangover_s: float) -> None:
        self.untold: list[Untold] = []  #: in the order of speech
        self.done_s = start_s  #: up to here everything was told: here a later run has to begin
        self._began, self._hangover_s = began, hangover_s
        self._started: dict[UtteranceId, UtteranceStarted] = {}  # in the order of speech
        self._settled: dict[UtteranceId, Final | Closed] = {}

    @property
    def waiting(self) -> int:
        """How many have neither text nor end."""
        return len(self._started.keys() - self._settled.keys())

    def since_beginning(self, at: float) -> float:
        """`at` as seconds from the source's beginning."""
        return at - self._began

    def take(self, item: object, *, leave_cut: bool = False) -> list[Told]:
        """Take what capture or uplink said; return the texts whose turn has come.

        `leave_cut`: an utterance that was cut by our own end is left to a later run.
        """
        match item:
            case UtteranceStarted():
                self._started[item.id] = item
            case Final() | Closed():
                self._settled[item.started.id] = item
            case _:
                pass
        ready: list[Told] = []
        while (first := next(iter(self._started), None)) is not None and first in self._settled:
            settled = self._settled[first]
            if leave_cut and settled.ended and settled.ended.reason is EndReason.SHUTDOWN:
                break
            del self._started[first], self._settled[first]
            self._pass(settled.started, settled.ended)
            if isinstance(settled, Final):
                ready.append(Told(settled, self.done_s))
            else:
                self._add_untold(settled.started, settled.outcome)
        return ready

    def give_up(self) -> None:
        """No more answers come: what has none stays without."""
        for started in self._started.values():
            self._add_untold(started, None)

    def _pass(self, started: UtteranceStarted, ended: UtteranceEnded | None) -> None:
        if ended is None:  # it was given up while it was spoken
            self.done_s = max(self.done_s, started.at - self._began)
            return
        # The silence behind it was sent as well, and no further utterance has any of it.
        tail_s = self._hangover_s if ended.reason is EndReason.COMMIT else 0.0
        self.done_s = max(self.done_s, ended.at + tail_s - self._began)

    def _add_untold(self, started: UtteranceStarted, outcome: Outcome | None) -> None:
        self.untold.append(Untold(started.at - self._began, outcome))


def listed(untold: Sequence[Untold]) -> str:
    """`3 utterances: 2 no_speech (0:12, 1:03), 1 failed (2:00)`."""
    kinds: dict[str, list[str]] = {}
    for each in untold:
        why = each.outcome.value if each.outcome is not None else "unanswered"
        kinds.setdefault(why, []).append(clock(each.start_s))
    said = []
    for why, places in kinds.items():
        more = ", …" if len(places) > SHOWN else ""
        said.append(f"{len(places)} {why} ({', '.join(places[:SHOWN])}{more})")
    return f"{len(untold)} utterance{'s' if len(untold) > 1 else ''}: {', '.join(said)}"
