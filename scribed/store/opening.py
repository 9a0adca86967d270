"""Opens the state and the runtime directory, and puts in order what earlier runs left there."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from scribed import config, kinds
from scribed.model import EarlierBoot
from scribed.store.acked import Acked
from scribed.store.ballast import Ballast
from scribed.store.begun import Begun
from scribed.store.heard import LastFrame
from scribed.store.ledger import Ledger
from scribed.store.recovery import Recovery, recover
from scribed.store.sequence import Sequence
from scribed.store.spool import Spool
from scribed.store.utterances import Utterances

logger = logging.getLogger(__name__)


class Opened(Struct, frozen=True):
    """What the store thread will own, and what was found."""

    sequence: Sequence
    ledger: Ledger
    ballast: Ballast
    utterances: Utterances
    acked: Acked
    last_frame: LastFrame
    begun: Begun
    recovery: Recovery
    spool: Spool


def open_store(
    state: Path,
    runtime: Path,
    *,
    spool: config.Spool,
    boot_id: str,
    now: Callable[[], float],
    wall: Callable[[], float],
    synced: Callable[[], bool | None],
    progress: Callable[[], None] = lambda: None,
) -> Opened:
    """Open everything, in the main thread before the workers start; `progress` is called while it
    gets on.

    Raises `StateInUse` where another process has the state directory, `ScribedError` where it
    cannot be used; damage within raises nothing. Without a usable runtime directory everything goes
    to `state`.
    """
    sequence = Sequence(state)  # the lock is the first thing
    usable = _usable(runtime)

    def this_boot() -> EarlierBoot:
        return EarlierBoot(boot_id, wall() - now(), synced())

    ballast = Ballast(state)
    ledger = Ledger(state / "ledger.db", this_boot=this_boot, ballast=ballast)
    utterances = Utterances(
        state, usable, spool=spool, boot_id=boot_id, now=now, wall=wall, synced=synced
    )
    acked = Acked(None if usable is None else usable / "acked")
    last_frame = LastFrame(None if usable is None else usable / "heard", boot_id)
    begun = Begun(None if usable is None else usable / "begun")
    recovery = recover(
        sequence=sequence,
        ledger=ledger,
        ballast=ballast,
        utterances=utterances,
        acked=acked,
        last_frame=last_frame,
        begun=begun,
        this_boot=this_boot,
        now=now(),
        progress=progress,
    )
    waiting = Spool(utterances, ledger, state=state, this_boot=this_boot)
    return Opened(
        sequence, ledger, ballast, utterances, acked, last_frame, begun, recovery, waiting
    )


def _usable(runtime: Path) -> Path | None:
    """The runtime directory, made where it is missing, and ours until the process ends."""
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(runtime / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        why = "another scribed uses it"
    except OSError as exc:
        why = exc.strerror or str(exc)
    else:
        return runtime
    logger.warning(
        "the runtime directory %s cannot be used: %s; audio goes to the state directory",
        runtime,
        why,
        extra=kinds.RUNTIME_UNUSABLE(path=runtime, error=why),
    )
    return None
