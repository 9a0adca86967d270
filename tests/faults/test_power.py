"""The power is cut (G4): with `durability = "power"` it costs at most 1.1 s of the open utterance.

A cut is a snapshot of the disk below the state directory's file system: what was written and not
yet synced is not on it. The disk is a file on XFS, which copies it by reference in an instant.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.config import Spool
from scribed.model import Final
from scribed.store.opening import Opened, open_store
from tests.faults import watermark
from tests.faults.bench import Bench
from tests.faults.seeds import seeds
from tests.faults.watermark import FRAME_MS

CUTS = 10
LOSS_MS = 1100
SLACK_MS = 60
"""How exactly the test knows when a frame was read: a read of the daemon, a tick of the clock."""
START_S = 5.0
HEADER_BYTES = (0, 1)
"""Where samples may begin in a file: its header may be of odd length."""


class Disk:
    """`state` lies on an ext4 whose device is a file on XFS."""

    def __init__(self, directory: Path) -> None:
        self.state, self._outer = directory / "state", directory / "outer"
        self._image, self._copy = self._outer / "disk", self._outer / "cut"

    @contextlib.contextmanager
    def cut(self, at: Path) -> Iterator[Path]:
        """The disk as a power cut at this instant leaves it, mounted."""
        run("cp", "--reflink=always", self._image, self._copy)
        at.mkdir(exist_ok=True)
        run("mount", "-o", "loop", self._copy, at)
        try:
            yield at
        finally:
            run("umount", at)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def disk(directory: Path) -> Iterator[Disk]:
    """Skips the test where this machine mounts no XFS with reflinks."""
    made = Disk(directory)
    below = directory / "below.img"
    with contextlib.ExitStack() as stack:
        try:
            for image, size, make, path in (
                (below, 512 << 20, ("mkfs.xfs", "-q", "-m", "reflink=1"), made._outer),
                (made._image, 64 << 20, ("mkfs.ext4", "-q", "-F", "-m", "0"), made.state),
            ):
                with image.open("wb") as file:
                    file.truncate(size)
                run(*make, image)
                path.mkdir()
                run("mount", "-o", "loop", image, path)
                stack.callback(run, "umount", "--lazy", path)
        except (OSError, subprocess.CalledProcessError) as exc:
            why = getattr(exc, "stderr", b"") or str(exc).encode()
            pytest.skip(f"no power can be cut here: {why.decode(errors='replace').strip()}")
        made.state.chmod(0o700)
        yield made


def start_from(state: Path, runtime: Path) -> Opened:
    """The store as the machine's next boot finds it: nothing is in memory."""
    return open_store(
        state,
        runtime,
        spool=Spool(durability="power", min_free_mb=0),
        boot_id="the next boot",
        now=lambda: 10.0,
        wall=time.time,
        synced=lambda: True,
    )


def survived(opened: Opened, state: Path) -> set[int]:
    """The frames of speech that are in files, or have their text in the ledger."""
    found: set[int] = set()
    for path in (state / "audio").glob("*.wav"):
        content = path.read_bytes()
        for at in HEADER_BYTES:
            found |= {f.number for f in watermark.decode(content[at:]) if f.utterance}
    for item in opened.ledger.since(0):
        if isinstance(item, Final):
            for span in watermark.read(item.answer.text):
                found.update(span.numbers)
    return found


def captured(bench: Bench) -> set[int]:
    """The frames of speech that the daemon has read by now."""
    unread = int(bench.microphone.unread_ms / FRAME_MS) + 1
    limit = len(bench.microphone.frames) - unread
    return {n for n in bench.microphone.speech() if n < limit}


@pytest.mark.parametrize("online", [False, True], ids=["offline", "online"])
@pytest.mark.parametrize("seed", seeds("power", 1, 10))
@pytest.mark.timeout(240)
def test_a_power_cut_costs_no_sealed_utterance_and_little_of_the_open_one(
    tmp_path: Path, phrases: list[bytes], seed: int, online: bool
) -> None:
    chance = random.Random(f"power {seed} {online}")
    worst_ms, slowest_s, sections = 0, 0.0, {"spool": {"durability": "power", "min_free_mb": 0}}
    with (
        disk(tmp_path) as power,
        Bench(tmp_path, phrases, run=seed, pace=1.0, sections=sections) as bench,
    ):
        bench.fresh()
        if not online:
            bench.uplink.refuse()
            bench.uplink.reset()
        for n in range(CUTS):
            number = bench.say(chance.randrange(len(phrases)))
            bench.microphone.wait_until_said(number, chance.uniform(0.1, 1.0))
            before = captured(bench)
            numbers = {m.payload["seq"] for m in bench.robot.on("speech")}
            with power.cut(tmp_path / "found") as state:
                began = time.monotonic()
                opened = start_from(state, tmp_path / f"runtime {n}")
                slowest_s = max(slowest_s, time.monotonic() - began)
                lost = before - survived(opened, state)
                newest = max(before)
                worst_ms = max([worst_ms, *((newest - frame) * FRAME_MS for frame in lost)])
                assert opened.recovery.next_seq > max(numbers)
                for part in (
                    opened.utterances,
                    opened.ledger,
                    opened.last_frame,
                    opened.begun,
                    opened.acked,
                ):
                    part.close()
                opened.sequence.close()
        if not online:
            bench.uplink.listen()
        bench.settle()
        bench.fresh()
        note = f"at most {worst_ms} ms lost, started within {slowest_s * 1000:.0f} ms"
        bench.conclude(f"{CUTS} power cuts, {'online' if online else 'offline'}", note=note)
    assert worst_ms <= LOSS_MS + SLACK_MS
    assert slowest_s <= START_S
