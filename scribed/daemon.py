"""The composition root: opens what is shared, recovers the store, and starts the workers in order.

```
 capture ──► uplink ──► delivery      and each ──► main: Crashed | Finished | what changed
    └──► store ◄──┘ ◄───────┘
```
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scribed import __version__, clock, kinds, parts
from scribed.capture.hearing import SourceEnded
from scribed.capture.heed import Heed
from scribed.capture.posting import PIECE_MS, SETTLING
from scribed.capture.worker import Capture
from scribed.commands import MUTE_FACT, mute_reasons
from scribed.config import Config
from scribed.delivery.schemas import Muted
from scribed.delivery.worker import Delivery
from scribed.ending import Ending
from scribed.errors import ExitStatus
from scribed.metrics import Family
from scribed.model import Alert, Event, Identity, UtteranceId, pcm_bytes
from scribed.parts import Provider
from scribed.reloading import Inboxes, Reloading, Source
from scribed.service import notify
from scribed.service.control import Control
from scribed.service.credentials import mqtt_password, with_client_key
from scribed.service.names import new_id
from scribed.service.timesync import clock_synced
from scribed.store.opening import Opened, open_store
from scribed.store.recordings import Recordings
from scribed.store.worker import Remember, Reserve, Store
from scribed.supervisor import Supervisor, Workers
from scribed.uplink.providers.chunking import chunk_bytes
from scribed.uplink.worker import Uplink
from scribed.worker import Budget, Crashed, Mailbox

logger = logging.getLogger(__name__)

COST = "cost"
"""The fact that says how much audio was sent on which day."""
ANNOUNCED = "announced"
"""The fact that says where at the broker something stands that other stacks find scribed by."""


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
        source: Source,
        echo: Callable[[str], None] | None = None,
        alerts: tuple[Alert, ...] = (),
    ) -> None:
        """`source`: where the configuration is from, to be read again; `alerts`: raised from the
        start, which say that the file is not valid and `config` the last good one."""
        self._config, self._alerts = config, alerts
        self._mailbox: Mailbox[Any] = Mailbox()
        provider = Provider(config.provider, environ)
        password = mqtt_password(config, environ)
        self._opened = opened = open_store(
            state,
            runtime,
            spool=config.spool,
            boot_id=identity.boot_id,
            now=clock.now,
            wall=clock.wall,
            synced=clock_synced,
            progress=notify.Progress("puts in order what an earlier run left"),
        )
        budget = Budget(config.spool.runtime_max_mb << 20)
        pieces = (config.spool.runtime_max_mb << 20) // pcm_bytes(PIECE_MS)
        to_store: Mailbox[Any] = Mailbox(limit=SETTLING + pieces)
        delivery = Delivery(
            config=with_client_key(config, environ),
            identity=identity,
            password=password,
            store=to_store,
            noted=opened.acked.add,
            offering=opened.acked.offer,
            supervisor=self._mailbox,
            highest_seq=opened.recovery.published_to,
            standing=opened.recovery.facts.get(ANNOUNCED, "").split(),
            announcing=lambda topics: to_store.put(Remember(ANNOUNCED, " ".join(topics))),
            echo=echo,
            clock_synced=clock_synced,
        )
        uplink = Uplink(
            config=config,
            check=provider.check,
            new_session=provider.session,
            connect=provider.connect,
            remember=lambda day, spent_s: to_store.put(Remember(COST, f"{day} {spent_s:.1f}")),
            spent=_spent(opened.recovery.facts.get(COST, "")),
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
            begun=opened.begun,
            recovery=opened.recovery,
            spool=opened.spool,
            config=config.spool,
            inbox=to_store,
            capture=capture.inbox,
            uplink=uplink.inbox,
            delivery=delivery.inbox,
            supervisor=self._mailbox,
            recordings=Recordings(
                state,
                config.recorder,
                min_free_bytes=config.spool.min_free_mb << 20,
                now=clock.now,
                wall=clock.wall,
            ),
        )
        control = Control(runtime=runtime, supervisor=self._mailbox)
        scraped = parts.scraped(config.metrics, self._families, self._mailbox)
        self._supervisor = Supervisor(
            Workers(store, delivery, uplink, capture, control, scraped),
            self._mailbox,
            Reloading(
                config,
                identity,
                source,
                environ,
                inboxes=Inboxes(capture.inbox, uplink.inbox, delivery.inbox, to_store),
                tell=self._mailbox.put,
                invalid=bool(alerts),
            ),
            muted,
        )

    def run(self) -> ExitStatus:
        """Run until asked to stop, the input's end or a bug; return the exit status."""
        supervisor = self._supervisor
        supervisor.take_signals()
        self._tell_what_was_found()
        for worker in supervisor.workers.all:
            worker.start()
        supervisor.ready()
        extra = kinds.STARTED(version=__version__)
        logger.info("started: scribed %s", __version__, extra=extra)
        end = supervisor.supervise()
        keeps = self._config.spool.durability != "memory"
        ending = Ending(supervisor, grace_s=supervisor.config.shutdown.grace_s, keeps=keeps)
        match end:
            case Crashed():
                return ending.crash()
            case SourceEnded():
                return ending.finish_input(end)
            case _:
                return ending.stop()

    def _families(self) -> Iterator[Family]:
        return self._supervisor.families()

    def _tell_what_was_found(self) -> None:
        """What an earlier run left is in the journal and on the topics; the store hands it on."""
        workers, recovery = self._supervisor.workers, self._opened.recovery
        for note in recovery.notes:
            logger.warning("%s", note, extra=kinds.LEFTOVER_DAMAGED(error=note))
        if recovery.recovered or recovery.unpublished:
            utterances, finals = len(recovery.recovered), len(recovery.unpublished)
            logger.info(
                "recovered: %d utterance(s) without an answer, %d final(s) not delivered",
                utterances,
                finals,
                extra=kinds.RECOVERED(utterances=utterances, finals=finals),
            )
        if recovery.skipped:
            workers.delivery.inbox.put(Event("seq_skipped", {"skipped": recovery.skipped}))
        if reasons := self._supervisor.muted:
            workers.delivery.inbox.put(Muted(on=True, reasons=reasons))
        for alert in self._alerts:
            self._mailbox.put(alert)

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
        audio = self._config.audio
        return Capture(
            open_source=parts.source(audio),
            reopen=parts.reopens(audio),
            chunk_bytes=chunk_bytes(self._config.provider),
            vad=parts.vad(self._config)(),
            gate=parts.gate(self._config),
            new_id=lambda: UtteranceId(new_id()),
            next_seq=opened.recovery.next_seq,
            reserved=opened.recovery.reserved,
            want_numbers=lambda next_seq: to_store.put(Reserve(next_seq)),
            stall_s=parts.stall_s(audio),
            store=to_store,
            uplink=uplink.inbox,
            delivery=delivery.inbox,
            budget=budget,
            supervisor=self._mailbox,
            mark=opened.last_frame.mark,
            begun=opened.begun.note,
            last_heard=opened.recovery.heard_until,
            muted=muted,
            heed=Heed(
                self._config.echo,
                self._config.motion,
                self._config.listen,
                frame_ms=audio.frame_ms,
            ),
            silent_s=parts.silent_s(audio),
            conditioner=parts.conditioner(audio),
            recorder=parts.recorder(self._config),
        )


def _spent(fact: str) -> tuple[str, float]:
    """The day and the seconds that an earlier run remembered; nothing where that makes no sense."""
    day, _, seconds = fact.partition(" ")
    try:
        return day, max(float(seconds), 0.0)
    except ValueError:
        return "", 0.0
