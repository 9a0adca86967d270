"""A whole store in real directories, one life of the daemon after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scribed.config import Recorder
from scribed.config import Spool as SpoolConfig
from scribed.model import EarlierBoot
from scribed.store.acked import Acked
from scribed.store.ballast import Ballast
from scribed.store.begun import Begun
from scribed.store.heard import LastFrame
from scribed.store.ledger import Ledger
from scribed.store.recordings import Recordings
from scribed.store.recovery import Recovery, recover
from scribed.store.sequence import Sequence
from scribed.store.spool import Spool
from scribed.store.utterances import Utterances
from scribed.store.worker import Close, Store
from scribed.worker import Mailbox
from tests.store.machine import BOOT

SOON = 10.0
"""Seconds after which a test gives up."""


class House:
    """What outlives the daemon: directories, and the machine's clock and boot."""

    def __init__(self, directory: Path, state: Path | None = None) -> None:
        self.state = state or directory / "state"
        self.runtime = directory / "run"
        self.runtime.mkdir()
        self.now = 1000.0
        self.boot = EarlierBoot(BOOT, 1_790_000_000.0, clock_synced=True)
        self.lives: list[Life] = []

    def reboot(self, off_s: float = 60.0) -> None:
        """The machine starts anew: what was in memory is gone."""
        for path in sorted(self.runtime.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        wall = self.now + self.boot.unix_offset + off_s
        self.now = 20.0
        self.boot = EarlierBoot(f"{len(self.boot.id):036}", wall - self.now, clock_synced=True)

    def life(self, **config: Any) -> Life:
        """The next life, in order; the last one ends as a kill ends it."""
        self.kill()
        life = Life(self, SpoolConfig(**{"min_free_mb": 0, **config}))
        self.lives.append(life)
        return life

    def kill(self) -> None:
        while self.lives:
            self.lives.pop().kill()


class Life:
    """One life: `recovery` is what it found. `start()` gives it a thread and peers who listen."""

    def __init__(self, house: House, config: SpoolConfig) -> None:
        self.house, self.config = house, config
        self.sequence = Sequence(house.state)
        self.ballast = Ballast(house.state)
        self.ledger = Ledger(
            house.state / "ledger.db", this_boot=lambda: house.boot, ballast=self.ballast
        )
        self.utterances = Utterances(
            house.state,
            house.runtime,
            spool=config,
            boot_id=house.boot.id,
            now=lambda: house.now,
            wall=lambda: house.now + house.boot.unix_offset,
            synced=lambda: house.boot.clock_synced,
        )
        self.acked = Acked(house.runtime / "acked")
        self.last_frame = LastFrame(house.runtime / "heard", house.boot.id)
        self.begun = Begun(house.runtime / "begun")
        self.recovery: Recovery = recover(
            sequence=self.sequence,
            ledger=self.ledger,
            ballast=self.ballast,
            utterances=self.utterances,
            acked=self.acked,
            last_frame=self.last_frame,
            begun=self.begun,
            this_boot=lambda: house.boot,
            now=house.now,
        )
        self.mailboxes: list[Mailbox[Any]] = []

    def start(self) -> Store:
        """The thread."""
        return self.start_with()

    def start_with(self, delivery: Mailbox[Any] | None = None) -> Store:
        """The thread, with a delivery's mailbox of the test's own."""
        self.capture, self.uplink, self.delivery, self.supervisor, self.asker = (
            self._mailbox() for _ in range(5)
        )
        house = self.house
        if delivery is not None:
            self.delivery = delivery
            self.mailboxes.append(delivery)
        self.store = Store(
            inbox=Mailbox(),
            sequence=self.sequence,
            ledger=self.ledger,
            ballast=self.ballast,
            utterances=self.utterances,
            acked=self.acked,
            last_frame=self.last_frame,
            begun=self.begun,
            recovery=self.recovery,
            spool=Spool(
                self.utterances, self.ledger, state=house.state, this_boot=lambda: house.boot
            ),
            config=self.config,
            capture=self.capture,
            uplink=self.uplink,
            delivery=self.delivery,
            supervisor=self.supervisor,
            recordings=Recordings(
                house.state,
                Recorder(max_mb=1, max_age_h=1.0),
                min_free_bytes=0,
                now=lambda: house.now,
                wall=lambda: house.now + house.boot.unix_offset,
            ),
            now=lambda: house.now,
        )
        self.mailboxes.append(self.store.inbox)
        self.store.start()
        return self.store

    def post(self, *items: Any) -> None:
        for item in items:
            assert self.store.inbox.put(item)

    def stop(self, next_seq: int | None = None) -> None:
        """A clean end."""
        if self.store.is_alive():
            self.post(Close(next_seq))
        self.store.join(SOON)
        assert not self.store.is_alive()
        self.house.lives.remove(self)
        self._let_go()

    def kill(self) -> None:
        """Nothing more is written, and nothing is put in order."""
        if hasattr(self, "store") and self.store.is_alive():
            raise AssertionError("a thread cannot be killed: stop() it")
        self._let_go()

    def _let_go(self) -> None:
        self.utterances.close()
        self.ledger.close()
        self.acked.close()
        self.last_frame.close()
        self.begun.close()
        self.sequence.close()
        for mailbox in self.mailboxes:
            mailbox.close()

    def _mailbox(self) -> Mailbox[Any]:
        mailbox: Mailbox[Any] = Mailbox()
        self.mailboxes.append(mailbox)
        return mailbox
