"""Whose words are whose, by their times: the service's commits do not end where utterances do."""

from __future__ import annotations

from collections.abc import Sequence

from scribed.uplink.providers.elevenlabs_messages import Token

OVERLAP_S = 0.1
"""How far the words of one commit may reach into those of the one before."""


class Positions:
    """Where the words of one connection lie: times count its audio, and only rise."""

    def __init__(self) -> None:
        self._end_s = 0.0  # of the words so far

    def shares(
        self, tokens: Sequence[Token], offsets_s: Sequence[float]
    ) -> list[tuple[int, list[Token]]]:
        """The words that lie in each utterance, of those that begin at `offsets_s` of the
        connection's audio; -1 is what was said before the first.

        Empty where that cannot be told: there are no times, or they contradict what came before.
        """
        times = [_middle(token) for token in tokens if token.type == "word"]
        known = [time for time in times if time is not None]
        if not known or known[0] < self._end_s - OVERLAP_S:
            return []
        shares: dict[int, list[Token]] = {}
        owner = _owner(known[0], offsets_s)
        for token in tokens:
            middle = _middle(token)
            if token.type == "word" and middle is not None:
                owner = _owner(middle, offsets_s)
            shares.setdefault(owner, []).append(token)
        self._end_s = max(self._end_s, *known)
        return list(shares.items())


def _middle(token: Token) -> float | None:
    if token.start is None:
        return None
    return (token.start + max(token.start, token.end or 0.0)) / 2


def _owner(time_s: float, offsets_s: Sequence[float]) -> int:
    return sum(offset <= time_s for offset in offsets_s) - 1
