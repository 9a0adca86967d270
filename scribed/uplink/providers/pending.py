"""An utterance that waits for its text, and the parts of it that came. Pure."""

from __future__ import annotations

from msgspec import Struct, field

from scribed.model import UtteranceId
from scribed.uplink.providers.elevenlabs_extras import Extra
from scribed.uplink.providers.elevenlabs_messages import Message

SETTLE_S = 0.25
"""How long nothing may come after a commit of the service's for it to be the last."""

AT_ONCE_S, HEARS_AT = 2.0, 4.0
"""What is sent faster than it was spoken the service hears at this many seconds in a second, or
faster, but for the first: a commit that comes before that may be one from its middle."""


class Part(Struct, eq=False):
    """One answer of the service: the text, and what came with it."""

    text: str
    key: str  #: the text as it is compared
    since: float
    details: Message | None = None
    extras: dict[str, Extra] = field(default_factory=dict)
    asked: bool = False  #: it answers a commit of ours


class Pending(Struct, eq=False):
    """An utterance that was begun on this connection, and is not answered in full."""

    id: UtteranceId
    offset_s: float  #: audio sent on this connection before it
    begun_at: float
    by_service: bool = False  #: its end is the service's to commit
    ended: bool = False
    answered: bool = False
    owed: int = 0  #: commits of ours without an answer
    paused: bool = False  #: the first of them is that of a pause
    was_paused: bool = False  #: the last commit of ours was that of a pause
    own: int = 0  #: commits of the service's that may yet come before the answer to ours
    counts_at: float | None = None  #: when what came counts as the answer to ours
    open: bool = False  #: a partial came that no commit has settled
    heard_at: float = 0.0  #: when the service has heard it, if it leaves the machine before that
    departed_at: float | None = None  #: when what was last asked for had left the machine
    parts: list[Part] = field(default_factory=list)

    def texts(self) -> list[str]:
        """What was said so far, without the silence."""
        return [part.text for part in self.parts if part.text]

    def details(self) -> list[Message]:
        return [part.details for part in self.parts if part.details is not None]

    @property
    def by_provider(self) -> bool:
        """Whether the service's own commits are its answer."""
        return self.by_service and not any(part.asked for part in self.parts)

    def sent_to(self, offset_s: float) -> None:
        """All its speech lies before `offset_s` of the connection's audio."""
        burst_s = max(0.0, offset_s - self.offset_s - AT_ONCE_S)
        self.heard_at = self.begun_at + burst_s / HEARS_AT

    def unasked(self) -> int:
        """How many parts nobody asked for."""
        return sum(not part.asked for part in self.parts)

    def settles_at(self) -> float | None:
        """When what came so far is the answer, if nothing more comes; None: it is not enough.

        An empty text is no answer of the service's: it may have been made by a noise. One to a
        commit of ours is, for that had all of it.
        """
        if not self.by_service:
            return self.counts_at
        if not self.ended or self.departed_at is None:
            return None
        last = None
        for part in self.parts:
            if part.since >= self.departed_at:
                if part.asked:
                    return part.since
                last = part.since if part.key else last
        return None if last is None or self.open else last + SETTLE_S
