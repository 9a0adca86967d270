"""The main thread at work: watches the workers, composes `state` and the status line, feeds the
watchdog while every heartbeat is fresh, and hands commands to those who carry them out.

A worker that dies by an unexpected exception takes the process down (exit 70): systemd restarts it,
and there is no half-dead daemon.
"""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scribed import clock, kinds, metrics, overview, parts
from scribed.alerts import Alerts, WallClock
from scribed.capture.hearing import SourceEnded
from scribed.capture.worker import Capture
from scribed.commands import Commands
from scribed.config import Config
from scribed.delivery import payloads
from scribed.delivery.moment import Moment
from scribed.delivery.schemas import Metrics, State
from scribed.delivery.worker import Delivery
from scribed.metrics import Family
from scribed.model import (
    Alert,
    AlertCleared,
    Attention,
    Command,
    Device,
    Event,
    Link,
    Reply,
    Retuned,
)
from scribed.recording import Record
from scribed.reloading import Reloading
from scribed.service import journal, notify
from scribed.service.control import Control
from scribed.service.signals import Signal, Waiting
from scribed.service.timesync import clock_synced
from scribed.store.worker import Store
from scribed.uplink.worker import Uplink
from scribed.worker import Crashed, Finished, Mailbox, Worker

if TYPE_CHECKING:
    from scribed.service.scraped import Scraped

logger = logging.getLogger(__name__)

STATE_S = 30.0
"""How often `state` is published where nothing changes."""
METRICS_S = 15.0
LINE_S = 5.0
"""How old the status line may be when the main thread is awake anyway, to feed the watchdog."""


class Workers(NamedTuple):
    """The threads, in the order in which they are started."""

    store: Store
    delivery: Delivery
    uplink: Uplink
    capture: Capture
    control: Control
    scraped: Scraped | None = None  #: where metrics.listen is set

    @property
    def all(self) -> tuple[Worker, ...]:
        """Those that there are."""
        return tuple(worker for worker in self if worker is not None)


End = Signal | SourceEnded | Crashed


