"""How often the daemon was started again without an orderly end, and how long a start waits for it.

`RestartSteps=` does that from systemd 254 on only, and a crash loop at one a second would wear an
SD card out with logs.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from scribed import kinds
from scribed.service import notify

logger = logging.getLogger(__name__)

FILE = "starts"
"""In the runtime directory: how many starts in a row had no orderly end, and when the last was."""
LONG_S = 600.0
"""A run that lasted so long was none of a loop."""
RESTART_S = 0.5
"""What the unit waits in any case (`RestartSec=`)."""
MAX_S = 60.0


def pause_s(crashes: int) -> float:
    """How long to wait after so many runs in a row that ended soon and without order, beyond
    `RESTART_S`: the gaps are `RESTART_S`, 2, 4, 8, … `MAX_S` seconds."""
    if crashes <= 1:
        return 0.0
    return float(min(2 ** min(crashes - 1, 10), MAX_S)) - RESTART_S


class Restarts:
    """Used by the main thread, before the workers start and after the end.

    Counts in the runtime directory, which a restart spares; without a usable one nothing is known
    and nothing is waited for.
    """

    def __init__(self, runtime: Path, now: Callable[[], float]) -> None:
        self._path, self._now = runtime / FILE, now

    def begin(self) -> int:
        """Note a start; return how many runs before it ended soon, in a row and without order."""
        now = self._now()
        crashes = 0
        with contextlib.suppress(OSError, ValueError):
            count, started_at = self._path.read_text("ascii").split()
            before, lasted_s = int(count), now - float(started_at)
            crashes = 1 if lasted_s >= LONG_S else before + 1
        self._note(crashes, now + pause_s(crashes))
        return crashes

    def end(self) -> None:
        """This run ends in order."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self, crashes: int, started_at: float) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(f"{crashes} {started_at:.3f}\n", "ascii")


def pace(restarts: Restarts, environ: Mapping[str, str]) -> bool:
    """Wait as long as the runs before this one demand, where systemd starts us again and again.

    False: a signal asked to stop meanwhile. Blocks for `MAX_S` at most.
    """
    if not environ.get("NOTIFY_SOCKET"):
        return True  # whoever started us by hand wants to see it now
    crashes = restarts.begin()
    wait_s = pause_s(crashes)
    if wait_s <= 0:
        return True
    asks = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, asks)
    try:
        logger.warning(
            "ended %d times in a row soon after the start; starts in %.0f s "
            "(why: further up in the journal)",
            crashes,
            wait_s,
            extra=kinds.CRASH_LOOP(crashes=crashes, wait_s=f"{wait_s:.0f}"),
        )
        notify.starting(f"ended {crashes} times in a row; starts in {wait_s:.0f} s", wait_s)
        asked = signal.sigtimedwait(asks, wait_s) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asks)
    if asked:
        restarts.end()
    return not asked
