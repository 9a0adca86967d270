"""The conservation account: every utterance that started ends exactly once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from scribed.model import Closed, Outcome, UtteranceEnded, UtteranceId, UtteranceStarted

REMEMBERED = 1024
"""Ends are remembered for so many utterances, to recognise a second one."""


@dataclass(slots=True)
class _Open:
    started: UtteranceStarted
    ended: UtteranceEnded | None = None


class Accounts:
    """Which utterances are owed an end.

    Capture and uplink post independently of each other: an end may be heard of before its start.
    """

    def __init__(self) -> None:
        self.detected = 0  #: utterances ever heard of
        self.youngest = 0  #: highest `seq` that has started
        self._open: dict[UtteranceId, _Open] = {}
        self._settled: dict[UtteranceId, None] = {}
        self._speaking: UtteranceStarted | None = None

    def __len__(self) -> int:
        """How many are owed an end."""
        return len(self._open)

    def __contains__(self, id: UtteranceId) -> bool:
        """Whether this one is owed an end."""
        return id in self._open

    def start(self, started: UtteranceStarted) -> None:
        """Somebody began to speak."""
        self._speaking = started
        self.youngest = max(self.youngest, started.seq)
        if started.id not in self._settled:
            self._open[started.id] = _Open(started)
            self.detected += 1

    def end(self, ended: UtteranceEnded) -> UtteranceStarted | None:
        """Somebody ceased to speak; None: we never heard them begin."""
        account = self._open.get(ended.id)
        if account is not None:
            account.ended = ended
        started, self._speaking = self._speaking, None
        return started if started is not None and started.id == ended.id else None

    def settle(self, started: UtteranceStarted) -> bool:
        """The utterance has its final or its end; False: it had one before."""
        if started.id in self._settled:
            return False
        if self._open.pop(started.id, None) is None:
            self.detected += 1
        self._settled[started.id] = None
        if len(self._settled) > REMEMBERED:
            del self._settled[next(iter(self._settled))]
        return True

    def abandon(self) -> list[Closed]:
        """Settle all that are still open as failed; their ends, oldest first."""
        closed = [
            Closed(account.started, account.ended, Outcome.FAILED)
            for account in self._open.values()
        ]
        for end in closed:
            self.settle(end.started)
        return closed
