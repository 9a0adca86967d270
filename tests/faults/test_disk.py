"""The disk is full, read-only, broken or small (G6): it goes on hearing, and says so."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.trace import needs_strace, traced
from tests.store.volumes import Volume, volume

DISK_MB = 4
SEGMENT_MB = 28 * 32_000 / (1 << 20)
SMALL = {"spool": {"min_free_mb": 0, "max_mb": 2, "runtime_max_mb": 2, "catch_up_rate": 20.0}}


@contextlib.contextmanager
def full(disk: Volume) -> Iterator[None]:
    """Somebody else takes all there is."""
    path = disk.path / "somebody's"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def read_only(disk: Volume) -> Iterator[None]:
    """Nothing can be opened for writing; a file that is open goes on, or it would be busy."""
    path = str(disk.path)
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield
    finally:
        subprocess.run(["umount", path], check=True)


class DiskUse(threading.Thread):
    """Looks every 100 ms how much audio is on the disk."""

    def __init__(self, directory: Path) -> None:
        super().__init__(name="disk use")
        self.most_mb = 0.0
        self._directory, self._over = directory, threading.Event()

    def __enter__(self) -> DiskUse:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.1):
            nbytes = 0
            for path in list(self._directory.rglob("*.wav")):
                with contextlib.suppress(OSError):
                    nbytes += path.stat().st_size
            self.most_mb = max(self.most_mb, nbytes / (1 << 20))


def outage(bench: Bench, utterances: int) -> None:
    """The link is down while so much is said."""
    bench.uplink.refuse()
    bench.uplink.reset()
    for _ in range(utterances):
        bench.say(4)
    bench.microphone.hush()
    bench.uplink.listen()


@pytest.mark.timeout(240)
def test_a_long_outage_uses_no_more_disk_than_it_may_and_names_each_utterance_it_gave_up(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        Bench(tmp_path, phrases, run=1, pace=8.0, sections=SMALL) as bench,
        DiskUse(tmp_path / "state") as use,
    ):
        bench.fresh()
        outage(bench, 20)
        bench.settle(30)
        bench.fresh()
        evicted = [m.payload for m in bench.robot.on("ended")]
        bench.conclude(
            "disk: cap of 2 MB", note=f"at most {use.most_mb:.2f} MB, {len(evicted)} evicted"
        )
        assert use.most_mb <= 2 + SEGMENT_MB
        assert {e["outcome"] for e in evicted} == {"evicted"}
        gone = {span.utterance for span in bench.judge.verdict().excused}
        assert len(gone) == len(evicted)
        assert bench.robot.on("alert/spool_full")


@pytest.mark.parametrize("trouble", [full, read_only])
@pytest.mark.timeout(240)
def test_a_disk_that_takes_nothing_stops_no_hearing_and_heals(
    tmp_path: Path, phrases: list[bytes], trouble: type[contextlib.AbstractContextManager[None]]
) -> None:
    with (
        volume(tmp_path / "state", DISK_MB) as disk,
        Bench(tmp_path, phrases, run=1, sections=SMALL) as bench,
    ):
        bench.fresh()
        bench.faults = 1
        with trouble(disk):  # type: ignore[call-arg]
            bench.fresh()
            outage(bench, 3)
            bench.settle()
            bench.fresh()
            bench.robot.wait_for(
                lambda: bench.robot.alert("disk_error") or bench.robot.alert("spool_full")
            )
        bench.robot.wait_for(
            lambda: not (bench.robot.alert("disk_error") or bench.robot.alert("spool_full")), 20
        )
        bench.fresh()
        bench.conclude(f"disk: {trouble.__name__}")
        status, _ = bench.stop()
        assert status == 0


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed")
@pytest.mark.timeout(240)
def test_a_disk_that_breaks_and_stays_broken_stops_no_hearing(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        volume(tmp_path / "state", 16, "ext4") as disk,
        Bench(tmp_path, phrases, run=1, sections=SMALL) as bench,
    ):
        bench.fresh()
        break_(disk)
        bench.faults = 1
        bench.fresh()
        outage(bench, 3)
        bench.settle()
        bench.fresh()
        bench.robot.wait_for(lambda: bench.robot.alert("disk_error"))
        bench.conclude("disk: broken")
        status, _ = bench.stop()
        assert status == 0


def break_(disk: Volume) -> None:
    """What the kernel does with an ext4 that it finds damaged: not a byte is written any more."""
    subprocess.run(["mount", "-o", "remount,errors=remount-ro", disk.path], check=True)
    device = subprocess.run(
        ["findmnt", "-no", "SOURCE", disk.path], check=True, capture_output=True, text=True
    ).stdout.strip()
    trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip("this kernel breaks no file system on demand")
    trigger.write_text("1")


def test_a_disk_that_is_full_at_the_start_is_no_reason_not_to_hear(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        volume(tmp_path / "state", DISK_MB) as disk,
        Bench(tmp_path, phrases, run=1, sections=SMALL) as bench,
    ):
        bench.fresh()
        bench.settle()
        bench.stop()
        bench.faults = 1
        with full(disk):
            bench.start_again()
            bench.fresh()
        bench.conclude("disk: full at the start")


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("when", ["1", "2+2", "1+1"])
@pytest.mark.timeout(240)
def test_a_ledger_whose_writes_fail_costs_no_word(
    tmp_path: Path, phrases: list[bytes], error: str, when: str
) -> None:
    calls = "pwrite64,fdatasync"
    failing = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}"]
    with Bench(tmp_path, phrases, run=1) as bench:
        bench.fresh()
        with traced(bench.robot.process.pid, failing):
            for n in range(6):
                bench.say(n)
            bench.settle()
            bench.faults = 1
        bench.fresh()
        bench.conclude(f"disk: {error} at {when}")
