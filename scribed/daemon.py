"""The composition root and the supervisor: starts the workers in order, stops them in reverse.

```
 capture ──► uplink ──► delivery      and each ──► main: Crashed | Finished | what changed
    └──► store
```
The main thread owns the mailbox all workers report to. It composes `state` and the status line,
feeds the watchdog while every heartbeat is fresh, and decides how the daemon ends. A worker that
dies by an unexpected exception takes the process down (exit 70): systemd restarts it, and there is
no half-dead daemon.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from scribed import __version__, clock, overview
from scribed.capture.segmenter import Gate
from scribed.capture.worker import Capture, SourceEnded
from scribed.config import Audio, Config, ProviderSection
from scribed.delivery.worker import Delivery, Finish
from scribed.errors import ExitStatus, ScribedError, SourceError
from scribed.interfaces import Request, Session, Source
from scribed.model import (
    Alert,
    AlertCleared,
    Device,
    Event,
    Identity,
    Link,
    SeqReserved,
    UtteranceId,
    pcm_bytes,
)
from scribed.service import notify
from scribed.service.credentials import credential
from scribed.service.names import new_id
from scribed.service.timesync import clock_synced
from scribed.store.sequence import Sequence
from scribed.store.worker import Reserve, Store
from scribed.uplink.connection import Connection, tls_context
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from scribed.uplink.worker import Drain, Uplink
from scribed.worker import Budget, Crashed, Finished, Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

STATE_S = 30.0
"""How often `state` is published where nothing changes."""
CAPTURE_STOP_S = 0.8
"""How long capture has to end: it wakes every 100 ms, but may be opening a device."""
DELIVERY_STOP_S = 0.9
"""How long delivery has for its last messages, after the uplink's grace."""
NO_PROGRESS_S = 60.0
"""After the end of a file or pipe: give up when nothing was answered for so long."""
LAST_MESSAGES_S = 30.0
"""After the end of a file or pipe: how long a broker may take for the last transcripts."""
STDIN_CLOSED = (
    'audio.source: standard input is closed; pipe raw s16le into it, or use "alsa" or "file"'
)


@dataclass(frozen=True, slots=True)
class Signal:
    """What arrived from outside; the handler does nothing but post it."""

    number: int


