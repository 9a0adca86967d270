"""The log's line for each utterance that the broker has."""

from __future__ import annotations

import logging

from scribed import kinds
from scribed.delivery.finals import Durable
from scribed.delivery.offers import Published
from scribed.latency import Parts
from scribed.model import Final

logger = logging.getLogger(__name__)

PARTS = {
    "onset_to_gate_ms": "onset to gate",
    "gate_to_first_byte_ms": "gate to first byte",
    "end_to_commit_ms": "end to commit",
    "commit_to_text_ms": "commit to text",
    "text_to_publish_ms": "text to publish",
}
"""In the order in which they are spent."""


def log_published(published: Published, item: Durable, text: str) -> None:
    """One line for each utterance that the broker has, with its `text` unless that is empty."""
    id_, seq, spent = item.started.id, item.started.seq, published.spent
    if published.outcome is not None or spent is None or not isinstance(item, Final):
        outcome = None if published.outcome is None else published.outcome.value
        extra = kinds.ENDED(utterance_id=id_, seq=seq, outcome=outcome)
        logger.info("utterance %d ended: %s", seq, outcome, extra=extra)
        return
    logger.info(
        "utterance %d published on %s %d ms after its end (%s)%s",
        seq,
        published.topic,
        spent.end_to_publish_ms,
        in_words(spent),
        text and f": {text}",
        extra=kinds.PUBLISHED(
            utterance_id=id_,
            seq=seq,
            topic=published.topic,
            attempt=item.attempt,
            latency_ms=spent.end_to_publish_ms,
            onset_to_gate_ms=spent.onset_to_gate_ms,
            gate_to_first_byte_ms=spent.gate_to_first_byte_ms,
            end_to_commit_ms=spent.end_to_commit_ms,
            commit_to_text_ms=spent.commit_to_text_ms,
            text_to_publish_ms=spent.text_to_publish_ms,
        ),
    )


def in_words(spent: Parts) -> str:
    """`onset to gate 60, gate to first byte 4, …`, in ms; what is not known is `?`."""
    parts = ((words, getattr(spent, name)) for name, words in PARTS.items())
    return ", ".join(f"{words} {'?' if ms is None else ms}" for words, ms in parts)
