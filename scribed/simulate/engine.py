"""The thread that recognises one session's audio, so that hearing never holds up the socket."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable

from scribed.simulate.audio import To16k
from scribed.simulate.dialects import AskPartial, Feed, Work
from scribed.simulate.recognizers import Answer, MakeRecognizer, Recognizer

logger = logging.getLogger(__name__)

BEHIND_S = 120  # of audio waiting; PocketSphinx hears about 12 times faster than real time
BEHIND_ITEMS = 20_000  # or of work: chunks of a few samples

Heard = tuple[int, str] | Answer | None  # a partial with its segment, an answer, or: it broke


class Engine(threading.Thread):
    """Takes one session's work in order and calls `report` for each answer, in this thread.

    A recogniser that raises is reported as None, logged with its traceback, and not asked again.
    `converter` is called for the first audio.
    """

    def __init__(
        self,
        make: MakeRecognizer,
        converter: Callable[[], To16k],
        report: Callable[[Heard], None],
    ) -> None:
        super().__init__(name="recognizer", daemon=True)
        self._make, self._converter, self._report = make, converter, report
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._put_bytes = 0  # counted by the caller's thread
        self._heard_bytes = 0  # counted by this one
        self._stopping = False

    def is_behind(self, bytes_per_s: int) -> bool:
        """True where the queue is as long as it may get, of audio that has so many bytes."""
        waiting_bytes = self._put_bytes - self._heard_bytes
        return waiting_bytes > BEHIND_S * bytes_per_s or self._work.qsize() > BEHIND_ITEMS

    def put(self, work: Work) -> None:
        """Queue work. The caller stops when it `is_behind`."""
        if isinstance(work, Feed):
            self._put_bytes += len(work.audio)
        self._work.put(work)

    def stop(self) -> None:
        """Ask the thread to end after what it is doing; what is queued is dropped."""
        self._stopping = True
        self._work.put(None)

    def run(self) -> None:
        try:
            recognizer = self._make()
            with contextlib.closing(recognizer):
                self._listen(recognizer)
        except Exception:  # whatever a recogniser raises ends its sessions, not the stand-in
            logger.exception("the recognizer failed")
            self._report(None)

    def _listen(self, recognizer: Recognizer) -> None:
        convert: To16k | None = None
        while (work := self._work.get()) is not None and not self._stopping:
            if isinstance(work, Feed):
                convert = convert or self._converter()
                recognizer.feed(convert(work.audio))
                self._heard_bytes += len(work.audio)
            elif isinstance(work, AskPartial):
                self._report((work.segment, recognizer.partial()))
            else:
                self._report(recognizer.commit())
