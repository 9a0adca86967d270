"""What the uplink says of itself: its figures, and at once how the link stands."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from scribed.errors import Remedy
from scribed.model import Link, LinkState, seconds
from scribed.uplink.cost import Spending
from scribed.worker import Mailbox


class Tally(NamedTuple):
    """How the utterances stand; replaced whole."""

    utterances: int = 0  #: that wait for an answer
    nbytes: int = 0  #: of audio that wait
    ram_bytes: int = 0  #: of that audio, here
    committed: int = 0
    without_text: int = 0
    repeated: int = 0  #: times that an utterance was begun once more
    progress_at: float = 0.0  #: the last answer, or the last time nothing was waiting for one

    @property
    def seconds(self) -> float:
        """Of audio that wait."""
        return seconds(self.nbytes)


class Usage(Struct):
    """What was sent on all connections, and how many there were."""

    audio_s: float = 0.0  #: of utterances
    billed_s: float = 0.0  #: with all padding, and not yet taken
    early_commits: int = 0
    ignored: int = 0  #: messages that changed nothing
    connects: int = 0  #: tried, with those below
    rotations: int = 0  #: that took the place of another

    def take_billed_s(self) -> float:
        """What was billed since the last call."""
        taken, self.billed_s = self.billed_s, 0.0
        return taken


class UplinkReport(NamedTuple):
    """What the uplink reports: replaced whole, for the supervisor to look at."""

    link: Link
    tally: Tally = Tally()
    connects: int = 0
    abandoned: int = 0  #: connections that were given up so that fresh speech need not wait
    audio_sent_s: float = 0.0
    billed_s: float = 0.0  #: audio sent on this UTC day, also by earlier runs, with all padding
    cost: float = 0.0  #: of that, by `cost.price_per_hour`
    rotations: int = 0  #: connections that took the place of another
    early_commits: int = 0
    shut: bool = False  #: the day's limit of audio is reached: nothing more is sent
    ignored: int = 0  #: messages of the service that changed nothing
    reconnects: Mapping[str, int] = MappingProxyType({})  #: failures by what they asked of us


class Reporter:
    """Written to by the uplink's thread only; others look at `latest`.

    `supervisor` is told when the link changes. All times are of the boot clock.
    """

    def __init__(self, supervisor: Mailbox[Any], now: float) -> None:
        self.latest = UplinkReport(Link(since=now))
        self._supervisor = supervisor

    @property
    def state(self) -> LinkState:
        """How the link stands."""
        return self.latest.link.state

    def link(self, state: LinkState, now: float, error: str | None = None) -> None:
        """The link stands so; without `error` the last one is still that, while there is no
        connection."""
        link = self.latest.link
        kept = error if error is not None else link.last_error
        if state is link.state and kept == link.last_error:
            return
        since = link.since if state is link.state else now
        changed = Link(state, since, None if state is LinkState.CONNECTED else kept)
        self.latest = self.latest._replace(link=changed)
        self._supervisor.put(changed)

    def failed(self, remedy: Remedy) -> None:
        """A connection failed, or none could be had."""
        before = self.latest.reconnects
        counts = {**before, remedy.value: before.get(remedy.value, 0) + 1}
        self.latest = self.latest._replace(reconnects=MappingProxyType(counts))

    def abandoned(self) -> None:
        """A connection was given up so that fresh speech need not wait."""
        self.latest = self.latest._replace(abandoned=self.latest.abandoned + 1)

    def count(self, tally: Tally, usage: Usage, spending: Spending) -> None:
        """Bring the figures up to date."""
        told = self.latest
        before = told.tally, told.billed_s, told.connects, told.rotations, told.shut
        after = tally, spending.seconds, usage.connects, usage.rotations, spending.shut
        if before != after:
            self.latest = told._replace(
                tally=tally,
                shut=spending.shut,
                connects=usage.connects,
                audio_sent_s=usage.audio_s,
                billed_s=spending.seconds,
                cost=spending.cost(),
                rotations=usage.rotations,
                early_commits=usage.early_commits,
                ignored=usage.ignored,
            )
