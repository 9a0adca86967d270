"""Which alerts are up, where several workers may raise the same one. Pure."""

from __future__ import annotations

from scribed.model import Alert, AlertCleared


class Alerts:
    """An alert lasts until the last of its owners has cleared it."""

    def __init__(self) -> None:
        self._raised: dict[str, dict[str, Alert]] = {}  # by code and owner

    def take(self, news: Alert | AlertCleared) -> Alert | AlertCleared:
        """What is to be published of it: where one owner clears it, what another has to say."""
        owners = self._raised.setdefault(news.code, {})
        if isinstance(news, Alert):
            owners[news.owner] = news
            return news
        owners.pop(news.owner, None)
        return next(iter(owners.values()), news)
