"""Several sources to text, some at once: starts the jobs, hears what they say, ends them."""

from __future__ import annotations

import collections
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from scribed.config import Config
from scribed.errors import ExitStatus, ScribedError
from scribed.parts import Provider
from scribed.transcribe.job import CAPTURE_STOP_S, Job
from scribed.transcribe.order import listed
from scribed.transcribe.output import FileOutlet, StreamOutlet
from scribed.transcribe.progress import EVERY_S, Part, Screen, clock, line
from scribed.transcribe.sound import Sound, plain
from scribed.worker import Mailbox

TICK_S = 0.1
"""How often the jobs are looked at, whatever they say."""


@dataclass(slots=True)
class Task:
    """One source, where its texts go, and the job while it runs."""

    sound: Sound
    outlet: FileOutlet | StreamOutlet
    again: Callable[[float], str]  #: the command that goes on with it from there
    job: Job | None = None
    is_over: bool = False
    failed: bool = False


class Transcription:
    """Used once, by the main thread."""

    def __init__(
        self,
        tasks: Sequence[Task],
        config: Config,
        new_provider: Callable[[], Provider],
        screen: Screen,
        *,
        jobs: int,
        speed: float,
        quiet: bool = False,
    ) -> None:
        self._tasks, self._config, self._new_provider = tasks, config, new_provider
        self._most, self._speed = jobs, speed
        self._queue = collections.deque(tasks)
        self._running: list[Task] = []
        self._signals: Mailbox[int] = Mailbox()
        self._stopping = self._leaving = False
        self._screen = screen
        self._said: set[str] = set()  # of what the services remark
        self._quiet = quiet  # the log tells it
        self._began = self._drawn_at = time.monotonic()

    def run(self) -> ExitStatus:
        """Run all; 0 where everything was told or we were asked to stop."""
        self._take_signals()
        while (self._queue or self._running) and not self._leaving:
            if not self._stopping:
                self._start_some()
            elif not self._running:
                break
            self._wait()
            self._look()
            self._draw()
        self._screen.clear()
        for task in self._running:  # we were asked twice
            self._end(task, wait_s=0.0)
        if self._stopping:
            for task in self._queue:
                self._advise(task, "was not begun")
        self._release(everything=True)
        return ExitStatus.FAILED if any(task.failed for task in self._tasks) else ExitStatus.OK

    # Beginning

    def _start_some(self) -> None:
        while self._queue and len(self._running) < self._most:
            task = self._queue.popleft()
            try:
                task.outlet.open()
            except ScribedError as exc:
                task.is_over = task.failed = True
                self._screen.say(f"scribed: {exc}")
                continue
            task.job = Job(
                task.sound,
                self._config,
                self._new_provider(),
                outlet=task.outlet,
                speed=self._speed,
            )
            task.job.start()
            self._running.append(task)
        self._release()

    def _release(self, *, everything: bool = False) -> None:
        """Let the first source that is not finished speak, after all before it."""
        for task in self._tasks:
            if isinstance(task.outlet, StreamOutlet):
                try:
                    task.outlet.release()
                except ScribedError as exc:
                    self._give_up(task, str(exc))
            if not task.is_over and not everything:
                break

    # While they run

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        for task in self._running:
            assert task.job is not None
            poller.register(task.job.inbox, select.POLLIN)
        poller.poll(TICK_S * 1000)

    def _look(self) -> None:
        for _ in self._signals.drain():
            self._leaving = self._stopping
            self._stop()
        for task in list(self._running):
            job = task.job
            assert job is not None
            try:
                for item in job.inbox.drain():
                    job.take(item)
            except ScribedError as exc:  # the disk is full
                self._give_up(task, str(exc))
            self._remark(job)
            job.tick()
            if job.is_over:
                self._running.remove(task)
                self._end(task)
                self._release()

    def _give_up(self, task: Task, why: str) -> None:
        """What is told of a source cannot be written: if not on standard output, then of none."""
        if task.is_over:
            task.failed = True
            self._screen.say(f"scribed: {task.sound.name}: {why}")
            self._advise(task, "not all of it is told")
        elif task.job is not None:
            task.job.fail(why)
        if isinstance(task.outlet, StreamOutlet):
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for task in self._running:
            assert task.job is not None
            task.job.stop()

    def _remark(self, job: Job) -> None:
        remarks, job.remarks = job.remarks, []
        for remark in remarks:
            if remark not in self._said and not self._quiet:
                self._screen.say(f"scribed: {remark}")
            self._said.add(remark)

    def _take_signals(self) -> None:
        def post(number: int, _frame: FrameType | None) -> None:
            self._signals.put(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, post)

    # Ending

    def _end(self, task: Task, *, wait_s: float = CAPTURE_STOP_S) -> None:
        """Say what became of a source."""
        job, sound, name = task.job, task.sound, task.sound.name
        assert job is not None
        try:
            job.finish(wait_s=wait_s)
        except ScribedError as exc:
            job.failure = job.failure or str(exc)
        self._remark(job)
        task.is_over = True
        untold = job.order.untold
        is_whole = job.is_complete and all(each.outcome is not None for each in untold)
        can_go_on = sound.repeats and (task.outlet.is_broken or not is_whole)
        try:
            task.outlet.close(complete=not can_go_on)
        except ScribedError as exc:
            job.failure = job.failure or str(exc)
        asked = self._stopping and job.failure is None
        task.failed = not asked and (
            job.failure is not None
            or sound.damage is not None
            or any(each.is_loss for each in untold)
        )
        for said in (job.failure, sound.damage):
            if said:
                self._screen.say(f"scribed: {name}: {plain(said, name)}")
        if can_go_on:  # what has no answer yet is no loss
            untold = [each for each in untold if each.outcome is not None]
        if untold:
            why = job.last_error if any(each.is_loss for each in untold) else None
            last = f"; the last error was: {why}" if why else ""
            self._screen.say(f"scribed: {name}: no text for {listed(untold)}{last}")
        if job.lost_ms:
            self._screen.say(f"scribed: {name}: {job.lost_ms} ms of sound were lost")
        if asked and can_go_on and job.waited_for:
            self._screen.say(f"scribed: {name}: it waited: {job.waited_for}")
        outlet = task.outlet
        if can_go_on and (asked or outlet.is_broken or outlet.mark.done_s > job.start_s):
            self._advise(task, f"told up to {clock(outlet.mark.done_s)}")

    def _advise(self, task: Task, what: str) -> None:
        go_on = f"; go on with: {task.again(task.outlet.mark.done_s)}"
        if task.sound.hides:
            go_on += " (with the whole URL, its query as well)"
        self._screen.say(f"scribed: {task.sound.name}: {what}{go_on}")

    # For people

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._screen.is_live or now < self._drawn_at + EVERY_S:
            return
        self._drawn_at = now
        parts = [_part(task) for task in self._tasks]
        began = [task.job.start_s if task.job else 0.0 for task in self._tasks]
        self._screen.draw(line(parts, began, now - self._began, self._screen.width))


def _part(task: Task) -> Part:
    job, sound = task.job, task.sound
    if job is None:
        return Part(sound.name, is_over=task.is_over)
    return Part(
        sound.name,
        done_s=job.order.done_s,
        duration_s=sound.duration_s,
        is_over=task.is_over,
        is_running=not task.is_over,
        heard_s=job.heard_s,
        trouble=job.trouble,
    )