class Supervisor:
    """Owned by the main thread. `muted` is why the microphone is closed from the start."""

    def __init__(
        self,
        workers: Workers,
        mailbox: Mailbox[Any],
        reloading: Reloading,
        muted: tuple[str, ...],
    ) -> None:
        self.workers = workers
        self.stopping = False
        self.stop_asked = False  #: by a signal that came after the end had begun
        self.failed: Crashed | None = None
        self._reloading = reloading
        self._waiting = Waiting(mailbox)
        self._constants = parts.constants(reloading.settled)
        self._last_status = ""
        self._alerts = Alerts()
        self._frame_rate = overview.FrameRate(clock.now())
        self._metrics_at = self._state_at = self._line_at = 0.0
        self._told: State | None = None  # the last `state`
        self._wall_clock = WallClock()
        self._commands = Commands(
            mailbox=mailbox,
            capture=workers.capture.inbox,
            uplink=workers.uplink.inbox,
            store=workers.store.inbox,
            delivery=workers.delivery.inbox,
            state=self._state_for_a_client,
            reloading=reloading,
            muted=muted,
        )

    @property
    def config(self) -> Config:
        """The configuration, after all reloads."""
        return self._reloading.config

    @property
    def muted(self) -> tuple[str, ...]:
        """Why the microphone is closed on purpose."""
        return self._commands.muted

    def take_signals(self) -> None:
        """From now on a signal is an item in the mailbox."""
        self._waiting.take((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def ready(self) -> None:
        """Tell systemd that everything runs."""
        self.publish_state()
        notify.ready(self._last_status)

    def supervise(self) -> End:
        """Serve until something ends the daemon; return that."""
        every_s = min(METRICS_S, (notify.watchdog_s() or 2 * METRICS_S) / 3)
        while True:
            due_s = self._commands.wake_at - clock.now()
            item = self._waiting.next(max(0.0, min(every_s, due_s)))
            if isinstance(item, Signal) and item.number == signal.SIGHUP:
                self._reload()
            elif isinstance(item, (Signal, SourceEnded)):
                return item
            elif isinstance(item, Crashed):
                self.crashed(item)
                return item
            else:
                self.note(item)
            self._keep_time()
            self.feed_watchdog()

    def _reload(self) -> None:
        """Take the configuration as it is now; systemd hears when the workers have been told."""
        self._reloading.reload()
        self.publish_state()
        notify.ready(self._last_status)

    def wait_for(self, worker: Worker, deadline: float, *, until_asked: bool = False) -> None:
        """Serve the mailbox until `worker` has ended, at most to `deadline`; with `until_asked`
        also no longer than until a signal asks to stop."""
        while worker.is_alive() and (left := deadline - clock.now()) > 0 and not self.failed:
            item = self._waiting.next(min(left, 1.0))
            if isinstance(item, Crashed):
                self.crashed(item)
            elif isinstance(item, Signal):
                self.stop_asked = self.stop_asked or item.number != signal.SIGHUP
            elif isinstance(item, Finished) and item.worker == worker.name:
                worker.join(max(0.0, deadline - clock.now()))
            else:
                self.note(item)
            if self.stop_asked and until_asked:
                return
            self.feed_watchdog()

    def note(self, item: object) -> None:
        """Something changed, or is asked for: pass it on, and say how the daemon is now."""
        if isinstance(item, (Alert, AlertCleared)):
            if isinstance(item, Alert) and item.severity == "error":
                self.workers.capture.inbox.put(Record("error", item.code))
            news = self._alerts.take(item)
            self._log_alert(news)
            self.workers.delivery.inbox.put(news)
        elif isinstance(item, Event):
            self.workers.delivery.inbox.put(item)
        elif isinstance(item, Command):
            self._commands.take(item)
        elif isinstance(item, Reply):
            self._commands.carried_out(item)
        elif isinstance(item, Retuned) and self._reloading.retuned(item):
            self._constants = parts.constants(self._reloading.settled)
            self.publish_state()
        if isinstance(item, (Attention, Device, Link, Alert, AlertCleared, Command)):
            self.publish_state()

    @staticmethod
    def _log_alert(news: Alert | AlertCleared) -> None:
        if isinstance(news, AlertCleared):
            extra = kinds.ALERT_OVER(alert=news.code)
            logger.info("alert %s is over", news.code, extra=extra)
            return
        extra = kinds.ALERT(
            alert=news.code, severity=news.severity, error=news.message, remedy=news.remedy
        )
        level = logging.WARNING if news.severity == "warning" else logging.ERROR
        words = "alert %s: %s; what to do: %s"
        logger.log(level, words, news.code, news.message, news.remedy, extra=extra)

    def publish_state(self) -> None:
        """Post `state`, and the status line where it has changed."""
        self._publish(self._state())

    def _publish(self, said: State) -> None:
        self._told = said
        self.workers.delivery.inbox.put(said)
        self._tell_line(said)

    def _tell_line(self, said: State) -> None:
        self._line_at = clock.now() + LINE_S
        line = self._status_line(said)
        if line != self._last_status:
            self._last_status = line
            notify.status(line)

    def crashed(self, crashed: Crashed) -> None:
        """A bug: say all there is to say about it."""
        self.failed = crashed
        journal.settle(everything=True)  # so that the last line is the bug
        lines = traceback.format_exception(crashed.exception)
        extra = kinds.BUG(worker=crashed.worker, error=lines[-1].strip())
        logger.critical("bug in %s:\n%s", crashed.worker, "".join(lines), extra=extra)

    def feed_watchdog(self) -> None:
        stuck = [worker.name for worker in self.workers.all if worker.stuck]
        if stuck:
            who = ", ".join(stuck)
            extra = kinds.NO_HEARTBEAT(worker=who)
            logger.error("no heartbeat of: %s; the watchdog is not fed", who, extra=extra)
        else:
            notify.alive()

    def _keep_time(self) -> None:
        now = clock.now()
        if self._commands.keep_time(now):
            self.publish_state()
        if now >= min(self._state_at, self._line_at):
            self._look(now)
        if now >= self._metrics_at:
            self._metrics_at = now + METRICS_S
            journal.settle()
            self._publish_metrics()

    def _look(self, now: float) -> None:
        """See to what nobody tells: a clock that was set, a capture thread that says nothing."""
        said = self._state()
        for news in self._wall_clock.look(said.clock_synced, now):
            self.note(news)
        if now >= self._state_at:
            self._state_at = now + STATE_S
            self._reloading.look()
            self.publish_state()
        elif self._told is None or _to_be_told(said) != _to_be_told(self._told):
            self._publish(said)
        else:
            self._tell_line(said)

    def _publish_metrics(self) -> None:
        heard, frame_ms = self.workers.capture.report, self._constants.frame_ms
        self._frame_rate.look(heard, frame_ms, clock.now())
        self.workers.delivery.inbox.put(Metrics(values=self._figures()))

    def families(self) -> Iterator[Family]:
        """The same figures and delivery's, for Prometheus. For any thread: they are made of what
        the workers replace as a whole."""
        told = self.workers.delivery.report
        return metrics.families({**self._figures(), **told.metrics()}, told.latencies)

    def _figures(self) -> dict[str, float]:
        """The daemon's figures but for delivery's."""
        workers, frame_ms = self.workers, self._constants.frame_ms
        heard = workers.capture.report
        hears, _ = overview.hearing(heard, clock.now(), self._constants.stall_s)
        return {
            **overview.metrics(heard, workers.uplink.report, workers.store.report),
            **overview.hearing_metrics(heard, frame_ms, self._frame_rate.per_s, hears=hears),
            "scribed_mailbox_capture_items": len(workers.capture.inbox),
            "scribed_mailbox_uplink_items": len(workers.uplink.inbox),
            "scribed_mailbox_delivery_items": len(workers.delivery.inbox),
            "scribed_mailbox_store_items": len(workers.store.inbox),
        }

    def _state(self) -> State:
        workers = self.workers
        return overview.state(
            workers.capture.report,
            workers.uplink.report,
            workers.delivery.report.last_final_at,
            self._constants,
            stopping=self.stopping,
            clock_synced=clock_synced(),
            now=clock.now(),
            mute_reasons=self._commands.muted,
            echo_signal=self._commands.echo_signal,
            overrides=self._reloading.overrides,
            config_differs=self._reloading.differs,
        )

    def _status_line(self, said: State) -> str:
        workers, delivered = self.workers, self.workers.delivery.report
        return overview.status_line(
            workers.capture.report,
            workers.uplink.report,
            said,
            broker=delivered.connected,
            broker_error=delivered.last_error,
        )

    def _state_for_a_client(self) -> dict[str, Any]:
        said = self._state()
        moment = Moment(clock.now(), clock.wall(), clock.mono_offset(), said.clock_synced)
        payload: dict[str, Any] = msgspec.to_builtins(
            payloads.state(said, self._reloading.identity, moment)
        )
        return {**payload, "status_line": self._status_line(said)}


def _to_be_told(said: State) -> tuple[object, ...]:
    """What of `state` does not wait for the next, though no event tells it."""
    return said.hearing_reason, said.clock_synced
