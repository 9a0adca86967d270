"""The log's lines for an utterance's beginning and end."""

from __future__ import annotations

import logging

from scribed import kinds
from scribed.latency import between_ms
from scribed.model import UtteranceEnded, UtteranceStarted

logger = logging.getLogger(__name__)


def opened(started: UtteranceStarted) -> None:
    """Somebody speaks."""
    extra = kinds.UTTERANCE_OPENED(
        utterance_id=started.id,
        seq=started.seq,
        trigger=started.trigger,
        onset_to_gate_ms=between_ms(started.onset, started.gate_at),
    )
    logger.debug("utterance %d begins", started.seq, extra=extra)


def closed(ended: UtteranceEnded, seq: int) -> None:
    """It is over, and why."""
    reason, audio_ms = ended.reason.value, ended.audio_ms
    extra = kinds.UTTERANCE_CLOSED(utterance_id=ended.id, seq=seq, reason=reason, audio_ms=audio_ms)
    logger.debug("utterance %d is over: %s, %d ms", seq, reason, audio_ms, extra=extra)
