"""Who may come in: by a key, or by a single-use token that was bought with one. Pure."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque

TOKEN_S = 15 * 60.0  # a token's life, until it is used to connect
TOKEN_KINDS = ("realtime_scribe", "batch_scribe", "tts_websocket")
REALTIME = TOKEN_KINDS[0]  # the kind that opens a realtime session
LIMIT = 10_000  # tokens remembered


class Admission:
    """Keeps one server's door. With `key` only that one is good, without any that is not empty.

    A token is good once and for 15 minutes. Without `key` also one that was not minted here.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = key
        self._minted: OrderedDict[str, tuple[str, float]] = OrderedDict()  # kind, and until when
        self._spent: deque[str] = deque(maxlen=LIMIT)

    def knows(self, key: str | None) -> bool:
        """Whether this key is good."""
        return bool(key) and self._key in (None, key)

    def mint(self, kind: str, now: float) -> str:
        """Make a token, for whom the key is known."""
        token = f"sutkn_{secrets.token_hex(24)}"
        self._minted[token] = (kind, now + TOKEN_S)
        if len(self._minted) > LIMIT:
            self._minted.popitem(last=False)
        return token

    def spend(self, token: str, now: float) -> bool:
        """Whether a session may open with this token, which is used up by the question."""
        minted = self._minted.pop(token, None)
        strange = minted is None and (self._key is not None or token in self._spent)
        self._spent.append(token)
        if strange or not token:
            return False
        return minted is None or (minted[0] == REALTIME and now <= minted[1])
