"""What the store says about itself."""

from __future__ import annotations

from msgspec import Struct


class Report(Struct, frozen=True):
    """How the store is: replaced whole, for the supervisor to look at."""

    runtime_files: int = 0
    runtime_bytes: int = 0  #: of audio, as below
    state_files: int = 0
    state_bytes: int = 0
    quarantined: int = 0  #: files set aside since the start
    evicted: int = 0  #: utterances that had to go for want of room
    recovered: int = 0  #: utterances, finals and ends that earlier runs left
    undelivered: int = 0  #: finals and ends in the ledger that the broker has not acknowledged
    unsettled: int = 0  #: finals and ends that the ledger has not taken yet
    dropped: int = 0  #: of both, the oldest that had to go for want of room
    unrestatable: int = 0  #: of both, delivered while the ledger took nothing, and not kept
    unwritten_bytes: int = 0  #: of audio that no file took
    writes: int = 0  #: transactions of the ledger
    ledger_trouble: str | None = None
