"""The conservation account: every utterance that started ends exactly once. Pure."""

from __future__ import annotations

from msgspec import Struct

from scribed.model import Closed, Outcome, UtteranceEnded, UtteranceId, UtteranceStarted

REMEMBERED = 1024
"""Ends are remembered for so many utterances, to recognise a second one."""


class _Open(Struct):
    started: UtteranceStarted
    ended: UtteranceEnded | None
    recovered: bool


class Accounts:
    """Which utterances are owed an end.

    Capture and uplink post independently of each other: an end may be heard of before its start.
    One whose start is never heard of was begun in an earlier run.
    """

    def __init__(self) -> None:
        self.detected = 0  #: utterances that started in this run
        self.recovered = 0  #: utterances of earlier runs
        self.youngest = 0  #: highest `seq` that has started
        self._open: dict[UtteranceId, _Open] = {}
        self._settled: dict[UtteranceId, bool] = {}  # whether it started in this run
        self._speaking: UtteranceStarted | None = None

    def __len__(self) -> int:
        """How many are owed an end."""
        return len(self._open)

    def __contains__(self, id: UtteranceId) -> bool:
        """Whether this one is owed an end."""
        return id in self._open

    def live(self, id: UtteranceId, since: float) -> bool:
        """Whether this one is owed an end, of this run, and its last voice not before `since`."""
        account = self._open.get(id)
        if account is None or account.recovered:
            return False
        return account.ended is None or account.ended.at >= since

    def began_here(self, id: UtteranceId) -> bool:
        """Whether this one, which has its end, started in this run: no other has said it before."""
        return self._settled.get(id, False)

    def start(self, started: UtteranceStarted) -> None:
        """Somebody began to speak."""
        self._speaking = started
        self.youngest = max(self.youngest, started.seq)
        if started.id in self._open:
            return
        if started.id not in self._settled:
            self._open[started.id] = _Open(started, None, recovered=False)
            self.detected += 1
        elif not self._settled[started.id]:
            self._settled[started.id] = True
            self.recovered -= 1
            self.detected += 1

    def recover(self, started: UtteranceStarted, ended: UtteranceEnded) -> None:
        """Somebody spoke in an earlier run, and the answer is still owed."""
        self.youngest = max(self.youngest, started.seq)
        if started.id not in self._settled and started.id not in self._open:
            self._open[started.id] = _Open(started, ended, recovered=True)
            self.recovered += 1

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
        account = self._open.pop(started.id, None)
        self.recovered += account is None
        self._settled[started.id] = account is not None and not account.recovered
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
