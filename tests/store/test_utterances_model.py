"""Whatever happens in whatever order, no sample that was appended is lost or doubled."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.store.machine import Machine, ended, speech, started, utterance


class Story(RuleBasedStateMachine):
    """The store against a dictionary: bytes of each utterance, and which is open."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.machine = Machine(Path(self.directory))
        self.held: dict[int, int] = {}
        self.sealed: set[int] = set()
        self.open: int | None = None
        self.seq = 0

    @initialize(durability=st.sampled_from(["process", "power"]), runtime=st.booleans())
    def start(self, durability: str, runtime: bool) -> None:
        if not runtime:
            self.machine.runtime = None
        self.durability = durability
        self.life, scan = self.machine.restart(durability=durability, max_mb=2, runtime_max_mb=2)
        assert scan.found == ()

    @precondition(lambda self: self.open is None)
    @rule()
    def begin(self) -> None:
        self.seq += 1
        self.open = self.seq
        self.held[self.seq] = 0
        self.life.begin(started(self.seq))

    @precondition(lambda self: self.open is not None)
    @rule(nbytes=st.sampled_from([2, 640, 3200, 3200, 200_000]), odd=st.booleans())
    def append(self, nbytes: int, odd: bool) -> None:
        assert self.open is not None
        nbytes += odd
        self.life.append(utterance(self.open), speech(self.open, nbytes, self.held[self.open]))
        self.held[self.open] += nbytes

    @precondition(lambda self: self.open is not None)
    @rule(share=st.floats(0, 1))
    def cut(self, share: float) -> None:
        assert self.open is not None
        kept = int(self.held[self.open] * share) // 2 * 2
        self.life.cut(utterance(self.open), self.held[self.open] - kept)
        self.held[self.open] = kept

    @precondition(lambda self: self.open is not None)
    @rule()
    def seal(self) -> None:
        assert self.open is not None
        self.held[self.open] -= self.held[self.open] % 2
        assert self.life.seal(ended(self.open, self.held[self.open]))
        self.sealed.add(self.open)
        self.open = None

    @precondition(lambda self: self.open is None)
    @rule(count=st.integers(1, 4), nbytes=st.sampled_from([3200, 300_000, 900_000]))
    def say(self, count: int, nbytes: int) -> None:
        for _ in range(count):
            self.begin()
            self.append(nbytes, odd=False)
            self.seal()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.held)))
        self.life.discard(utterance(seq))
        del self.held[seq]
        self.sealed.discard(seq)
        if self.open == seq:
            self.open = None

    @precondition(lambda self: self.sealed)
    @rule(data=st.data(), sending=st.booleans())
    def mark_sending(self, data: st.DataObject, sending: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.sealed)))
        self.life.mark_sending(utterance(seq), sending)
        info = self.life.get(utterance(seq))
        assert info is not None
        assert info.sending is sending

    @rule(well=st.booleans())
    def well(self, well: bool) -> None:
        self.life.well = well

    @rule()
    def secure(self) -> None:
        if self.life.secure():
            assert all(info.durable for info in self.life.list())
        else:
            event("not secured")
            assert self.life.nbytes > 1 << 20, "there was room"
        self.evicted()

    @rule()
    def evicted(self) -> None:
        self.life.sync(self.machine.now)
        gone = [int(each[4:]) for each in self.life.make_room()]
        if gone:
            event("evicted")
            size = self.life.nbytes + max(self.held[seq] for seq in gone)
            assert size > 2 << 20, "there was room"
        for seq in gone:
            del self.held[seq]
            self.sealed.remove(seq)
        assert {int(info.id[4:]) for info in self.life.list()} == set(self.held)
        self.machine.now += 1
        state = [info for info in self.life.list() if info.durable]
        assert sum(info.nbytes for info in state if info.ended) <= 2 << 20

    @rule()
    def crash(self) -> None:
        self.evicted()
        self.life, scan = self.machine.restart(
            durability=self.durability, max_mb=2, runtime_max_mb=2
        )
        assert [info.started.seq for info in scan.found] == sorted(self.held)
        assert all(info.ended is not None for info in scan.found)
        assert scan.torn == (() if self.open is None else (utterance(self.open),))
        assert (scan.mismatched, scan.damaged, scan.foreign, scan.problems) == ((), (), 0, ())
        if self.open is not None:
            self.held[self.open] -= self.held[self.open] % 2
            self.sealed.add(self.open)
            self.open = None

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "life"):
            return
        waiting = {int(info.id[4:]) for info in self.life.list()}
        assert waiting <= set(self.held)
        for seq in waiting:
            assert self.life.load(utterance(seq)) == speech(seq, self.held[seq])
        assert len(self.machine.files()) == len(waiting)
        used = sum(path.stat().st_blocks * 512 for path in self.machine.files().values())
        assert self.life.nbytes == used

    def teardown(self) -> None:
        self.machine.kill()
        shutil.rmtree(self.directory)


Story.TestCase.settings = settings(deadline=None, max_examples=30, stateful_step_count=30)
TestStory = pytest.mark.timeout(600)(Story.TestCase)  # it waits for a disk that others use too
