"""The log's lines for the steps of one utterance on its way to its text."""

from __future__ import annotations

import logging

from scribed import kinds
from scribed.interfaces import Failed
from scribed.latency import between_ms
from scribed.uplink.entry import Entry

logger = logging.getLogger(__name__)


def sent(entry: Entry) -> None:
    """It is begun on a connection."""
    seq, nth = entry.started.seq, entry.attempt
    extra = kinds.UTTERANCE_SENT(utterance_id=entry.id, seq=seq, attempt=nth)
    logger.debug("utterance %d is sent on its connection %d", seq, nth, extra=extra)


def late(entry: Entry) -> None:
    """It has waited for long."""
    seq = entry.started.seq
    extra = kinds.UTTERANCE_LATE(utterance_id=entry.id, seq=seq)
    logger.debug("utterance %d: its answer is late", seq, extra=extra)


def answered(entry: Entry, at: float) -> None:
    """Its text came."""
    seq, nth, took_ms = entry.started.seq, entry.attempt, between_ms(entry.handed_at, at)
    extra = kinds.UTTERANCE_ANSWERED(
        utterance_id=entry.id, seq=seq, attempt=nth, commit_to_text_ms=took_ms
    )
    logger.debug("utterance %d is answered on its connection %d", seq, nth, extra=extra)


def refused(entry: Entry, failed: Failed) -> None:
    """A connection ended on its account, or may have."""
    seq, nth, why = entry.started.seq, entry.attempt, failed.reason
    extra = kinds.UTTERANCE_REFUSED(utterance_id=entry.id, seq=seq, attempt=nth, error=why)
    logger.debug("utterance %d is not answered: %s", seq, why, extra=extra)


def given_up(entry: Entry) -> None:
    """It was refused too often."""
    seq, nth = entry.started.seq, entry.attempt
    extra = kinds.GIVEN_UP(utterance_id=entry.id, seq=seq, attempt=nth)
    words = "utterance %d given up: the service refused it %d times"
    logger.error(words, seq, entry.refusals, extra=extra)