class Daemon:
    """One microphone's ear, from start to end. Used by the main thread only.

    The constructor opens the state directory: it raises `StateInUse`, or `ScribedError` where the
    directory, a certificate or the broker's password cannot be used.
    """

    def __init__(
        self,
        config: Config,
        identity: Identity,
        state_directory: Path,
        environ: Mapping[str, str],
        *,
        echo: Callable[[str], None] | None = None,
        alerts: tuple[Alert, ...] = (),
    ) -> None:
        self._config = config
        self._mailbox: Mailbox[Any] = Mailbox()
        self._budget = Budget(config.spool.runtime_max_mb << 20)
        self._constants = overview.Constants(
            version=__version__,
            config_sha=hashlib.sha256(msgspec.json.encode(config)).hexdigest()[:12],
            language=None if config.provider.language == "auto" else config.provider.language,
            stall_s=config.audio.stall_s,
        )
        tls = tls_context(config.provider.ca_file)
        password = mqtt_password(config, environ)
        self._sequence = Sequence(state_directory)
        self._delivery = Delivery(
            config=config,
            identity=identity,
            password=password,
            supervisor=self._mailbox,
            echo=echo,
            clock_synced=clock_synced,
        )
        self._uplink = Uplink(
            config=config,
            new_session=lambda: _session(config.provider, environ),
            connect=lambda request: _connect(config.provider, request, tls),
            delivery=self._delivery.inbox,
            budget=self._budget,
            supervisor=self._mailbox,
        )
        self._capture = self._make_capture()
        self._store = Store(
            sequence=self._sequence, capture=self._capture.inbox, supervisor=self._mailbox
        )
        self._stopping = False
        self._failed: Crashed | None = None
        self._last_status = ""
        for alert in alerts:
            self._delivery.inbox.put(alert)

    def run(self) -> ExitStatus:
        """Run until asked to stop, the input's end or a bug; return the exit status."""
        self._take_signals()
        for worker in (self._store, self._delivery, self._uplink, self._capture):
            worker.start()
        if self._sequence.skipped:
            detail: dict[str, object] = {"skipped": self._sequence.skipped}
            self._delivery.inbox.put(Event("seq_skipped", detail))
        self._publish_state()
        notify.ready(self._last_status)
        logger.info("started: scribed %s", __version__)
        end = self._supervise()
        if isinstance(end, Crashed):
            return self._crash(end)
        status = self._finish_input(end) if isinstance(end, SourceEnded) else self._stop()
        return ExitStatus.BUG if self._failed else status

    # Start

    def _make_capture(self) -> Capture:
        audio, vad = self._config.audio, self._config.vad
        from scribed.capture.vad import WebRtcVad  # noqa: PLC0415 -- only where the gate runs

        try:
            end = self._sequence.reserve(self._sequence.next)
        except OSError as exc:
            raise ScribedError(
                f"the state directory cannot be written: {exc.strerror}; free space there, "
                "or set STATE_DIRECTORY"
            ) from exc
        return Capture(
            open_source=lambda: _open_source(audio),
            reopen=audio.source == "alsa",
            chunk_bytes=pcm_bytes(self._config.provider.chunk_ms),
            vad=WebRtcVad(vad.aggressiveness),
            gate=Gate(
                frame_ms=audio.frame_ms,
                pre_roll_ms=vad.pre_roll_ms,
                start_ms=vad.start_ms,
                start_window_ms=vad.start_window_ms,
                hangover_ms=vad.hangover_ms,
                min_utterance_ms=vad.min_utterance_ms,
                max_utterance_s=vad.max_utterance_s,
            ),
            new_id=lambda: UtteranceId(new_id()),
            next_seq=self._sequence.next,
            reserved=SeqReserved(end),
            want_numbers=lambda next_seq: self._store.inbox.put(Reserve(next_seq)),
            stall_s=audio.stall_s,
            uplink=self._uplink.inbox,
            delivery=self._delivery.inbox,
            budget=self._budget,
            supervisor=self._mailbox,
        )

    def _take_signals(self) -> None:
        def post(number: int, _frame: FrameType | None) -> None:
            self._mailbox.put(Signal(number))

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, post)

    # Running

    def _supervise(self) -> Signal | SourceEnded | Crashed:
        """Serve until something ends the daemon; return that."""
        every_s = min(STATE_S, (notify.watchdog_s() or 2 * STATE_S) / 3)
        state_at = clock.now() + STATE_S
        while True:
            item = self._mailbox.get(every_s)
            if isinstance(item, Signal) and item.number == signal.SIGHUP:
                logger.warning("SIGHUP: restart the service to take a changed configuration")
            elif isinstance(item, (Signal, SourceEnded, Crashed)):
                return item
            else:
                self._note(item)
            if clock.now() >= state_at:
                state_at = clock.now() + STATE_S
                self._publish_state()
            self._feed_watchdog()

    def _note(self, item: object) -> None:
        """Something changed: pass it on, and say how the daemon is now."""
        if isinstance(item, (Alert, AlertCleared, Event)):
            self._delivery.inbox.put(item)
        if isinstance(item, (Device, Link, Alert, AlertCleared)):
            self._publish_state()

    def _publish_state(self) -> None:
        heard, uplink, delivered = self._capture.report, self._uplink.report, self._delivery.report
        now = clock.now()
        said = overview.state(
            heard,
            uplink,
            delivered.last_final_at,
            self._constants,
            stopping=self._stopping,
            clock_synced=clock_synced(),
            now=now,
        )
        self._delivery.inbox.put(said)
        line = overview.status_line(heard, uplink, said, broker=delivered.connected)
        if line != self._last_status:
            self._last_status = line
            notify.status(line)

    def _feed_watchdog(self) -> None:
        stuck = [worker.name for worker in self._workers() if worker.stuck]
        if stuck:
            logger.error("no heartbeat of: %s; the watchdog is not fed", ", ".join(stuck))
        else:
            notify.alive()

    def _workers(self) -> tuple[Worker, ...]:
        return (self._capture, self._uplink, self._delivery, self._store)

    # The end

    def _stop(self) -> ExitStatus:
        """Asked to stop: end within the grace and 2 s, whatever a peer does."""
        self._begin_stop("stopping")
        deadline = clock.now() + self._config.shutdown.grace_s
        self._capture.inbox.put(Stop())
        self._wait_for(self._capture, clock.now() + CAPTURE_STOP_S)
        self._uplink.inbox.put(Drain(deadline))
        self._wait_for(self._uplink, deadline)
        if waiting := self._uplink.report.utterances:
            logger.warning("%d utterance(s) have no answer; they end as failed", waiting)
        self._end_delivery(max(clock.now(), deadline - 0.5) + DELIVERY_STOP_S)
        return ExitStatus.OK

    def _finish_input(self, end: SourceEnded) -> ExitStatus:
        """The input has ended: wait for every answer that can be had, then leave."""
        self._begin_stop("end of input")
        if end.error is not None:
            logger.error("%s", end.error)
        ended_at = clock.now()
        self._uplink.inbox.put(Drain(float("inf")))
        while self._uplink.is_alive():
            self._wait_for(self._uplink, clock.now() + 1.0)
            if self._failed:
                return ExitStatus.BUG
            if self._stop_asked:
                return self._stop()
            if clock.now() - max(self._uplink.report.progress_at, ended_at) > NO_PROGRESS_S:
                self._uplink.inbox.put(Drain(clock.now()))
                self._wait_for(self._uplink, clock.now() + 1.0)
                break
        waiting = self._uplink.report.utterances
        self._end_delivery(clock.now() + LAST_MESSAGES_S)
        if waiting:
            logger.error("%d utterance(s) have no answer; they end as failed", waiting)
        unsent = self._delivery.report.queued
        failed = end.error is not None or waiting or unsent or self._delivery.is_alive()
        return ExitStatus.FAILED if failed and not self._stop_asked else ExitStatus.OK

    def _begin_stop(self, why: str) -> None:
        self._stopping, self._stop_asked = True, False
        logger.info("%s", why)
        notify.stopping()

    def _wait_for(self, worker: Worker, deadline: float) -> None:
        """Serve the mailbox until `worker` has ended, at most to `deadline`."""
        while worker.is_alive() and (left := deadline - clock.now()) > 0 and not self._failed:
            item = self._mailbox.get(min(left, 1.0))
            if isinstance(item, Crashed):
                self._failed = item
                self._log_crash(item)
            elif isinstance(item, Signal):
                self._stop_asked = self._stop_asked or item.number != signal.SIGHUP
            elif isinstance(item, Finished) and item.worker == worker.name:
                worker.join(max(0.0, deadline - clock.now()))
            else:
                self._note(item)
            if self._stop_asked and worker is self._uplink:
                return
            self._feed_watchdog()

    def _end_delivery(self, deadline: float) -> None:
        self._publish_state()
        self._delivery.inbox.put(Finish(deadline))
        was_asked = self._stop_asked
        while self._delivery.is_alive() and clock.now() < deadline and not self._failed:
            self._wait_for(self._delivery, min(deadline, clock.now() + 0.5))
            if self._stop_asked and not was_asked:  # a broker that is away may not hold us
                was_asked = True
                deadline = min(deadline, clock.now() + DELIVERY_STOP_S)
                self._delivery.inbox.put(Finish(deadline))
        self._store.inbox.put(Stop())
        self._wait_for(self._store, clock.now() + 0.2)
        if not self._store.is_alive() and not self._capture.is_alive():
            self._release_numbers()
        if self._delivery.is_alive():
            self._tell_what_is_lost()
        logger.info("stopped")

    def _tell_what_is_lost(self) -> None:
        """Delivery hangs, in a name lookup or in connect, and cannot say so itself."""
        published = self._delivery.report.published
        ended = sum(published.get(topic, 0) for topic in ("transcript", "late", "ended"))
        if lost := self._capture.report.detected - ended:
            logger.error("%d finals were not published: the broker was not reached in time", lost)

    def _release_numbers(self) -> None:
        try:
            self._sequence.release(self._capture.next_seq)
        except OSError as exc:
            logger.warning("the state directory cannot be written: %s", exc.strerror)
        self._sequence.close()

    def _crash(self, crashed: Crashed) -> ExitStatus:
        self._failed = crashed
        self._log_crash(crashed)
        notify.stopping()
        return ExitStatus.BUG

    def _log_crash(self, crashed: Crashed) -> None:
        lines = traceback.format_exception(crashed.exception)
        logger.critical("bug in %s:\n%s", crashed.worker, "".join(lines))


