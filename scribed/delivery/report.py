"""What delivery tells others about itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from scribed.delivery.publisher import Publisher
from scribed.delivery.topics import FITS, RULES
from scribed.latency import NONE_YET, Histogram

PUBLISHED = (*RULES, "restated", *FITS)
"""What is counted of what reaches it, by topic or by the stack whose words they are."""
DROPPED = (
    "evicted",
    "ends",
    "repeated",
    "transients",
    "expired",
    "replies",
    "refused",
    "too_large",
)
"""Why something never reaches the broker."""


class Report(Struct, frozen=True):
    """How delivery stands; replaced whole, for the supervisor to look at."""

    connected: bool = False
    since: float = 0.0  #: when it became so
    last_error: str | None = None  #: None while connected
    detected: int = 0  #: utterances that started in this run
    recovered: int = 0  #: utterances that earlier runs left without a published final or end
    open_accounts: int = 0  #: of both, those without final or end
    queued: int = 0  #: finals and ends that the broker has not acknowledged
    published: Mapping[str, int] = field(default_factory=dict)  #: messages by topic
    dropped: Mapping[str, int] = field(default_factory=dict)  #: by cause
    refused: int = 0  #: messages that the broker did not take; finals are tried again
    last_final_at: float | None = None  #: when the broker had it
    latencies: Mapping[str, Histogram] = field(default_factory=lambda: NONE_YET)  #: by part

    @property
    def pending(self) -> int:
        """Utterances whose final or end the broker does not have yet."""
        return self.open_accounts + self.queued

    @property
    def texts(self) -> int:
        """Utterances whose text the broker has."""
        return self.published.get("transcript", 0) + self.published.get("late", 0)

    @property
    def balance(self) -> int:
        """The self-check: 0, as detected + recovered = pending + published + ended.

        It is more where ends were dropped for want of memory (`dropped["ends"]`).
        """
        ended = self.published.get("ended", 0)
        return self.detected + self.recovered - self.pending - self.texts - ended

    def metrics(self) -> dict[str, float]:
        """The same as figures, by their Prometheus names."""
        return {
            "scribed_utterances_detected_total": self.detected,
            "scribed_utterances_recovered_total": self.recovered,
            "scribed_utterances_pending": self.pending,
            "scribed_utterances_published_total": self.texts,
            "scribed_utterances_ended_total": self.published.get("ended", 0),
            "scribed_utterances_balance": self.balance,
            "scribed_mqtt_connected": int(self.connected),
            "scribed_mqtt_queued": self.queued,
            "scribed_mqtt_refused_total": self.refused,
            **{f"scribed_mqtt_{t}_total": self.published.get(t, 0) for t in PUBLISHED},
            **{
                f"scribed_mqtt_dropped_{cause}_total": self.dropped.get(cause, 0)
                for cause in DROPPED
            },
            **dict(self._latency_sums()),
        }

    def _latency_sums(self) -> Iterator[tuple[str, float]]:
        for part, histogram in self.latencies.items():
            yield f"scribed_latency_{part}_seconds_sum", round(histogram.sum_s, 3)
            yield f"scribed_latency_{part}_seconds_count", histogram.total


def report(
    publisher: Publisher,
    *,
    connected: bool,
    since: float,
    last_error: str | None,
    last_final_at: float | None,
) -> Report:
    """How delivery stands now."""
    return Report(
        connected=connected,
        since=since,
        last_error=last_error,
        detected=publisher.accounts.detected,
        recovered=publisher.accounts.recovered,
        open_accounts=len(publisher.accounts),
        queued=publisher.outbox.finals,
        published=dict(publisher.published),
        dropped=publisher.dropped + publisher.outbox.dropped,
        refused=publisher.outbox.refusals,
        last_final_at=last_final_at,
        latencies=publisher.latencies,
    )
