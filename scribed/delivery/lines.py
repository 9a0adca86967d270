"""The log's line for each utterance that the broker has."""

from __future__ import annotations

import logging

from scribed.delivery.finals import Durable
from scribed.delivery.publisher import Published

logger = logging.getLogger(__name__)


def log_published(published: Published, item: Durable, text: str) -> None:
    """One line for each utterance that the broker has, with its `text` unless that is empty."""
    extra: dict[str, object] = {
        "SCRIBED_UTTERANCE_ID": item.started.id,
        "SCRIBED_SEQ": item.started.seq,
    }
    seq, outcome = item.started.seq, published.outcome
    if outcome is not None:
        logger.info("utterance %d ended: %s", seq, outcome.value, extra=extra)
        return
    extra["SCRIBED_LATENCY_MS"] = late_ms = published.latency_ms
    logger.info(
        "utterance %d published on %s %d ms after its end%s",
        seq,
        published.topic,
        late_ms,
        text and f": {text}",
        extra=extra,
    )
