"""The composition root: opens what is shared, recovers the store, and starts the workers in order.

```
 capture ──► uplink ──► delivery      and each ──► main: Crashed | Finished | what changed
    └──► store ◄──┘ ◄───────┘
```
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from scribed import __version__, clock, overview
from scribed.capture.segmenter import Gate
from scribed.capture.worker import Capture, SourceEnded
from scribed.commands import MUTE_FACT, mute_reasons
from scribed.config import Audio, Config, ProviderSection
from scribed.delivery.schemas import Muted
from scribed.delivery.worker import Delivery
from scribed.ending import Ending
from scribed.errors import ExitStatus, SourceError
from scribed.interfaces import Request, Session, Source
from scribed.model import Alert, Event, Identity, UtteranceId, pcm_bytes
from scribed.service.control import Control
from scribed.service.credentials import api_key, mqtt_password
from scribed.service.names import new_id
from scribed.service.timesync import clock_synced
from scribed.store.opening import Opened, open_store
from scribed.store.worker import Reserve, Store
from scribed.supervisor import Supervisor, Workers
from scribed.uplink.connection import Connection, tls_context
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from scribed.uplink.worker import Uplink
from scribed.worker import Budget, Crashed, Mailbox

logger = logging.getLogger(__name__)

STDIN_CLOSED = (
    'audio.source: standard input is closed; pipe raw s16le into it, or use "alsa" or "file"'
)


class Daemon:
    """One microphone's ear, from start to end. Used by the main thread only.

    The constructor opens the state directory and recovers what an earlier run left there: it raises
    `StateInUse`, or `ScribedError` where the directory, a certificate or the broker's password
    cannot be used.
    """

    def __init__(
        self,
        config: Config,
        identity: Identity,
        state: Path,
        runtime: Path,
        environ: Mapping[str, str],
        *,
        echo: Callable[[str], None] | None = None,
        alerts: tuple[Alert, ...] = (),
    ) -> None:
        self._config, self._alerts = config, alerts
        self._mailbox: Mailbox[Any] = Mailbox()
        plain = config.provider.url.startswith("ws://") and not config.provider.ca_file
        tls = None if plain else tls_context(config.provider.ca_file)  # 16 ms: by need
        password = mqtt_password(config, environ)
        self._opened = opened = open_store(
            state,
            runtime,
            spool=config.spool,
            boot_id=identity.boot_id,
            now=clock.now,
            wall=clock.wall,
            synced=clock_synced,
        )
        budget = Budget(config.spool.runtime_max_mb << 20)
        to_store: Mailbox[Any] = Mailbox(limit=1_000_000)  # the budget bounds it
        delivery = Delivery(
            config=config,
            identity=identity,
            password=password,
            store=to_store,
            supervisor=self._mailbox,
            highest_seq=opened.recovery.published_to,
            echo=echo,
            clock_synced=clock_synced,
        )
        uplink = Uplink(
            config=config,
            new_session=lambda: _session(config.provider, environ),
            connect=lambda request: _connect(config.provider, request, tls),
            store=to_store,
            delivery=delivery.inbox,
            budget=budget,
            supervisor=self._mailbox,
            clock_synced=clock_synced,
        )
        muted = mute_reasons(opened.recovery.facts.get(MUTE_FACT))
        capture = self._new_capture(opened, to_store, uplink, delivery, budget, muted=bool(muted))
        store = Store(
            sequence=opened.sequence,
            ledger=opened.ledger,
            ballast=opened.ballast,
            utterances=opened.utterances,
            acked=opened.acked,
            last_frame=opened.last_frame,
            recovery=opened.recovery,
            spool=opened.spool,
            config=config.spool,
            inbox=to_store,
            capture=capture.inbox,
            uplink=uplink.inbox,
            delivery=delivery.inbox,
            supervisor=self._mailbox,
        )
        control = Control(runtime=runtime, supervisor=self._mailbox)
        self._supervisor = Supervisor(
            Workers(store, delivery, uplink, capture, control),
            self._mailbox,
            overview.Constants(
                version=__version__,
                config_sha=hashlib.sha256(msgspec.json.encode(config)).hexdigest()[:12],
                language=None if config.provider.language == "auto" else config.provider.language,
                stall_s=config.audio.stall_s,
            ),
            identity,
            muted,
        )

    def run(self) -> ExitStatus:
        """Run until asked to stop, the input's end or a bug; return the exit status."""
        supervisor = self._supervisor
        supervisor.take_signals()
        self._tell_what_was_found()
        for worker in supervisor.workers:
            worker.start()
        supervisor.ready()
        logger.info("started: scribed %s", __version__)
        end = supervisor.supervise()
        keeps = self._config.spool.durability != "memory"
        ending = Ending(supervisor, grace_s=self._config.shutdown.grace_s, keeps=keeps)
        match end:
            case Crashed():
                return ending.crash()
            case SourceEnded():
                return ending.finish_input(end)
            case _:
                return ending.stop()

    def _tell_what_was_found(self) -> None:
        """What an earlier run left is in the journal and on the topics; the store hands it on."""
        workers, recovery = self._supervisor.workers, self._opened.recovery
        for note in recovery.notes:
            logger.warning("%s", note)
        if recovery.recovered or recovery.unpublished:
            logger.info(
                "recovered: %d utterance(s) without an answer, %d final(s) not delivered",
                len(recovery.recovered),
                len(recovery.unpublished),
            )
        if recovery.skipped:
            workers.delivery.inbox.put(Event("seq_skipped", {"skipped": recovery.skipped}))
        if reasons := self._supervisor.muted:
            workers.delivery.inbox.put(Muted(on=True, reasons=reasons))
        for alert in self._alerts:
            workers.delivery.inbox.put(alert)

    def _new_capture(
        self,
        opened: Opened,
        to_store: Mailbox[Any],
        uplink: Uplink,
        delivery: Delivery,
        budget: Budget,
        *,
        muted: bool,
    ) -> Capture:
        audio, vad = self._config.audio, self._config.vad
        from scribed.capture.vad import WebRtcVad  # noqa: PLC0415 -- only where the gate runs

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
            next_seq=opened.recovery.next_seq,
            reserved=opened.recovery.reserved,
            want_numbers=lambda next_seq: to_store.put(Reserve(next_seq)),
            stall_s=audio.stall_s,
            store=to_store,
            uplink=uplink.inbox,
            delivery=delivery.inbox,
            budget=budget,
            supervisor=self._mailbox,
            mark=opened.last_frame.mark,
            last_heard=opened.recovery.heard_until,
            muted=muted,
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
