"""Finals and ends, and a ledger to put them into."""

from __future__ import annotations

from pathlib import Path

from scribed.model import (
    Answer,
    Closed,
    EarlierBoot,
    EndReason,
    Final,
    Outcome,
    Provider,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    Word,
)
from scribed.store.ballast import Ballast
from scribed.store.ledger import Ledger
from tests.store.machine import BOOT, utterance

THIS_BOOT = EarlierBoot(BOOT, 1_790_000_000.0, clock_synced=True)
NEXT_BOOT = EarlierBoot("c3d2b1a0-5f0e-4f9c-9b57-0c4b4f7b2a22", 1_790_009_000.0, clock_synced=None)


def final(seq: int, text: str = "Turn left, please.", id: UtteranceId | None = None) -> Final:
    """What was said as number `seq`."""
    id_ = id or utterance(seq)
    return Final(
        UtteranceStarted(id_, seq, 10.0 * seq, -0.5),
        UtteranceEnded(id_, 10.0 * seq + 1.5, EndReason.COMMIT, 1500, 0, -31.25, None),
        rev=3,
        answer=Answer(text, (Word("Turn", 40, 210, 0.95), Word("left", 230, 500)), "en"),
        final_reason="commit",
        attempt=1,
        provider=Provider("elevenlabs", "scribe_v2_realtime", "session"),
        provider_s=0.31,
        first_partial_s=None,
        committed_at=10.0 * seq + 1.8,
    )


def closed(seq: int, outcome: Outcome = Outcome.NO_SPEECH) -> Closed:
    """The end of number `seq`, which has no text."""
    said = final(seq)
    return Closed(said.started, said.ended, outcome)


def open_ledger(directory: Path, boot: EarlierBoot = THIS_BOOT) -> Ledger:
    """The ledger of a state directory, whose clock stands still."""
    return Ledger(directory / "ledger.db", this_boot=lambda: boot, ballast=Ballast(directory))


def numbers(items: list[Final | Closed]) -> list[int]:
    return [item.started.seq for item in items]