def leave(status: ExitStatus) -> None:
    """End the process at once, without waiting for threads that DNS or a peer holds."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def api_key(provider: ProviderSection, environ: Mapping[str, str]) -> str:
    """The provider's key. Raises `ScribedError` that says where it may be put."""
    key = credential(
        "elevenlabs-api-key",
        file=provider.key_file,
        key="provider.key_file",
        variable="ELEVENLABS_API_KEY",
        environ=environ,
    )
    if key is None:
        raise ScribedError(
            "no API key: put it in the credential elevenlabs-api-key, in a file that "
            "provider.key_file names (chmod 600), or in ELEVENLABS_API_KEY"
        )
    return key


def mqtt_password(config: Config, environ: Mapping[str, str]) -> str | None:
    """The broker's password, where there is one. Raises `ScribedError`."""
    return credential(
        "mqtt-password",
        file=config.mqtt.password_file,
        key="mqtt.password_file",
        variable=None,
        environ=environ,
    )


def _session(provider: ProviderSection, environ: Mapping[str, str]) -> Session:
    match provider.name:
        case "elevenlabs":
            return ElevenLabsSession(provider, api_key(provider, environ))


def _connect(provider: ProviderSection, request: Request, tls: Any) -> Connection:
    return Connection(request, timeout_s=provider.connect_timeout_s, tls=tls)


def _open_source(audio: Audio) -> Source:
    """The configured source; its library is imported only where it is used."""
    match audio.source:
        case "alsa":
            from scribed.capture.sources.alsa import AlsaSource  # noqa: PLC0415

            return AlsaSource(audio)
        case "file":
            from scribed.capture.sources.pcm import FileSource  # noqa: PLC0415

            return FileSource(audio)
        case "stdin":
            if sys.stdin is None:  # closed at the start: descriptor 0 is one of our own by now
                raise SourceError(STDIN_CLOSED)
            from scribed.capture.sources.pcm import StdinSource  # noqa: PLC0415

            return StdinSource(audio)
