"""The store thread: capture gets its numbers, whatever the disk does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed.model import Alert, AlertCleared, SeqReserved
from scribed.store.sequence import BLOCK, Sequence
from scribed.store.worker import Reserve, Store
from scribed.worker import Finished, Mailbox, Stop

SOON = 10.0
"""Seconds after which a test gives up."""


class Rig:
    """A store thread between a capture and a supervisor who only listen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.capture: Mailbox[Any] = Mailbox()
        self.supervisor: Mailbox[Any] = Mailbox()
        self.sequence = Sequence(directory)
        self.store = Store(sequence=self.sequence, capture=self.capture, supervisor=self.supervisor)
        self.store.start()

    def reserve(self, next_seq: int) -> object:
        """Ask for numbers, and wait for the answer."""
        self.store.inbox.put(Reserve(next_seq))
        return self.capture.get(SOON)

    def told(self) -> object:
        """What the supervisor is told next."""
        return self.supervisor.get(SOON)

    def fill_disk(self) -> None:
        (self.directory / "seq.new").symlink_to("/dev/full")

    def clear_disk(self) -> None:
        (self.directory / "seq.new").unlink()

    def close(self) -> None:
        self.store.inbox.put(Stop())
        self.store.join(SOON)
        assert not self.store.is_alive()
        self.sequence.close()
        for mailbox in (self.store.inbox, self.capture, self.supervisor):
            mailbox.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_capture_gets_the_numbers_it_asked_for(rig: Rig) -> None:
    assert rig.reserve(1) == SeqReserved(1 + BLOCK)
    assert rig.reserve(50) == SeqReserved(50 + BLOCK)


def test_what_capture_got_is_on_the_disk(rig: Rig, tmp_path: Path) -> None:
    rig.reserve(50)
    assert (tmp_path / "seq").read_text() == f"{50 + BLOCK} 50 dirty\n"


def test_a_full_disk_is_an_alert_and_capture_gets_its_numbers_all_the_same(rig: Rig) -> None:
    rig.fill_disk()
    assert rig.reserve(1) == SeqReserved(1 + BLOCK)
    alert = rig.told()
    assert isinstance(alert, Alert)
    assert alert.code == "disk_error"
    assert alert.message == "the state directory cannot be written: No space left on device"
    assert alert.remedy


def test_the_alert_is_cleared_when_the_disk_takes_numbers_again(rig: Rig) -> None:
    rig.fill_disk()
    rig.reserve(1)
    assert isinstance(rig.told(), Alert)
    rig.clear_disk()
    assert rig.reserve(50) == SeqReserved(50 + BLOCK)
    assert rig.told() == AlertCleared("disk_error")


def test_a_disk_that_is_well_is_not_talked_about(rig: Rig) -> None:
    rig.reserve(1)
    rig.reserve(50)
    assert rig.supervisor.drain() == []


def test_what_was_asked_before_the_end_is_done_before_the_end(rig: Rig) -> None:
    for item in (Reserve(1), Reserve(50), Stop()):
        rig.store.inbox.put(item)
    assert rig.told() == Finished("store")
    assert rig.capture.drain() == [SeqReserved(1 + BLOCK), SeqReserved(50 + BLOCK)]


def test_a_thread_that_waits_for_something_to_do_is_not_stuck(rig: Rig) -> None:
    rig.reserve(1)
    assert not rig.store.stuck
