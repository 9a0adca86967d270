"""How the daemon ends: asked to stop, at the end of its input, or by a bug."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from scribed import clock, kinds
from scribed.capture.hearing import SourceEnded
from scribed.delivery.posts import Finish
from scribed.errors import ExitStatus
from scribed.model import LinkWell
from scribed.service import children, journal, notify
from scribed.store.worker import Close
from scribed.supervisor import Supervisor
from scribed.uplink.worker import Drain
from scribed.worker import Stop

logger = logging.getLogger(__name__)

CAPTURE_STOP_S = 0.8
"""How long capture has to end: it wakes every 100 ms, but may be opening a device."""
DELIVERY_STOP_S = 0.9
"""How long delivery has for its last messages, after the uplink's grace."""
STORE_STOP_S = 0.5
LIMIT_S = 1.7
"""How long the store has to bring what waits where a reboot spares it: at least, and after the
grace; a stop takes 2 s more than the grace at most."""
NO_PROGRESS_S = 60.0
"""After the end of a file or pipe: give up when nothing was answered for so long."""
LAST_MESSAGES_S = 30.0
"""After the end of a file or pipe: how long a broker may take for the last transcripts."""


class Ending:
    """Used once, by the main thread. `keeps` is whether what is unanswered outlives the process."""

    def __init__(self, supervisor: Supervisor, *, grace_s: float, keeps: bool) -> None:
        self._supervisor, self._workers = supervisor, supervisor.workers
        self._grace_s, self._keeps, self._begun_at = grace_s, keeps, clock.now()

    def stop(self) -> ExitStatus:
        """Asked to stop: end within the grace and 2 s, whatever a peer does."""
        self._begin("stopping")
        supervisor, workers = self._supervisor, self._workers
        deadline = clock.now() + self._grace_s
        workers.capture.inbox.put(Stop())
        supervisor.wait_for(workers.capture, clock.now() + CAPTURE_STOP_S)
        workers.uplink.inbox.put(Drain(deadline, everything=not self._keeps))
        supervisor.wait_for(workers.uplink, deadline, until_asked=False)
        self._tell_unanswered()
        self._end_delivery(max(clock.now(), deadline - 0.5) + DELIVERY_STOP_S)
        return ExitStatus.BUG if supervisor.failed else ExitStatus.OK

    def finish_input(self, end: SourceEnded) -> ExitStatus:
        """The input has ended: wait for every answer that can be had, then leave."""
        self._begin("end of input")
        supervisor, uplink = self._supervisor, self._workers.uplink
        if end.error is not None:
            logger.error("%s", end.error, extra=kinds.INPUT_FAILED(error=end.error))
        ended_at = clock.now()
        uplink.inbox.put(Drain(float("inf")))
        while uplink.is_alive():
            supervisor.wait_for(uplink, clock.now() + 1.0, until_asked=True)
            if supervisor.failed:
                return ExitStatus.BUG
            if supervisor.stop_asked:
                return self.stop()
            progress_at = max(uplink.report.tally.progress_at, ended_at)
            if clock.now() - progress_at > NO_PROGRESS_S:
                uplink.inbox.put(Drain(clock.now()))
                supervisor.wait_for(uplink, clock.now() + 1.0)
                break
        waiting = self._tell_unanswered()
        self._end_delivery(clock.now() + LAST_MESSAGES_S)
        delivery = self._workers.delivery
        failed = end.error is not None or waiting or delivery.report.queued or delivery.is_alive()
        if supervisor.failed:
            return ExitStatus.BUG
        return ExitStatus.FAILED if failed and not supervisor.stop_asked else ExitStatus.OK

    def crash(self) -> ExitStatus:
        """A bug: leave at once; what was heard is in the store's files."""
        notify.stopping()
        return ExitStatus.BUG

    def _begin(self, why: str) -> None:
        self._begun_at = clock.now()
        self._supervisor.stopping, self._supervisor.stop_asked = True, False
        self._workers.store.inbox.put(LinkWell(False))  # what waits goes to the disk meanwhile
        logger.info("%s", why, extra=kinds.STOPPING(reason=why))
        notify.stopping()

    def _tell_unanswered(self) -> int:
        waiting = self._workers.uplink.report.tally.utterances
        if waiting and self._keeps:
            words = "%d utterance(s) have no answer; they are kept for later"
            logger.warning(words, waiting, extra=kinds.UNANSWERED_KEPT(utterances=waiting))
        elif waiting:
            words = "%d utterance(s) have no answer; they end as failed"
            logger.error(words, waiting, extra=kinds.UNANSWERED_LOST(utterances=waiting))
        return waiting

    def _end_delivery(self, deadline: float) -> None:
        supervisor, workers = self._supervisor, self._workers
        delivery = workers.delivery
        supervisor.publish_state()
        delivery.inbox.put(Finish(deadline, keep=self._keeps))
        was_asked = supervisor.stop_asked
        while delivery.is_alive() and clock.now() < deadline and not supervisor.failed:
            supervisor.wait_for(delivery, min(deadline, clock.now() + 0.5), until_asked=False)
            if supervisor.stop_asked and not was_asked:  # a broker that is away may not hold us
                was_asked = True
                deadline = min(deadline, clock.now() + DELIVERY_STOP_S)
                delivery.inbox.put(Finish(deadline, keep=self._keeps))
        workers.control.inbox.put(Stop())
        if workers.scraped is not None:
            workers.scraped.inbox.put(Stop())
        next_seq = None if workers.capture.is_alive() else workers.capture.next_seq
        workers.store.inbox.put(Close(next_seq))
        store_by = max(clock.now() + STORE_STOP_S, self._begun_at + self._grace_s + LIMIT_S)
        supervisor.wait_for(workers.store, store_by)
        workers.store.join(max(0.0, store_by - clock.now()))  # also where another has crashed
        if workers.store.is_alive() and workers.store.report.runtime_files:
            left = workers.store.report.runtime_files
            words = "the disk is too slow: %d utterance(s) are only in memory files"
            logger.error(words, left, extra=kinds.ONLY_IN_MEMORY(utterances=left))
        if delivery.is_alive() and not self._keeps:
            self._tell_what_is_lost()
        journal.settle(everything=True)
        logger.info("stopped", extra=kinds.STOPPED())

    def _tell_what_is_lost(self) -> None:
        """Delivery hangs, in a name lookup or in connect, and cannot say so itself."""
        if lost := self._workers.delivery.report.pending:
            why = "the broker was not reached in time"
            extra = kinds.UNPUBLISHED_LOST(finals=lost, error=why)
            logger.error("%d finals were not published: %s", lost, why, extra=extra)


def leave(status: ExitStatus) -> None:
    """End the process at once, without waiting for threads that DNS or a peer holds."""
    children.end_all()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
